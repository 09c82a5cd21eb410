"""Chooses what streams in an agent or a pipeline, and makes the call that runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from types import MappingProxyType
from typing import Any, cast

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from hayserve.wrappers.client_tools import ClientTurn
from hayserve.wrappers.context import current_run
from hayserve.wrappers.items import as_text

ALL = "all"
StreamingComponents = Sequence[str] | str | None


@dataclass(frozen=True, slots=True)
class Target:
    """A component that streams.

    Args:
        name: Its name in the pipeline.
        component: The component.
        owns_tool_calls: Whether it, or its pipeline, executes what it calls.
        turn: What it is allowed to have its client execute.
        called: The tools of the client that its chunks have called in this run.
    """

    name: str
    component: Any
    owns_tool_calls: bool
    turn: ClientTurn | None = None
    called: set[str] = field(default_factory=set[str], compare=False)

    @property
    def awaits_callbacks(self) -> bool:
        """Whether its async form can be given an async callback.

        Haystack's own components can. Others may define `run_async` and yet run their sync form
        in a thread, where an async callback is an error; they get a sync one, which always works.
        So do agents whose tools, perhaps sync ones, are given the callback.
        """
        if getattr(self.component, "tool_streaming_callback_passthrough", False):
            return False
        return all(
            hasattr(model, "run_async") and type(model).__module__.startswith("haystack.")
            for model in _models_in(self.component)
        )


def _models_in(component: Any) -> list[Any]:
    """What calls the callback in the end: an agent's model, and those that it falls back to."""
    model = getattr(component, "chat_generator", component)
    fallbacks: Sequence[Any] = getattr(model, "chat_generators", ())
    return [model, *fallbacks]


def is_streaming_component(component: object) -> bool:
    """Whether `component` takes a `streaming_callback` when it runs.

    An agent gives the callback to its model, so it streams if that one takes it.
    """
    if isinstance(component, Agent):
        return is_streaming_component(component.chat_generator)
    run = getattr(component, "run", None)
    if run is not None and "streaming_callback" in signature(run).parameters:
        return True
    sockets: Mapping[str, object] = getattr(
        getattr(component, "__haystack_input__", None), "_sockets_dict", {}
    )
    return "streaming_callback" in sockets


def find_all_streaming_components(pipeline: Pipeline) -> list[tuple[Any, str]]:
    """The components of `pipeline` that can stream, with their names, in the pipeline's order."""
    return [
        (component, name)
        for name, component in pipeline.walk()
        if is_streaming_component(component)
    ]


def parse_streaming_components_setting(setting: str) -> list[str] | str | None:
    """Read a setting: empty is None (the last one streams), "all", or names between commas."""
    names = [name.strip() for name in setting.split(",") if name.strip()]
    if not names:
        return None
    return ALL if [name.lower() for name in names] == [ALL] else names


def targets_in(pipeline: Pipeline | Agent, chosen: StreamingComponents) -> list[Target]:
    """The components that are to stream; empty if none of the pipeline's components can.

    Raises:
        ValueError: A chosen name is not a component of the pipeline that can stream.
    """
    if isinstance(pipeline, Agent):
        agent = Target("agent", pipeline, owns_tool_calls=True)
        return [agent] if is_streaming_component(pipeline) else []
    able = [
        Target(name, component, owns_tool_calls=executes_calls_of(pipeline, component))
        for component, name in find_all_streaming_components(pipeline)
    ]
    if chosen is None:
        return _by_setting(able)
    if chosen == ALL:
        return able
    return _named(able, [chosen] if isinstance(chosen, str) else chosen)


def executes_calls_of(pipeline: Pipeline, component: object) -> bool:
    """Whether `component`, which is part of `pipeline`, or that one executes what it calls.

    The component may be an agent, or be built around one or around a pipeline.
    """
    if any("ToolInvoker" in type(part).__name__ for _, part in pipeline.walk()):
        return True
    # Haystack keeps the pipeline that a component is part of under a name with underscores.
    held = [thing for name, thing in vars(component).items() if not name.startswith("__")]
    inner = [part for thing in held if isinstance(thing, Pipeline) for _, part in thing.walk()]
    return any(isinstance(thing, Agent) for thing in (component, *held, *inner))


def _by_setting(able: Sequence[Target]) -> list[Target]:
    """What the server's setting chooses; its names are for all pipelines, so each has only some."""
    run = current_run.get()
    setting = parse_streaming_components_setting(run.streaming_components) if run else None
    if setting == ALL:
        return list(able)
    return [target for target in able if target.name in (setting or ())] or list(able[-1:])


def _named(able: Sequence[Target], names: Sequence[str]) -> list[Target]:
    known = {target.name: target for target in able}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"No component named {unknown[0]!r} can stream. "
            f"Components of this pipeline that can: {', '.join(map(repr, known)) or 'none'}."
        )
    return [known[name] for name in dict.fromkeys(names)]


def with_callbacks(
    pipeline: Pipeline | Agent,
    args: Mapping[str, Any],
    callbacks: Mapping[str, Callable[..., Any]],
    *,
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """The arguments of a run with a streaming callback put in for each target.

    Args:
        pipeline: What runs.
        args: The arguments without them.
        callbacks: The callbacks, by the name of the component.
        options: What else the components are given, by their names.
    """
    if not callbacks:
        return dict(args)
    if isinstance(pipeline, Agent):
        [callback] = callbacks.values()
        return {**args, "streaming_callback": callback}
    data = _by_component(pipeline, args)
    for name, callback in callbacks.items():
        given = with_options(data.get(name, {}), options.get(name, {}))
        data[name] = {**given, "streaming_callback": callback}
    return data


def with_options(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a component and what the caller asks of it; the wrapper has the last word."""
    merged = {**options, **given}
    if "generation_kwargs" in options and given.get("generation_kwargs"):
        merged["generation_kwargs"] = {
            **options["generation_kwargs"],
            **given["generation_kwargs"],
        }
    return merged


def _by_component(pipeline: Pipeline, args: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`Pipeline.run` takes {input: value} too; a callback fits only into {component: {…}}."""
    components = dict(pipeline.walk())
    if all(name in components and isinstance(value, dict) for name, value in args.items()):
        return {name: dict(cast(dict[str, Any], value)) for name, value in args.items()}
    data: dict[str, dict[str, Any]] = {}
    for component, inputs in pipeline.inputs().items():
        given = {name: args[name] for name in inputs if name in args}
        if given:
            data[component] = given
    unused = set(args) - {name for given in data.values() for name in given}
    if unused:
        raise ValueError(f"No component of this pipeline takes an input named {min(unused)!r}.")
    return data


def answer_of(result: object) -> str:
    """The text of the answer in what an agent or a pipeline returned.

    Looks, in the outputs of the last component that has one of them, for `last_message`,
    `replies`, `answers` or `messages`; anything else is given as JSON.
    """
    if not isinstance(result, Mapping):
        return as_text(result)
    outputs = cast(Mapping[str, Any], result)
    for candidate in (outputs, *reversed(list(outputs.values()))):
        answer = _answer_in(candidate)
        if answer is not None:
            return answer
    return as_text(_only_value(_only_value(outputs)))


def last_reply_in(result: object) -> tuple[str, ChatMessage | None]:
    """The component of a pipeline whose output `answer_of` gives, and its message.

    None if it is not the reply of a model.
    """
    for name, outputs in reversed(list(cast(Mapping[str, Any], result).items())):
        if _answer_in(outputs) is not None:
            reply = _last(outputs.get("replies"))
            return name, reply if isinstance(reply, ChatMessage) else None
    return "", None


def _only_value(value: object) -> object:
    """What a mapping with one key holds; anything else is given as it is."""
    if not isinstance(value, Mapping):
        return value
    values = list(cast(Mapping[str, object], value).values())
    return values[0] if len(values) == 1 else cast(object, value)


def _last(value: object) -> object:
    if isinstance(value, list) and value:
        return cast(list[object], value)[-1]
    return cast(object, value)


def _answer_in(outputs: object) -> str | None:
    if not isinstance(outputs, Mapping):
        return None
    known = cast(Mapping[str, Any], outputs)
    for key in ("last_message", "replies", "answers", "messages"):
        value = _last(known.get(key))
        if isinstance(value, ChatMessage | str):
            return as_text(value)
        data = getattr(value, "data", None)  # haystack's GeneratedAnswer and its kin
        if isinstance(data, str):
            return data
    return None
