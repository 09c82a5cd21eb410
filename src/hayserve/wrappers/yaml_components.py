"""Builds the Haystack pipeline that a YAML document describes."""

import re
from typing import Any

from haystack import Pipeline

from hayserve.errors import DeployRefused
from hayserve.wrappers.failure import explain
from hayserve.wrappers.nearest import nearest
from hayserve.wrappers.yaml_document import YAMLDocument, is_list, is_mapping
from hayserve.wrappers.yaml_types import WHAT_A_TYPE_IS, FullTypes

_SECTIONS = (
    "components",
    "connections",
    "inputs",
    "outputs",
    "streaming_components",
    "limits",
)
_SETTINGS = ("metadata", "max_runs_per_component", "connection_type_validation")
_UNTRUSTED = re.compile(r"[Rr]efusing to deserialize.*? from module '(?P<module>[\w.]+)'")


def load_pipeline(document: YAMLDocument) -> Pipeline:
    """Build the pipeline, one component and one connection after the other.

    Classes may be named by their short names. Haystack's list of the modules that YAML may load
    classes from stays in force.

    Raises:
        DeployRefused: A component cannot be made or a connection is refused; it names the line.
    """
    return _Builder(document).pipeline()


class _Builder:
    def __init__(self, document: YAMLDocument) -> None:
        self._document = document
        self._types = FullTypes(document)

    def pipeline(self) -> Pipeline:
        self._refuse_misspelt_sections()
        pipeline = self._empty_pipeline()
        for name, definition in self._components().items():
            pipeline.add_component(name, self._component(name, definition))
        for index, connection in enumerate(self._connections()):
            self._connect(pipeline, connection, index)
        return pipeline

    def _refuse_misspelt_sections(self) -> None:
        data = self._document.data
        missing = [section for section in _SECTIONS if section not in data]
        for key in data:
            meant = nearest(str(key), missing, kind="sections")
            if key not in _SECTIONS and key not in _SETTINGS and meant.startswith("Did you mean"):
                raise self._document.refusal("a pipeline has no such section.", key, hint=meant)

    def _empty_pipeline(self) -> Pipeline:
        settings = {
            key: self._document.data[key] for key in _SETTINGS if key in self._document.data
        }
        if not isinstance(settings.get("metadata") or {}, dict):
            raise self._document.refusal("it is not a mapping.", "metadata")
        return Pipeline.from_dict(settings)

    def _components(self) -> dict[str, Any]:
        components: object = self._document.data.get("components")
        if is_mapping(components) and components:
            return components
        raise self._document.refusal(
            "the pipeline has none.",
            "components",
            hint="List them by name, each with a `type` and its `init_parameters`.",
        )

    def _component(self, name: str, definition: object) -> Any:
        path = ("components", name)
        component = definition if is_mapping(definition) else {}
        if not isinstance(component.get("type"), str):
            raise self._document.refusal(
                "a component is a mapping with a `type`.", *path, hint=WHAT_A_TYPE_IS
            )
        full = self._types.of_component(component, *path)
        try:
            return Pipeline.from_dict({"components": {name: full}}).remove_component(name)
        except Exception as error:  # user code: a component's constructor may raise anything
            raise self._not_made(name, full["type"], error) from error

    def _not_made(self, name: str, type_: str, error: Exception) -> DeployRefused:
        path = ("components", name)
        untrusted = _UNTRUSTED.search(str(error))
        if untrusted:
            return self._document.refusal(
                f"Haystack does not load classes from the module {untrusted['module']!r}.",
                *path,
                hint="If you trust it, add it to the environment variable "
                "HAYSTACK_DESERIALIZATION_ALLOWLIST of the server: names of modules, separated "
                "by commas.",
            )
        if "not imported" in str(error):
            return self._document.refusal(
                f"{type_!r} cannot be imported.",
                *path,
                "type",
                hint=self._types.hint(type_, components_only=True),
            )
        reason = explain(error.__cause__ or error).rstrip(".")
        return self._document.refusal(f"the component cannot be made: {reason}.", *path)

    def _connections(self) -> list[Any]:
        connections: object = self._document.data.get("connections") or []
        if is_list(connections):
            return connections
        raise self._document.refusal("it is not a list.", "connections", hint=_CONNECTION)

    def _connect(self, pipeline: Pipeline, connection: object, index: int) -> None:
        ends = connection if is_mapping(connection) else {}
        sender, receiver = ends.get("sender"), ends.get("receiver")
        path = ("connections", index)
        if not (isinstance(sender, str) and isinstance(receiver, str)):
            raise self._document.refusal("it connects nothing.", *path, hint=_CONNECTION)
        names = [name for name, _ in pipeline.walk()]
        for end in (sender, receiver):
            name = end.partition(".")[0]
            if name not in names:
                raise self._document.refusal(
                    f"component {name!r} does not exist.",
                    *path,
                    hint=nearest(name, names, kind="components"),
                )
        try:
            pipeline.connect(sender, receiver)
        except Exception as error:  # comparing types may run the components' own code
            raise self._document.refusal(" ".join(str(error).split()), *path) from error


_CONNECTION = "A connection is a mapping with `sender` and `receiver`, each `component.field`."
