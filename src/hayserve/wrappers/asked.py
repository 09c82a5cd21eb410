"""What a caller asks of a run beside its arguments, so that no wrapper has to pass it on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Saved: TypeAlias = Mapping[str, Any]
Options: TypeAlias = Mapping[str, Any]


def _keep_nothing(saved: Saved) -> None:
    """For who does not come back."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A turn of an agent that ended with calls of the client's tools, and what they gave.

    Args:
        saved: What was kept of it.
        outputs: The outputs of the client's tools, as text, by the id of the call.
        deployment: Whose agent's turn it was.
    """

    saved: Saved
    outputs: Mapping[str, str]
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `streaming_generator` hands to the agent or the pipeline that it runs.

    Args:
        key: What the ids of calls to the client's tools are made of: 24 hexadecimal digits.
        tools: The client's function tools, as chat completions describe them.
        tool_choice: What it says about calling them: `auto`, `required`, or one by its name.
        generation: Parameters for the model.
        resumed: The turn that this request continues.
        keep: Keeps what is needed to continue this one; it may block.
    """

    key: str
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    generation: Options = field(default_factory=dict[str, Any])
    resumed: Resumed | None = None
    keep: Callable[[Saved], object] = _keep_nothing

    @property
    def options(self) -> Options:
        """The parameters for the model, and which tool it has to call, if it has to call one."""
        if not self.tools or self.tool_choice == "auto":
            return self.generation
        return {**self.generation, "tool_choice": self.tool_choice}
