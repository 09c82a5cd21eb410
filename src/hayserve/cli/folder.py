"""What of a wrapper's folder is sent to the server, and what stays behind."""

import base64
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias

from hayserve.deployments.bundle import megabytes
from hayserve.errors import InvalidRequest, TooLarge

Content: TypeAlias = str | dict[str, str]

HIDDEN = ".*"
# Made by Python itself: that they stay behind is nothing to hear of.
COMPILED = ("__pycache__", "*.pyc", "*.pyo")
SHOWN = 10  # names in a list of what was left out
LARGEST = 3  # files that are named if there is too much
MOST_BYTES = 100 * 1024 * 1024
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a wrapper.

    Args:
        contents: Content by relative path, byte for byte.
        left_out: A sentence for each reason why something was left out.
    """

    contents: Mapping[str, bytes]
    left_out: tuple[str, ...]

    @property
    def files(self) -> dict[str, Content]:
        """Content by relative path: text, or `{"base64": ...}` for what is not text."""
        return {path: _content(data) for path, data in self.contents.items()}


def read(
    folder: Path,
    *,
    ignore: Iterable[str],
    most_bytes: int = MOST_BYTES,
    most_files: int = MOST_FILES,
) -> Folder:
    """Read what a server needs of `folder`.

    Links are followed inside of the folder only.

    Args:
        folder: Where the wrapper lies.
        ignore: Patterns of names that stay behind, besides those that begin with a dot.
        most_bytes: How large the files may be together, in bytes.
        most_files: How many files there may be.

    Raises:
        TooLarge: There is more; it is told before a file has been read.
        InvalidRequest: Something in it may not be read.
    """
    found = _Found(folder, patterns=tuple(ignore))
    try:
        for path in found.files():
            found.add(path)
            _check_size(found, most_bytes=most_bytes, most_files=most_files)
        contents = {path.as_posix(): (folder / path).read_bytes() for path in sorted(found.sizes)}
    except OSError as error:
        raise InvalidRequest(
            f"{str(error.filename)!r} cannot be read ({error.strerror}).",
            hint="Make it readable, or move it out of the folder.",
        ) from error
    return Folder(contents, found.remarks())


class _Found:
    """The files of a folder with their sizes, and what is left out, by the reason for it."""

    def __init__(self, folder: Path, *, patterns: tuple[str, ...]) -> None:
        self.folder = folder
        self.sizes = dict[PurePath, int]()
        self.bytes = 0
        self._root = Path(os.path.realpath(folder))
        self._patterns = patterns
        self._hidden = list[str]()
        self._ignored = list[str]()
        self._outside = list[str]()

    def files(self) -> Iterator[PurePath]:
        """The paths of the files, as they are found."""
        return self._walk(PurePath(), trail=(self._root,))

    def add(self, path: PurePath) -> None:
        self.sizes[path] = (self.folder / path).stat().st_size
        self.bytes += self.sizes[path]

    def remarks(self) -> tuple[str, ...]:
        """A sentence for each reason why something was left out."""
        reasons = {
            "files that begin with a dot are not sent": self._hidden,
            "the setting files_to_ignore_patterns names them": self._ignored,
            "links that lead out of the folder are not followed": self._outside,
        }
        return tuple(f"Left out: {_list(names)} ({why})" for why, names in reasons.items() if names)

    def _walk(self, folder: PurePath, *, trail: tuple[Path, ...]) -> Iterator[PurePath]:
        for entry in sorted((self._root / folder).iterdir()):
            path = folder / entry.name
            real = Path(os.path.realpath(entry))
            if self._is_left_out(path, real=real):
                continue
            if real.is_file():
                yield path
            elif real.is_dir() and real not in trail:  # a link to what it is in would never end
                yield from self._walk(path, trail=(*trail, real))

    def _is_left_out(self, path: PurePath, *, real: Path) -> bool:
        if path.match(HIDDEN):
            reason = self._hidden
        elif any(path.match(pattern) for pattern in self._patterns):
            reason = self._ignored
        elif not real.is_relative_to(self._root):
            reason = self._outside
        else:
            return False
        if reason is not self._ignored or not any(path.match(pattern) for pattern in COMPILED):
            reason.append(f"{path.as_posix()}/" if real.is_dir() else path.as_posix())
        return True


def _check_size(found: _Found, *, most_bytes: int, most_files: int) -> None:
    sizes = found.sizes
    if len(sizes) > most_files:
        tops = Counter(f"{path.parts[0]}/" for path in sizes if len(path.parts) > 1)
        raise _too_large(
            found.folder,
            what=f"{most_files} files",
            most_in=[f"{top!r} ({count} files)" for top, count in tops.most_common(LARGEST)],
        )
    if found.bytes > most_bytes:
        largest = sorted(sizes, key=lambda path: sizes[path], reverse=True)[:LARGEST]
        raise _too_large(
            found.folder,
            what=megabytes(most_bytes),
            most_in=[f"{path.as_posix()!r} ({megabytes(sizes[path])})" for path in largest],
        )


def _too_large(folder: Path, *, what: str, most_in: Sequence[str]) -> TooLarge:
    found = f" Most of what was found so far: {', '.join(most_in)}." if most_in else ""
    return TooLarge(
        f"The folder {str(folder)!r} holds more than {what}.{found}",
        hint="Deploy the wrapper's own folder. What its code does not need can be moved out of it, "
        "or named in the setting files_to_ignore_patterns.",
    )


def _list(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _content(data: bytes) -> Content:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}
