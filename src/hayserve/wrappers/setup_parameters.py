"""Fits a deployment's parameters to the `setup` of its wrapper."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from hayserve.errors import DeployRefused, sentence
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.failure import explain
from hayserve.wrappers.nearest import nearest
from hayserve.wrappers.objects import with_objects

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_COLLECTING = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_CONFIG = ConfigDict(arbitrary_types_allowed=True, coerce_numbers_to_str=True)


def arguments_for(
    wrapper: BasePipelineWrapper, parameters: Mapping[str, Any], *, name: str
) -> dict[str, Any]:
    """What to call `wrapper.setup` with: `parameters`, converted as its annotations say.

    Values are converted where nothing is lost: "3" is an int. Objects are taken as they are, and
    so is what only `**kwargs` takes.

    Args:
        wrapper: The wrapper.
        parameters: What was given, by name.
        name: The deployment's name, for messages.

    Raises:
        DeployRefused: `setup` does not take one of them, needs one that is not there, or a value
            does not fit.
    """
    _refuse_missing(wrapper.setup, parameters, name=name)
    if not parameters:
        return {}
    declared = _declared(wrapper.setup, name=name)
    known = [parameter for parameter in declared if parameter.kind in _NAMED]
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in declared):
        _refuse_unknown(wrapper, parameters, name=name, known=[each.name for each in known])
    given = [parameter for parameter in known if parameter.name in parameters]
    return {**parameters, **_converted(given, parameters, name=name)}


def tell(wrapper: BasePipelineWrapper, parameters: Mapping[str, Any]) -> None:
    """Make `parameters` readable as `self.parameters`, unless the wrapper means another thing."""
    if inspect.getattr_static(wrapper, "parameters") is BasePipelineWrapper.parameters:
        vars(wrapper)["parameters"] = MappingProxyType(dict(parameters))


def _refuse_missing(setup: Callable[..., Any], given: Mapping[str, Any], *, name: str) -> None:
    try:
        # A decorator may bring what the function below it needs.
        signature = inspect.signature(setup, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    missing = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is Parameter.empty
        and parameter.kind not in _COLLECTING
        and parameter.name not in given
    ]
    if missing:
        raise DeployRefused(
            f"{name!r} needs {_parameters(missing)}: its `setup` has no default.",
            hint=f"Deploy it with `{' '.join(f'--param {each}=...' for each in missing)}`.",
            param="parameters",
        )


def _refuse_unknown(
    wrapper: BasePipelineWrapper, given: Mapping[str, Any], *, name: str, known: Sequence[str]
) -> None:
    unknown = [each for each in given if each not in known]
    if not unknown:
        return
    if known:
        hint = nearest(unknown[0], known, kind="parameters of its `setup`")
    elif type(wrapper).__module__.startswith("hayserve."):
        hint = "Parameters are for the `setup` of a wrapper, and this is served without one."
    else:
        hint = f"Its `setup` takes none; let it be `def setup(self, {unknown[0]}: str) -> None:`."
    raise DeployRefused(
        f"{name!r} does not take {_parameters(unknown)}.", hint=hint, param="parameters"
    )


def _parameters(names: Sequence[str]) -> str:
    return f"the parameter{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def _declared(setup: Callable[..., Any], *, name: str) -> list[Parameter]:
    try:
        return list(inspect.signature(setup, eval_str=True).parameters.values())
    except Exception as error:  # reading an annotation runs the wrapper's own code
        raise DeployRefused(
            sentence(f"The signature of `setup` of {name!r} cannot be read: {explain(error)}"),
            hint="Import what annotations name at the top of the module, "
            "outside of `if TYPE_CHECKING:`.",
        ) from error


def _converted(
    parameters: Sequence[Parameter], values: Mapping[str, Any], *, name: str
) -> dict[str, Any]:
    try:
        model, names = _model_of(parameters)
        read = vars(model.model_validate(dict(values)))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(f"{_path(detail['loc'])}: {detail['msg']}" for detail in details)
        raise DeployRefused(
            sentence(f"The parameters of {name!r} cannot be used. {said}"),
            hint="The annotations of `setup` say what it takes.",
            param="parameters",
        ) from error
    except Exception as error:  # a type may bring its own code to check values
        raise DeployRefused(
            sentence(f"The parameters of {name!r} cannot be checked: {explain(error)}"),
            param="parameters",
        ) from error
    return {parameter: read[field] for field, parameter in names.items()}


def _model_of(parameters: Sequence[Parameter]) -> tuple[type[BaseModel], dict[str, str]]:
    """A model with these fields, and which field is which: some names it cannot have."""
    names = {f"field_{n}": parameter.name for n, parameter in enumerate(parameters)}
    definitions: dict[str, Any] = {
        field: (_annotation_of(parameter), Field(alias=parameter.name))
        for field, parameter in zip(names, parameters, strict=True)
    }
    return create_model("Parameters", __config__=_CONFIG, **definitions), names


def _annotation_of(parameter: Parameter) -> Any:
    if parameter.annotation is Parameter.empty:
        return Any
    return with_objects(parameter.annotation)


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc))
