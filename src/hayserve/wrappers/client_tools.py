"""Lets an agent call the tools of its client: a call ends the turn, its output begins the next.

The agent itself is shared by all runs; a run gets a shallow copy with hooks of its own, which is
how Haystack lets somebody stop a run, and put a saved state back.
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from haystack.components.agents import Agent
from haystack.components.agents.state import State
from haystack.dataclasses import ChatMessage, ChatRole, StreamingChunk, ToolCall
from haystack.tools import Toolset, flatten_tools_or_toolsets
from haystack.tools.tool import Tool

from hayserve.errors import InvalidRequest
from hayserve.wrappers.asked import Asked, Resumed
from hayserve.wrappers.tool_calls import whole_calls

# What a run keeps for itself, and is not continued with.
_OF_ONE_RUN = ("continue_run", "exit_reason", "hook_context", "stop_run", "tools")
_REASON = "client_tools"


class ClientTurn:
    """One turn of an agent that may call the tools of its client.

    Args:
        agent: The agent.
        args: What `Agent.run` was to be called with.
        asked: The tools, and what came of the calls of the turn before.

    Raises:
        InvalidRequest: A tool cannot be handed to the agent.
    """

    def __init__(self, agent: Agent, args: Mapping[str, Any], asked: Asked) -> None:
        self._asked = asked
        self._names = {tool["function"]["name"] for tool in asked.tools}
        self._open: set[int] = set()
        self._place = 0
        self._said: ChatMessage | None = None
        self._left: State | None = None
        # How many tools the agent executed in the turns that this one continues.
        self.executed_before = 0
        messages: Sequence[ChatMessage] = args.get("messages") or ()
        self._more = _after_the_tools(messages)
        self.agent: Agent = copy.copy(agent)
        self.agent.hooks = _with_hooks(
            agent,
            before_run=self._begin,
            before_tool=self._take_calls,
            after_tool=self._stop,
            after_run=self._leave,
        )
        self.args = {**args, "tools": self._tools(agent, args.get("tools"))}

    def own(self, chunk: StreamingChunk) -> StreamingChunk:
        """The chunk without the calls for the client, which are said as a whole in the end."""
        deltas = chunk.tool_calls or []
        for delta in deltas:
            if delta.tool_name:
                (self._open.add if delta.tool_name in self._names else self._open.discard)(
                    delta.index
                )
        kept = [delta for delta in deltas if delta.index not in self._open]
        if chunk.finish_reason:
            self._open.clear()
        return chunk if len(kept) == len(deltas) else replace(chunk, tool_calls=kept or None)

    @property
    def is_for_the_client(self) -> bool:
        """Whether it ended with calls for the client."""
        return self._said is not None and self._left is not None

    def calls(self) -> StreamingChunk | None:
        """The calls that end the turn, which is kept to be continued; None if there are none."""
        if self._said is None or self._left is None:
            return None
        calls = [call for call in self._said.tool_calls if call.tool_name in self._names]
        self._asked.keep(
            {
                "state": self._left.to_dict(skip_keys=list(_OF_ONE_RUN)),
                "calls": [call.id for call in calls],
            }
        )
        return whole_calls(calls)

    def _tools(self, agent: Agent, chosen: Any) -> list[Any]:
        tools = [client_tool(tool) for tool in self._asked.tools]
        if tools and self._asked.tool_choice != "auto":
            # Whatever it has to call ends the turn; with tools of its own it would not have to.
            return tools
        return [*_own_tools(agent, chosen), *tools]

    def _begin(self, state: State) -> None:
        names = Counter(tool.name for tool in state.data["tools"])
        if taken := [name for name in self._names if names[name] > 1]:
            raise InvalidRequest(
                f"The agent has a tool {min(taken)!r} itself, or you sent two of that name.",
                hint="Give yours another name.",
                param="tools",
            )
        if self._asked.resumed is not None:
            self._restore(state, self._asked.resumed)

    def _restore(self, state: State, resumed: Resumed) -> None:
        saved = State.from_dict(dict(resumed.saved["state"]))
        counts = {**state.data["tool_call_counts"], **saved.data.get("tool_call_counts", {})}
        self.executed_before = sum(counts.values())
        known = {name: value for name, value in saved.data.items() if name in state.schema}
        state.data.update(known)
        state.data["tool_call_counts"] = counts
        state.data["messages"] = [*saved.data["messages"], *_outputs(saved, resumed), *self._more]

    def _take_calls(self, state: State) -> None:
        """Leave only what the agent executes itself in the model's message."""
        messages: list[ChatMessage] = state.data["messages"]
        said = messages[-1]
        if not any(call.tool_name in self._names for call in said.tool_calls):
            return
        calls = [self._with_id(call, number) for number, call in enumerate(said.tool_calls)]
        own = [call for call in calls if call.tool_name not in self._names]
        self._place, self._said = len(messages) - 1, _with_calls(said, calls)
        state.data["messages"] = [*messages[:-1], _with_calls(said, own)]

    def _with_id(self, call: ToolCall, number: int) -> ToolCall:
        """An id that no other call has: by it the turn is found again."""
        if call.tool_name not in self._names:
            return call
        return replace(call, id=f"call_{self._asked.key}{number:02x}")

    def _stop(self, state: State) -> None:
        if self._said is None:
            return
        messages: list[ChatMessage] = state.data["messages"]
        place = self._place
        state.data["messages"] = [*messages[:place], self._said, *messages[place + 1 :]]
        state.set("stop_run", _REASON)

    def _leave(self, state: State) -> None:
        self._left = state


class _Hook:
    """A function at a point of an agent's run."""

    def __init__(self, function: Callable[[State], None]) -> None:
        self._function = function

    def run(self, state: State) -> None:
        self._function(state)

    async def run_async(self, state: State) -> None:
        self._function(state)


def _with_hooks(agent: Agent, **added: Callable[[State], None]) -> dict[Any, Any]:
    """The agent's hooks, and behind them, where they have had their say, these."""
    hooks: dict[Any, Any] = {point: list(listed) for point, listed in agent.hooks.items()}
    for point, function in added.items():
        hooks[point] = [*hooks.get(point, ()), _Hook(function)]
    return hooks


def _own_tools(agent: Agent, chosen: Any) -> list[Any]:
    """The tools that the wrapper lets the agent have: objects, or names of the agent's."""
    tools: Any = agent.tools if chosen is None else chosen
    if isinstance(tools, Toolset):
        return [tools]
    if chosen is not None and any(isinstance(tool, str) for tool in tools):
        return [tool for tool in flatten_tools_or_toolsets(agent.tools) if tool.name in tools]
    return list(tools)


def client_tool(described: Mapping[str, Any]) -> Tool:
    """A function tool of the client, as Haystack describes it to models.

    Raises:
        InvalidRequest: It cannot be one.
    """
    function: Mapping[str, Any] = described["function"]
    try:
        return Tool(
            name=function["name"],
            description=function.get("description") or "",
            parameters=function.get("parameters") or {"type": "object", "properties": {}},
            function=_executed_by_the_client,
        )
    except ValueError as error:
        raise InvalidRequest(
            f"The tool {function['name']!r} cannot be used: {error}.",
            hint="Its `parameters` are a JSON Schema of an object.",
            param="tools",
        ) from error


def _executed_by_the_client(**arguments: Any) -> str:
    raise NotImplementedError(f"The client executes this, with {sorted(arguments)}.")


def _with_calls(message: ChatMessage, calls: Sequence[ToolCall]) -> ChatMessage:
    return ChatMessage.from_assistant(
        message.text,
        meta=message.meta,
        name=message.name,
        tool_calls=list(calls),
        reasoning=message.reasoning,
    )


def _outputs(saved: State, resumed: Resumed) -> list[ChatMessage]:
    """The messages of the client's tools.

    Raises:
        InvalidRequest: One of them is missing.
    """
    messages: Sequence[ChatMessage] = saved.data["messages"]
    calls = {call.id: call for message in messages for call in message.tool_calls}
    wanted: Sequence[str] = resumed.saved["calls"]
    missing = [id_ for id_ in wanted if id_ not in resumed.outputs]
    if missing:
        raise InvalidRequest(
            f"There is no output of the call {missing[0]!r}.",
            hint="Send the outputs of all calls of a turn together.",
        )
    return [ChatMessage.from_tool(resumed.outputs[id_], origin=calls[id_]) for id_ in wanted]


def _after_the_tools(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """What the user says besides giving the outputs of tools."""
    places = [place for place, message in enumerate(messages) if message.is_from(ChatRole.TOOL)]
    return list(messages[places[-1] + 1 :]) if places else []
