"""The command `hayserve run`."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from hayserve.cli.flags import Run
from hayserve.cli.wishes import limits_in
from hayserve.deployments.terms import Terms
from hayserve.settings import Settings, load


class Start(Protocol):
    """Starts a server and returns when it has stopped."""

    def __call__(
        self, settings: Settings, paths: Sequence[str], *, terms: Terms, reload: bool
    ) -> None: ...


def run(given: Run, *, start: Start | None = None) -> None:
    """Serve until stopped."""
    settings = load(
        host=given.host,
        port=given.port,
        pipelines_dir=given.pipelines_dir,
        root_path=given.root_path,
        additional_python_path=given.additional_python_path,
        insecure=given.insecure or None,
    )
    start = start or starter(given.workers)
    terms = Terms(name=given.name, aliases=tuple(given.aliases), limits=limits_in(given.limits))
    start(settings, given.paths, terms=terms, reload=given.reload)


def starter(workers: int | None) -> Start:
    """What serves with so many workers; a parent of workers stays small without Haystack."""
    if workers is None:
        from hayserve.server.serve import serve  # noqa: PLC0415  loaded only when used

        return serve
    from hayserve.server.supervise import supervise  # noqa: PLC0415  as above

    return partial(supervise, workers=workers)
