"""The files of a deployment as one value, and the names that files and deployments may have."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from hayserve.errors import DeployRefused, InvalidRequest, TooLarge

WRAPPER_FILE = "pipeline_wrapper.py"
IGNORED_FILES = ("*.pyc", "*.pyo", "*.pyd", "__pycache__", "*.so", "*.egg", "*.egg-info")

_MEGABYTE = 1024 * 1024
_LARGEST_SHOWN = 3
_LONGEST_NAME = 100
_MOST_NAME_BYTES = 200
_MOST_SEGMENT_BYTES = 255
_MOST_KEY_BYTES = 1024
_NAME_RULE = "A name is made of letters, digits, '_', '-' and '.', and does not begin with a dot."
_KEY_RULE = "A file is named by its path in the wrapper's folder, such as 'tools/search.py'."


@dataclass(frozen=True)
class Bundle:
    """The files of one deployment; equal files make an equal digest.

    Args:
        files: Content by path in the folder, with `/` between its parts.

    Raises:
        InvalidRequest: A path is not allowed, or one is a file and a folder at once, or two are
            the same file on a disk that does not tell upper case from lower.
    """

    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        for key in self.files:
            check_file_key(key)
        _check_each_has_its_place(self.files)
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))

    @classmethod
    def of_texts(cls, files: Mapping[str, str]) -> "Bundle":
        """The bundle of files that arrived as text; they are stored as UTF-8.

        Raises:
            InvalidRequest: A path is not allowed, or a text cannot be written as UTF-8.
        """
        return cls({key: _bytes_of(text, key=key) for key, text in files.items()})

    @classmethod
    def of_folder(cls, path: Path, *, ignore: Sequence[str] = IGNORED_FILES) -> "Bundle":
        """The bundle of all files in a folder, byte for byte.

        Left out are names that begin with a dot, links that lead out of the folder, and what is
        neither a file nor a folder.

        Args:
            path: The folder.
            ignore: Shell patterns of names, or of paths in the folder, that are left out too.

        Raises:
            InvalidRequest: `path` is not a folder, or a file in it has a name that is not allowed.
        """
        if not path.is_dir():
            raise InvalidRequest(f"{path.name!r} is not a folder.", hint="Name the folder itself.")
        root = Path(os.path.realpath(path))
        found = _files_in(root, root=root, trail=(root,))
        return cls(
            {
                key: file.read_bytes()
                for key, file in sorted(found)
                if not is_ignored(key, ignore=ignore)
            }
        )

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all names and contents, in hex."""
        digest = hashlib.sha256()
        for key in sorted(self.files):
            for part in (key.encode(), self.files[key]):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
        return digest.hexdigest()


def check_wrapper_is_in(bundle: Bundle) -> None:
    """Refuse a bundle without the file that a wrapper begins with.

    Raises:
        DeployRefused: There is no `pipeline_wrapper.py` at the top of it.
    """
    if WRAPPER_FILE in bundle.files:
        return
    deeper = next((key for key in bundle.files if key.endswith(f"/{WRAPPER_FILE}")), None)
    raise DeployRefused(
        f"The files contain no {WRAPPER_FILE!r}.",
        hint=f"There is {deeper!r}: deploy the folder that holds it."
        if deeper
        else f"Put the class 'PipelineWrapper' into a file named {WRAPPER_FILE!r}.",
    )


def check_size(bundle: Bundle, *, most_bytes: int, most_files: int) -> None:
    """Refuse a bundle that is larger than the server takes.

    Args:
        bundle: The files.
        most_bytes: How many bytes they may have together.
        most_files: How many there may be.

    Raises:
        TooLarge: One of the two is exceeded; the message names the setting.
    """
    if len(bundle.files) > most_files:
        raise too_many(most_files, of="files")
    if sum(map(len, bundle.files.values())) > most_bytes:
        largest = sorted(bundle.files, key=lambda key: len(bundle.files[key]), reverse=True)
        shown = [f"{key!r} ({megabytes(len(bundle.files[key]))})" for key in largest]
        raise too_big(most_bytes, largest=shown[:_LARGEST_SHOWN])


def too_big(most_bytes: int, *, largest: Sequence[str] = ()) -> TooLarge:
    """The error of files that are larger together than is allowed."""
    shown = f" The largest are {', '.join(largest)}." if largest else ""
    return TooLarge(
        f"The files are larger together than {megabytes(most_bytes)}.{shown}",
        hint="Leave out what the code does not need, or raise HAYSERVE_MAX_BUNDLE_MB.",
        param="files",
    )


def too_many(most_files: int, *, of: str) -> TooLarge:
    """The error of more files, or folders, than are allowed."""
    return TooLarge(
        f"There are more than {most_files} {of}.",
        hint="Leave out what the code does not need, or raise HAYSERVE_MAX_BUNDLE_FILES.",
        param="files",
    )


def megabytes(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{round(size / _MEGABYTE, 1):g} MB"


def is_ignored(key: str, *, ignore: Sequence[str] = IGNORED_FILES) -> bool:
    """Whether one of the shell patterns in `ignore` names the path, or a part of it."""
    parts = (*key.split("/"), key)
    return any(fnmatchcase(part, pattern) for part in parts for pattern in ignore)


def folded(path: str) -> str:
    """What two paths have in common if they are one on some disk: case and Unicode form aside."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def check_alias(alias: str, *, reserved: Collection[str] = ()) -> None:
    """Refuse an alias that a deployment cannot have.

    It is a name, or the name of a model as others write it: names joined by `/` or `:`, such as
    `openai/gpt-4o` and `qwen3:8b`.

    Raises:
        InvalidRequest: As `check_name`.
    """
    first, *rest = re.split("[/:]", alias)
    check_name(first, reserved=reserved)
    for part in rest:
        check_name(part)
    if len(alias) > _LONGEST_NAME:
        raise _bad_name(f"The alias {alias[:20] + '…'!r} is too long.")


def check_name(name: str, *, reserved: Collection[str] = ()) -> None:
    """Refuse a name that a deployment cannot have.

    A name is one segment of a URL path and the name of a folder: letters of any script, digits,
    `_`, `-` and `.`, with no dot in front, at most 100 characters.

    Args:
        name: The name.
        reserved: Names that the server uses itself.

    Raises:
        InvalidRequest: The name is not allowed; the message says why.
    """
    if not name:
        raise _bad_name("A deployment needs a name.")
    if len(name) > _LONGEST_NAME or len(name.encode(errors="replace")) > _MOST_NAME_BYTES:
        raise _bad_name(
            f"The name {name[:20] + '…'!r} is too long.",
            hint=f"It may have {_LONGEST_NAME} characters and {_MOST_NAME_BYTES} bytes of UTF-8.",
        )
    if name.startswith("."):
        raise _bad_name(f"The name {name!r} begins with a dot.")
    for character in name:
        if character not in "_-." and unicodedata.category(character)[0] not in "LMN":
            raise _bad_name(f"The name {name!r} contains {character!r}.")
    if name in reserved:
        raise _bad_name(
            f"The name {name!r} is used by the server itself.",
            hint="Choose another name, for example with a word in front or behind.",
        )


def check_file_key(key: str) -> None:
    """Refuse a path that cannot be that of a file in a deployment's folder.

    Raises:
        InvalidRequest: The path is not relative, or leads out of the folder, or cannot be a
            file's on every system; the message says why.
    """
    problem = _problem_with(key)
    if problem:
        shown = key if len(key) <= _LONGEST_NAME else f"{key[:_LONGEST_NAME]}…"
        raise InvalidRequest(f"The file {shown!r} {problem}.", hint=_KEY_RULE, param="files")


def _problem_with(key: str) -> str:
    segments = key.split("/")
    shape = {
        "has no name": not key,
        "has a backslash in its path": "\\" in key,
        "has a NUL character in its path": "\0" in key,
        "has an absolute path": key.startswith("/"),
        "has a path with a drive": re.match(r"[A-Za-z]:", key) is not None,
        "has a path with '..' in it": ".." in segments,
        "has a path with an empty part or '.' in it": bool({"", "."} & set(segments)),
    }
    return next((problem for problem, found in shape.items() if found), "") or _size_problem(key)


def _size_problem(key: str) -> str:
    try:
        size = len(key.encode())
        longest = max(len(segment.encode()) for segment in key.split("/"))
    except UnicodeEncodeError:
        return "has a path that is not valid Unicode"
    if longest > _MOST_SEGMENT_BYTES or size > _MOST_KEY_BYTES:
        return (
            f"has a path that is too long: {_MOST_SEGMENT_BYTES} bytes a part and "
            f"{_MOST_KEY_BYTES} in all are allowed"
        )
    return ""


def _bad_name(message: str, *, hint: str = _NAME_RULE) -> InvalidRequest:
    return InvalidRequest(message, hint=hint, param="name")


def _check_each_has_its_place(files: Mapping[str, bytes]) -> None:
    places = dict[str, str]()
    for key in files:
        other = places.setdefault(folded(key), key)
        if other != key:
            raise _no_place(
                f"{other!r} and {key!r} are one file where upper and lower case, or two ways to "
                "write a letter, are the same."
            )
    for place, key in places.items():
        for parent in PurePosixPath(place).parents:
            if file := places.get(str(parent)):
                raise _no_place(f"{file!r} is a file, and {key!r} needs it to be a folder.")


def _no_place(message: str) -> InvalidRequest:
    return InvalidRequest(message, hint="Rename one of them.", param="files")


def _bytes_of(text: str, *, key: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"The text of the file {key!r} is not valid Unicode.",
            hint="Save the file as UTF-8.",
            param="files",
        ) from None


def _files_in(folder: Path, *, root: Path, trail: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for entry in folder.iterdir():
        real = Path(os.path.realpath(entry))
        if entry.name.startswith(".") or not real.is_relative_to(root):
            continue
        if real.is_file():
            yield entry.name, real
        elif real.is_dir() and real not in trail:  # a link to a folder above it would never end
            for key, file in _files_in(real, root=root, trail=(*trail, real)):
                yield f"{entry.name}/{key}", file
