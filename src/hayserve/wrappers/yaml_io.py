"""Reads what a pipeline's YAML declares about its inputs and outputs, and checks it."""

from collections.abc import Iterable, Mapping
from typing import Any

from haystack import Pipeline

from hayserve.wrappers.nearest import nearest
from hayserve.wrappers.pipeline_io import (
    InputResolution,
    OutputResolution,
    Target,
    can_be_named,
    input_for,
    inputs_of,
    targets_of,
)
from hayserve.wrappers.streaming_targets import (
    StreamingComponents,
    parse_streaming_components_setting,
    targets_in,
)
from hayserve.wrappers.yaml_document import Step, YAMLDocument, is_list, is_mapping

_Sockets = Mapping[str, Mapping[str, Any]]


class Declarations:
    """What the sections `inputs`, `outputs` and `streaming_components` say about `pipeline`."""

    def __init__(self, document: YAMLDocument, pipeline: Pipeline) -> None:
        self._document = document
        self._pipeline = pipeline

    def inputs(self) -> dict[str, InputResolution]:
        """The inputs: those that are declared, or if none are, all that the pipeline has.

        Raises:
            DeployRefused: An input goes nowhere or where it cannot, two go to the same place, or a
                required one is missing.
        """
        declared = self._section("inputs")
        if not declared:
            return inputs_of(self._pipeline)
        inputs = {name: self._input(name, value) for name, value in declared.items()}
        self._refuse_shared_targets(inputs)
        self._refuse_missing(inputs)
        return inputs

    def outputs(self) -> dict[str, OutputResolution]:
        """The declared outputs.

        Raises:
            DeployRefused: An output comes from nowhere.
        """
        sockets = _with_every_component(
            self._pipeline, self._pipeline.outputs(include_components_with_connected_outputs=True)
        )
        outputs: dict[str, OutputResolution] = {}
        for name, value in self._section("outputs").items():
            path = self._paths("outputs", name, value)[0]
            component, field = self._parts(sockets, path, ("outputs", name), kind="output")
            outputs[name] = OutputResolution(
                f"{component}.{field}", component, field, sockets[component][field]["type"]
            )
        return outputs

    def streaming_components(self) -> StreamingComponents:
        """The components that stream: names, "all", or None where nothing is declared.

        Raises:
            DeployRefused: One of them does not exist or cannot stream.
        """
        declared: object = self._document.data.get("streaming_components")
        if is_list(declared):
            chosen: StreamingComponents = [str(name) for name in declared]
        elif declared is None or isinstance(declared, str):
            chosen = parse_streaming_components_setting(declared or "")
        else:
            raise self._document.refusal(
                'it is neither a list of names nor "all".', "streaming_components"
            )
        if not chosen:
            return None
        try:
            targets_in(self._pipeline, chosen)
        except ValueError as error:
            raise self._document.refusal(str(error), "streaming_components") from error
        return chosen

    def _section(self, name: str) -> dict[str, Any]:
        section: object = self._document.data.get(name) or {}
        if is_mapping(section):
            return {str(key): value for key, value in section.items()}
        raise self._document.refusal(
            "it is not a mapping.",
            name,
            hint=f"Write `{name}:` and below it `name: component.field`.",
        )

    def _paths(self, section: str, name: str, value: object) -> list[str]:
        written = value if is_list(value) else [value]
        paths = [path for path in written if isinstance(path, str)]
        if paths and len(paths) == len(written):
            return paths
        raise self._document.refusal(
            "it names no `component.field`.",
            section,
            name,
            hint=f"Write `{name}: component.field`, or a list of those.",
        )

    def _input(self, name: str, value: object) -> InputResolution:
        where = ("inputs", name)
        if not can_be_named(name):
            raise self._document.refusal(
                "an input cannot have this name.",
                *where,
                hint="Use letters, digits and underscores, and no word of the Python language.",
            )
        free = {target.path: target for target in targets_of(self._pipeline)}
        sockets = _by_component(self._pipeline, targets_of(self._pipeline, connected=True))
        targets: list[Target] = []
        for path in self._paths("inputs", name, value):
            component, field = self._parts(sockets, path, where, kind="input")
            target = free.get(f"{component}.{field}")
            if target is None:
                raise self._document.refusal(
                    f"{path!r} gets its value from another component.",
                    *where,
                    hint="Remove the input, or the connection.",
                )
            targets.append(target)
        return input_for(targets)

    def _parts(
        self, sockets: _Sockets, path: str, where: tuple[Step, ...], *, kind: str
    ) -> tuple[str, str]:
        component, dot, field = path.partition(".")
        if component not in sockets:
            raise self._document.refusal(
                f"component {component!r} does not exist.",
                *where,
                hint=nearest(component, sockets, kind="components"),
            )
        fields = sockets[component]
        if not dot and len(fields) == 1:
            return component, next(iter(fields))
        if field in fields:
            return component, field
        said = f"has no {kind} {field!r}" if dot else f"has several {kind}s: name one of them"
        raise self._document.refusal(
            f"component {component!r} {said}.", *where, hint=nearest(field, fields, kind=f"{kind}s")
        )

    def _refuse_shared_targets(self, inputs: Mapping[str, InputResolution]) -> None:
        taken: dict[str, str] = {}
        for name, resolution in inputs.items():
            for path in resolution.targets:
                if path in taken:
                    raise self._document.refusal(
                        f"{path!r} gets its value from the input {taken[path]!r} already.",
                        "inputs",
                        name,
                        hint="Give each component's input one source.",
                    )
                taken[path] = name

    def _refuse_missing(self, inputs: Mapping[str, InputResolution]) -> None:
        given = {path for resolution in inputs.values() for path in resolution.targets}
        for target in targets_of(self._pipeline):
            if target.required and target.path not in given:
                raise self._document.refusal(
                    f"nothing gives {target.path!r} a value, which it cannot do without.",
                    "inputs",
                    hint=f"Add `{target.field}: {target.path}`, or connect it.",
                )


def _by_component(pipeline: Pipeline, targets: Iterable[Target]) -> _Sockets:
    sockets: dict[str, dict[str, Any]] = {name: {} for name, _ in pipeline.walk()}
    for target in targets:
        sockets[target.component][target.field] = target
    return sockets


def _with_every_component(pipeline: Pipeline, sockets: _Sockets) -> _Sockets:
    return {name: sockets.get(name, {}) for name, _ in pipeline.walk()}
