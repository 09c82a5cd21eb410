"""The command `hayserve run`."""

from collections.abc import Sequence
from typing import Protocol

from hayserve.cli.flags import Run
from hayserve.errors import Misconfigured
from hayserve.server.serve import serve
from hayserve.settings import Settings, load


class Start(Protocol):
    """Starts a server and returns when it has stopped."""

    def __call__(
        self,
        settings: Settings,
        paths: Sequence[str],
        *,
        name: str | None,
        aliases: Sequence[str],
        reload: bool,
    ) -> None: ...


def run(given: Run, *, start: Start = serve) -> None:
    """Serve until stopped."""
    if given.workers != 1:
        raise Misconfigured(
            f"This version serves with one process; --workers {given.workers} asks for more.",
            hint="Leave --workers out, or start several servers on different ports.",
        )
    settings = load(
        host=given.host,
        port=given.port,
        pipelines_dir=given.pipelines_dir,
        root_path=given.root_path,
        additional_python_path=given.additional_python_path,
        insecure=given.insecure or None,
    )
    start(settings, given.paths, name=given.name, aliases=given.aliases, reload=given.reload)
