"""Reads what a request asks of an agent besides its arguments: tools, parameters, to go on.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import anyio.to_thread

from hayserve.access.identity import owner_of
from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest
from hayserve.kept.pauses import Pauses
from hayserve.protocols.call import Call
from hayserve.protocols.tool_output import output_text
from hayserve.wrappers.asked import Asked, Resumed
from hayserve.wrappers.generation import PARAMETERS

_Object: TypeAlias = Mapping[str, Any]

_NOW_CALLED = {"max_tokens": "max_completion_tokens"}
_NOTHING: _Object = MappingProxyType({})
_OUR_CALL = re.compile(r"call_([0-9a-f]{24})[0-9a-f]{2}")
_READ = frozenset({"tools", "tool_choice", *PARAMETERS})


@dataclass(frozen=True, slots=True)
class Output:
    """What came of a call of one of the client's tools."""

    call_id: str
    text: str


class AgentRequests:
    """Knows what is asked of agents, and the turns that may go on.

    Args:
        pauses: Those turns.
    """

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses

    async def resumed(self, outputs: Sequence[Output], *, owner: str) -> Resumed | None:
        """The turn that a request continues; None if it begins one.

        Args:
            outputs: What the client's tools gave, if that is the last that the request says.
            owner: Stands for the key that was shown.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        found = _OUR_CALL.fullmatch(outputs[-1].call_id) if outputs else None
        if found is None:
            return None
        pause = await anyio.to_thread.run_sync(partial(self._pauses.find, found[1], owner=owner))
        if pause is None:
            return None
        given = {output.call_id: output.text for output in outputs}
        return Resumed(pause.data, given, pause.deployment)

    def asked(
        self, call: Call, deployment: Deployment, *, body: _Object, resumed: Resumed | None
    ) -> Asked | None:
        """What a request asks, for a run of this deployment; None if it asks for nothing of it.

        Args:
            call: The request.
            deployment: What it is for.
            body: Its fields, in the form of a chat completion.
            resumed: The turn that it continues, if it is this deployment's.

        Raises:
            InvalidRequest: It sets what callers may not set, or the tools cannot be used.
        """
        if resumed is not None and resumed.deployment != deployment.name:
            resumed = None
        if resumed is None and _READ.isdisjoint(body):
            return None
        tools, choice = tools_in(body)
        owner, name = owner_of(call.scope), deployment.name
        keep = partial(self._pauses.add, call.run_id, owner=owner, deployment=name)
        generation = _generation(body, deployment)
        return Asked(call.run_id, tools, choice, generation, resumed, keep)


def tools_in(body: _Object) -> tuple[Sequence[_Object], str | _Object]:
    """The function tools that an agent may call, and what is said about calling them.

    Raises:
        InvalidRequest: One is described wrongly, or one is to be called that is not there.
    """
    sent = _objects(body.get("tools"), where="tools")
    functions = [tool for tool in sent if tool.get("type") == "function"]
    if sent and not functions:
        return (), "auto"  # what else there is concerns the wrapper alone
    for number, tool in enumerate(functions):
        _check(tool, where=f"tools[{number}]")
    choice = cast("str | _Object", body.get("tool_choice") or "auto")
    match choice:
        case "none":
            return (), "auto"
        case "auto" | "required":
            return _called(functions, choice)
        case {"type": "function", "function": {"name": str(name)}}:
            named = [tool for tool in functions if tool["function"]["name"] == name]
            return _called(named, choice, name=name)
        case {"type": "allowed_tools", **rest}:
            return _allowed(functions, rest.get("allowed_tools") or rest)
        case _:
            raise _no_choice(choice)


def _objects(value: object, *, where: str) -> Sequence[_Object]:
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(one, dict) for one in cast(list[Any], value)):
        return cast(list[_Object], value)
    raise InvalidRequest(f"'{where}' has to be a list of objects.", param=where)


def _no_choice(choice: object) -> InvalidRequest:
    return InvalidRequest(
        f"'tool_choice' is {choice!r}.",
        hint="It is 'auto', 'none', 'required' or one of the function tools by its name.",
        param="tool_choice",
    )


def _allowed(
    functions: Sequence[_Object], allowed: object
) -> tuple[Sequence[_Object], str | _Object]:
    """Those of the tools that may be called, and whether one has to be."""
    if not isinstance(allowed, dict):
        raise _no_choice(allowed)
    said = cast(_Object, allowed)
    mode: object = said.get("mode") or "auto"
    if mode not in ("auto", "required"):
        raise _no_choice(said)
    tools = _objects(said.get("tools"), where="tool_choice.tools")
    names = [_name_of(tool.get("function")) or _name_of(tool) for tool in tools]
    return _called([tool for tool in functions if tool["function"]["name"] in names], str(mode))


def _name_of(tool: object) -> object:
    return cast(_Object, tool).get("name") if isinstance(tool, dict) else None


def _called(
    functions: Sequence[_Object], choice: str | _Object, *, name: str = ""
) -> tuple[Sequence[_Object], str | _Object]:
    if choice != "auto" and not functions:
        wanted = f"the function {name!r}" if name else "a function"
        raise InvalidRequest(
            f"'tool_choice' asks for a call of {wanted}, which is not among the tools.",
            hint="Send the tool too, or leave out `tool_choice`.",
            param="tool_choice",
        )
    return functions, choice


def _check(tool: _Object, *, where: str) -> None:
    if not isinstance(_name_of(tool.get("function")), str):
        raise InvalidRequest(
            f"'{where}.function' has no name.",
            hint="A function tool has a `function` with `name`, `description` and `parameters`.",
            param=where,
        )


def _generation(body: _Object, deployment: Deployment) -> _Object:
    """The parameters for the model, where the deployment lets callers set them."""
    allowed = deployment.wrapper.generation_parameters
    if allowed is None:
        return _NOTHING
    sent = {name: body[name] for name in PARAMETERS if body.get(name) is not None}
    refused = [name for name in sent if not {name, _NOW_CALLED.get(name)} & {*allowed}]
    if refused:
        raise InvalidRequest(
            f"{refused[0]!r} cannot be set by callers of {deployment.name!r}.",
            hint=f"They may set: {', '.join(sorted(allowed)) or 'nothing'}.",
            param=refused[0],
        )
    return sent


def chat_outputs(messages: Sequence[_Object]) -> list[Output]:
    """The outputs of tools that a chat's messages end with, besides what its user says."""
    found: list[Output] = []
    for message in reversed(messages):
        if message.get("role") == "assistant":
            break
        if message.get("role") == "tool":
            call_id = str(message.get("tool_call_id") or "")
            found.append(Output(call_id, output_text(message.get("content"))))
    return found[::-1]


def item_outputs(items: Sequence[_Object]) -> list[Output]:
    """The outputs of tools that the items of a response's input end with."""
    found: list[Output] = []
    for item in reversed(items):
        if item.get("type") == "function_call_output":
            found.append(Output(str(item.get("call_id") or ""), output_text(item.get("output"))))
        elif item.get("role") in (None, "assistant"):
            break
    return found[::-1]
