"""What a run tells the code that it calls, kept beside the call so that nobody passes it on."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from hayserve.events import Usage
from hayserve.wrappers.asked import Asked
from hayserve.wrappers.caller import NOBODY, Caller


class RunEnded(BaseException):
    """The run is over; raised in the code that goes on with it, so that it stops.

    It is no `Exception`, so that no component takes it for a failure and tries again.
    """


class RunContext:
    """One run, as seen from inside it.

    Args:
        run_id: The run's id, which the caller and the log know too.
        streaming_components: Which components of a pipeline stream where a call does not say:
            empty for the last one, "all", or names separated by commas.
        asked: What the caller asks beside the method's arguments.
        caller: Who asks.
    """

    __slots__ = (
        "_stages",
        "_usage",
        "asked",
        "caller",
        "is_stopped",
        "run_id",
        "streaming_components",
    )

    def __init__(
        self,
        run_id: str,
        *,
        streaming_components: str = "",
        asked: Asked | None = None,
        caller: Caller = NOBODY,
    ) -> None:
        self.run_id = run_id
        self.asked = asked
        self.caller = caller
        self.streaming_components = streaming_components
        self.is_stopped = False  # if it is to end: its next step then raises `RunEnded`
        # Lists: what is done to them is atomic, and components run in several threads.
        self._usage: list[Usage] = []
        self._stages: list[str] = []

    @property
    def stage(self) -> str:
        """What it does, for people: `running`, `model`, `tool: NAME`, `component: NAME`."""
        return next(reversed(self._stages), "running")

    @contextmanager
    def in_stage(self, stage: str | None) -> Generator[None]:
        """Be in a stage; which of several at the same time ends first does not matter."""
        if stage is None:
            yield
            return
        self._stages.append(stage)
        try:
            yield
        finally:
            self._stages.remove(stage)

    def add_usage(self, usage: Usage) -> None:
        self._usage.append(usage)

    @property
    def usage(self) -> Usage | None:
        """What the model calls of this run used; None if none of them said."""
        return sum(self._usage, start=Usage()) if self._usage else None


current_run: ContextVar[RunContext | None] = ContextVar("current_run", default=None)


def current_caller() -> Caller:
    """Who has asked for the run that this code belongs to; nobody outside of a run.

    It is what the server has verified, by a key or a token, and never what a client only says.

    Example:
        ```python
        from hayserve import BasePipelineWrapper, current_caller


        class PipelineWrapper(BasePipelineWrapper):
            def setup(self) -> None: ...

            def run_api(self, question: str) -> str:
                return f"{current_caller().name or 'Somebody'} asks: {question}"
        ```
    """
    run = current_run.get()
    return NOBODY if run is None else run.caller
