"""Makes a new revision of a deployment when its files change: for people who are writing one."""

from collections.abc import Sequence
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch  # pyright: ignore[reportUnknownVariableType] - an optional backend's type

from hayserve.deployments.declare import Declarer
from hayserve.deployments.target import Target

# What people write a deployment in; not what it writes while it runs.
SOURCES = (".py", ".yml", ".yaml", ".toml", ".j2", ".jinja", ".jinja2")
# A watch can only be stopped between two waits.
STOPS_WITHIN_MS = 200


async def reload_on_change(targets: Sequence[Target], declarer: Declarer) -> None:
    """Watch the folders of `targets` until cancelled; what is only in memory has none."""
    watched = [target for target in targets if target.kind != "thing"]
    if not watched:
        return
    folders = {_folder_of(target) for target in watched}
    async for changes in awatch(
        *folders, watch_filter=Sources(), rust_timeout=STOPS_WITHIN_MS
    ):  # pragma: no branch - it is cancelled
        changed = [Path(path) for _, path in changes]
        for target in watched:
            if any(_belongs(path, target) for path in changed):
                await declarer.renew(target)


class Sources(DefaultFilter):
    """Lets changes of source files pass, outside of folders that begin with a dot."""

    def __call__(self, change: Change, path: str) -> bool:
        return path.endswith(SOURCES) and "/." not in path and super().__call__(change, path)


def _belongs(path: Path, target: Target) -> bool:
    if target.kind == "yaml":
        return path == target.path.resolve()
    return path.is_relative_to(_folder_of(target))


def _folder_of(target: Target) -> Path:
    return (target.path if target.kind == "folder" else target.path.parent).resolve()
