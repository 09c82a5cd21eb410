"""What of a wrapper's folder is sent to the server, and what stays behind."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias

Content: TypeAlias = str | dict[str, str]

HIDDEN = ".*"
# Made by Python itself: that they stay behind is nothing to hear of.
COMPILED = ("__pycache__", "*.pyc", "*.pyo")
SHOWN = 10  # names in a list of what was left out


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a wrapper.

    Args:
        files: Content by relative path: text, or `{"base64": ...}` for what is not text.
        left_out: A sentence for each reason why something was left out.
    """

    files: Mapping[str, Content]
    left_out: tuple[str, ...]


def read(folder: Path, *, ignore: Iterable[str]) -> Folder:
    """Read what a server needs of `folder`.

    Args:
        folder: Where the wrapper lies.
        ignore: Patterns of names that stay behind, besides those that begin with a dot.
    """
    patterns = [HIDDEN, *ignore]
    hidden, ignored, files = dict[str, None](), dict[str, None](), dict[str, Content]()
    for path in _files_in(folder):
        part = _left_out(path, patterns)
        if part is None:
            files[path.as_posix()] = _content(folder / path)
        elif part.match(HIDDEN):
            hidden[_shown(part, of=path)] = None
        elif not any(part.match(pattern) for pattern in COMPILED):
            ignored[_shown(part, of=path)] = None
    reasons = {
        "files that begin with a dot are not sent": hidden,
        "the setting files_to_ignore_patterns names them": ignored,
    }
    return Folder(
        files,
        tuple(f"Left out: {_list([*names])} ({why})" for why, names in reasons.items() if names),
    )


def _files_in(folder: Path) -> Iterator[PurePath]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield PurePath(path.relative_to(folder))


def _left_out(path: PurePath, patterns: Iterable[str]) -> PurePath | None:
    """The first part on the way to `path` that a pattern names."""
    way = [*reversed(path.parents), path]
    return next((part for part in way for pattern in patterns if part.match(pattern)), None)


def _shown(part: PurePath, *, of: PurePath) -> str:
    return part.as_posix() if part == of else f"{part.as_posix()}/"


def _list(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _content(path: Path) -> Content:
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii")}
