"""Makes a new revision of a deployment when its files change: for people who are writing one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
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
    before = _there(watched)
    while watched:
        if before:
            await _renew_until_moved(watched, before, declarer)
        else:
            await anyio.sleep(STOPS_WITHIN_MS / 1000)
        now = _there(watched)
        for target in watched:
            folder = _folder_of(target)
            if folder in now and now[folder] != before.get(folder):
                await declarer.renew(target)
        before = now


async def _renew_until_moved(
    watched: Sequence[Target], before: Mapping[Path, int], declarer: Declarer
) -> None:
    """Renew what changes, until a folder is gone or another one: that has to be watched anew."""
    with suppress(FileNotFoundError):  # it is gone already
        async for changes in awatch(
            *before, watch_filter=Sources(), rust_timeout=STOPS_WITHIN_MS, yield_on_timeout=True
        ):
            now = _there(watched)
            changed = [Path(path) for _, path in changes]
            for target in watched:
                is_there = _folder_of(target) in now
                if is_there and any(_belongs(path, target) for path in changed):
                    await declarer.renew(target)
            if now != before:
                return


def _there(watched: Sequence[Target]) -> Mapping[Path, int]:
    """The folders that there are, each with what tells it from another of the same name."""
    folders = {_folder_of(target) for target in watched}
    return {folder: folder.stat().st_ino for folder in folders if folder.is_dir()}


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
