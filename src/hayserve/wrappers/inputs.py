"""A pipeline's inputs: plain data from a request becomes the objects that its components take."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

from haystack.core.pipeline.base import PipelineBase
from pydantic import BaseModel, TypeAdapter, ValidationError

from hayserve.errors import InvalidInput, Problem

# What `Pipeline.inputs()` returns: by component and by input, among others the input's type.
_Sockets = Mapping[str, Mapping[str, Mapping[str, Any]]]


def coerce_pipeline_inputs(pipeline: PipelineBase, data: dict[str, Any]) -> dict[str, Any]:
    """Turn the dicts in a pipeline's inputs into the objects that its components take.

    What a request brings is plain JSON, and a component that takes `list[ChatMessage]` cannot work
    with dicts. Each dict is replaced if the type of its input names exactly one class that can be
    built from it: one with `from_dict`, a pydantic model or a dataclass; alone, in a list, or in a
    union with other types. Everything else is left as it is.

    Args:
        pipeline: The pipeline that is to run.
        data: Its inputs, as `Pipeline.run` takes them: by component and input
            (`{"llm": {"messages": [...]}}`) or by input alone (`{"messages": [...]}`).

    Returns:
        A new dict of the same form, for `Pipeline.run`.

    Raises:
        InvalidInput: Some dicts do not fit their classes; all of them are listed.
        ValueError: The type of an input names several classes, and nothing tells which is meant.
    """
    sockets: _Sockets = pipeline.inputs(include_components_with_connected_inputs=True)
    coercion = _Coercion()
    coerced: dict[str, Any]
    if _is_by_component(data, sockets):
        coerced = {
            component: {
                name: coercion.of(value, _inputs_named(name, sockets, only=component))
                for name, value in inputs.items()
            }
            for component, inputs in data.items()
        }
    else:
        free: _Sockets = pipeline.inputs()
        coerced = {
            name: coercion.of(value, _inputs_named(name, free)) for name, value in data.items()
        }
    coercion.raise_problems()
    return coerced


@dataclass(frozen=True, slots=True)
class _Input:
    """An input of a component, and the classes that a dict given for it could become."""

    component: str
    name: str
    classes: tuple[type, ...]


class _Coercion:
    """One pass over a pipeline's inputs, in which what does not fit is collected."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def of(self, value: Any, inputs: Sequence[_Input]) -> Any:
        classes = list(dict.fromkeys(cls for one in inputs for cls in one.classes))
        if not classes or not _holds_dict(value):
            return value
        first = inputs[0]
        if len(classes) > 1:
            where = ", ".join(f"{one.component}.{one.name}" for one in inputs)
            raise ValueError(
                f"The input {first.name!r} of component {first.component!r} is ambiguous: a dict "
                f"could become any of {', '.join(cls.__name__ for cls in classes)} ({where}). "
                "Pass an object that is already built."
            )
        build = _builder_of(classes[0])
        return self._built(value, build, loc=(first.component, first.name))

    def raise_problems(self) -> None:
        if not self._problems:
            return
        component, name, *_ = self._problems[0].loc
        more = len(self._problems) - 1
        raise InvalidInput(
            f"The input {name!r} of component {component!r} cannot be used: "
            f"{self._problems[0].msg}" + (f" (and {more} more)" if more else ""),
            problems=self._problems,
            hint="Send the input in the form that its class reads.",
        )

    def _built(self, value: Any, build: Callable[[Any], Any], *, loc: tuple[str | int, ...]) -> Any:
        if _is_list(value):
            return [self._built(item, build, loc=(*loc, n)) for n, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        try:
            return build(value)
        except ValidationError as error:
            self._problems += [
                Problem(loc=(*loc, *wrong["loc"]), msg=wrong["msg"], type=wrong["type"])
                for wrong in error.errors()
            ]
        except Exception as error:  # noqa: BLE001  user code: any `from_dict` may raise anything
            self._problems.append(Problem(loc, f"{type(error).__name__}: {error}", "from_dict"))
        return None


def _is_by_component(data: Mapping[str, Any], sockets: _Sockets) -> bool:
    """Read the form as `Pipeline.run` does, which takes dicts for inputs only if all are named."""
    if not all(isinstance(value, dict) for value in data.values()):
        return False
    names = {name for inputs in sockets.values() for name in inputs}
    return bool(data.keys() & sockets.keys()) or not data.keys() <= names


def _inputs_named(name: str, sockets: _Sockets, *, only: str | None = None) -> list[_Input]:
    """The inputs of that name that a dict could be made an object for."""
    found = (
        _Input(component, name, tuple(_classes_in(inputs[name]["type"])))
        for component, inputs in sockets.items()
        if name in inputs and only in {None, component}
    )
    return [one for one in found if one.classes]


def _classes_in(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _classes_in(get_args(annotation)[0])
    elif origin in {Union, UnionType, list, Sequence, Iterable, Collection}:
        for argument in get_args(annotation):
            yield from _classes_in(argument)
    elif _is_buildable(annotation):
        yield annotation


def _is_buildable(annotation: Any) -> TypeGuard[type]:
    if not isinstance(annotation, type):
        return False
    cls: type[object] = annotation
    return hasattr(cls, "from_dict") or issubclass(cls, BaseModel) or is_dataclass(cls)


def _builder_of(cls: Any) -> Callable[[Any], Any]:
    """How to build the class; Haystack's own way goes first, it knows older forms too."""
    if hasattr(cls, "from_dict"):
        build: Callable[[Any], Any] = cls.from_dict
        return build
    return TypeAdapter[Any](cls).validate_python


def _holds_dict(value: object) -> bool:
    if _is_list(value):
        return any(_holds_dict(item) for item in value)
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
