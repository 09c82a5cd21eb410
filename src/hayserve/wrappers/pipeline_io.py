"""The named inputs of a pipeline: what callers give, and which components receive it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter
from keyword import iskeyword
from typing import Any, Union

from haystack import Pipeline

from hayserve.errors import DeployRefused

# What is code's to set, and not a caller's.
# A caller who may set these runs other tools or another prompt than the pipeline was written with.
NOT_FOR_CALLERS = frozenset(
    {
        "hook_context",
        "streaming_callback",
        "template",
        "template_variables",
        "tools",
        "tools_strict",
    }
)
_SIMPLE = (str, int, float, bool, bytes, Enum)


@dataclass(frozen=True, slots=True)
class Target:
    """An input of a component. `default` is meaningless if it is required."""

    component: str
    field: str
    type: Any
    required: bool
    default: Any = None

    @property
    def path(self) -> str:
        return f"{self.component}.{self.field}"


@dataclass(frozen=True, slots=True)
class InputResolution:
    """A named input and where its value goes.

    Args:
        path: The first target, as `component.field`.
        component: The first target's component.
        name: The first target's field.
        type: The type of its values, from the first target that has one; Any if none has.
        required: Whether callers must give it: whether one of its targets has no default.
        targets: All targets; each gets the same value.
        default: What callers get to see as the default; the targets' own defaults are what counts.
    """

    path: str
    component: str
    name: str
    type: Any
    required: bool
    targets: list[str]
    default: Any = None

    def parameter(self, name: str) -> Parameter:
        """The input as a parameter of `run_api`."""
        annotation = self.type
        if not self.required and self.default is None:
            annotation = Union[self.type, None]  # noqa: UP007 (built at run time)
        return Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            annotation=annotation,
            default=Parameter.empty if self.required else self.default,
        )

    def is_left_out(self, value: object) -> bool:
        """Whether `value` says no more than the default: then the components get nothing.

        That matters because a component that is given a value may run because of it.
        """
        return not self.required and type(value) is type(self.default) and value == self.default


@dataclass(frozen=True, slots=True)
class OutputResolution:
    """A named output and where its value comes from."""

    path: str
    component: str
    name: str
    type: Any


def input_for(targets: Sequence[Target]) -> InputResolution:
    """The input that gives its value to all of `targets`."""
    first = targets[0]
    return InputResolution(
        path=first.path,
        component=first.component,
        name=first.field,
        type=next((target.type for target in targets if target.type is not Any), Any),
        required=any(target.required for target in targets),
        targets=[target.path for target in targets],
        default=_common_default(targets),
    )


def can_be_named(name: str) -> bool:
    """Whether an input can have that name: those that an argument of a function can have."""
    return name.isidentifier() and not iskeyword(name)


def targets_of(pipeline: Pipeline, *, connected: bool = False) -> Iterator[Target]:
    """The inputs of the pipeline's components; those that others fill only if `connected`."""
    inputs = pipeline.inputs(include_components_with_connected_inputs=connected)
    for component, fields in inputs.items():
        for field, about in fields.items():
            yield Target(
                component,
                field,
                type=about["type"],
                required=about["is_mandatory"],
                default=about.get("default_value"),
            )


def inputs_of(pipeline: Pipeline) -> dict[str, InputResolution]:
    """Name the inputs of a pipeline for which nobody chose names.

    Each is called like the component's field. Fields of one name and type are one input, as they
    are for `Pipeline.run`; if their types differ, each is called `component_field`.

    Raises:
        DeployRefused: A required input cannot be named.
    """
    by_field: dict[str, list[Target]] = {}
    for target in targets_of(pipeline):
        if target.required or target.field not in NOT_FOR_CALLERS:
            by_field.setdefault(target.field, []).append(target)
    named: dict[str, InputResolution] = {}
    for name, targets in by_field.items():
        if len({str(target.type) for target in targets if target.type is not Any}) <= 1:
            _add(named, name, targets)
            continue
        for target in targets:
            _add(named, re.sub(r"\W", "_", f"{target.component}_{name}"), [target])
    return in_order(named)


def in_order(inputs: Mapping[str, InputResolution]) -> dict[str, InputResolution]:
    """The inputs by name, the required ones first; Haystack gives a prompt's in random order."""
    return dict(sorted(inputs.items(), key=lambda entry: (not entry[1].required, entry[0])))


def _add(named: dict[str, InputResolution], name: str, targets: Sequence[Target]) -> None:
    resolution = input_for(targets)
    if name not in named and can_be_named(name):
        named[name] = resolution
    elif resolution.required:
        raise DeployRefused(
            f"The required input {resolution.path!r} of the pipeline cannot be named: {name!r} "
            + ("is taken by another input." if name in named else "is no name for an argument."),
            hint="Choose names: declare `inputs` in YAML, or write a wrapper with a `run_api`.",
            param=resolution.path,
        )


def _common_default(targets: Sequence[Target]) -> Any:
    """The default of all targets if they agree on a simple one, else None for "not given"."""
    defaults: list[Any] = [None if target.required else target.default for target in targets]
    first = defaults[0]
    if isinstance(first, _SIMPLE) and all(
        type(default) is type(first) and default == first for default in defaults
    ):
        return first
    return None


def values_of(
    arguments: Mapping[str, Any], inputs: Mapping[str, InputResolution]
) -> dict[str, dict[str, Any]]:
    """The values of the named inputs, by component and field, as `Pipeline.run` takes them."""
    data: dict[str, dict[str, Any]] = {}
    for name, value in arguments.items():
        resolution = inputs[name]
        if resolution.is_left_out(value):
            continue
        for path in resolution.targets:
            component, _, field = path.partition(".")
            data.setdefault(component, {})[field] = value
    return data
