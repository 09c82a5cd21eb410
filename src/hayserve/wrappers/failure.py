"""What to tell people about an exception that came out of a wrapper's code."""

import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

# Every deployment's code lives in a package of its own whose name begins like this; nobody wrote
# that name, so it is taken out of what people read.
PRIVATE_PREFIX = "_hayserve_"

_LONGEST_TEXT = 2000
_PRIVATE_PARENT = re.compile(rf"\b{PRIVATE_PREFIX}\d+_\w+\.")
_PRIVATE_PACKAGE = re.compile(rf"\b{PRIVATE_PREFIX}\d+_(\w+)")
_QUOTED_PATH = re.compile(r"""(['"])(?:[A-Za-z]:)?[\\/][^'"\n]*[\\/]([^'"\\/\n]+)[\\/]*\1""")
_SEGMENT = r"""[^\s'"`<>|:;,()\[\]{}\\/]+"""
_BARE_PATH = re.compile(
    rf"(?:\bfile://|(?<![\w.:/\\…~-]))(?:[A-Za-z]:)?(?:[\\/]{{1,2}}{_SEGMENT})+[\\/]{{1,2}}({_SEGMENT})"
)


def explain(error: BaseException) -> str:
    """The exception in one line, as a caller may see it.

    It is the exception's type and text, without line breaks; an absolute path in the text is
    reduced to its last part. An error that Haystack raised because a component failed is told as
    the component's own error and the component's name.

    Args:
        error: What the wrapper's code raised.

    Returns:
        For example `ValueError: no such city (in component 'weather')`.
    """
    cause = _in_component(error)
    if cause is not None:
        return f"{explain(cause)} (in component {getattr(error, 'component_name', '')!r})"
    text = shorten_paths(_without_private_names(" ".join(_text_of(error).split())))
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}…"
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def user_frame(error: BaseException, folder: Path) -> str:
    """Where in a wrapper's folder an exception arose.

    Args:
        error: What the wrapper's code raised.
        folder: The folder that the wrapper was loaded from.

    Returns:
        The innermost line of the folder's files, such as `pipeline_wrapper.py line 12`; empty if
        none of them took part. What is installed inside of the folder is not the wrapper's.
    """
    root = os.path.realpath(folder)
    for link in _chain(error):
        inside = [
            f"{Path(file).relative_to(root).as_posix()} line {line}"
            for file, line in _places(link)
            if file.startswith(root + os.sep) and "site-packages" not in file.removeprefix(root)
        ]
        if inside:
            return inside[-1]
    return ""


def user_place(error: BaseException) -> str:
    """Where in the code of its deployment an exception arose, as `user_frame` says it.

    It is empty for agents, pipelines and wrappers that were not loaded from a folder.
    """
    folder = next(filter(None, map(_private_folder, _chain(error))), None)
    return "" if folder is None else user_frame(error, folder)


def shorten_paths(text: str) -> str:
    """`text` with every absolute path reduced to its last part: `…/name`."""
    return _BARE_PATH.sub(r"…/\1", _QUOTED_PATH.sub(r"\1…/\2\1", text))


def _text_of(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # user code: an exception may fail to describe itself
        return ""


def _without_private_names(text: str) -> str:
    return _PRIVATE_PACKAGE.sub(r"\1", _PRIVATE_PARENT.sub("", text))


def _in_component(error: BaseException) -> BaseException | None:
    """The component's own error, if Haystack raised `error` because a component failed."""
    named = isinstance(getattr(error, "component_name", None), str)
    return error.__cause__ if named else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception that is told, what led to it, and what Haystack made of it."""
    around: list[BaseException] = []
    while (cause := _in_component(error)) is not None:
        around.append(error)
        error = cause
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
    yield from reversed(around)


def _private_folder(error: BaseException) -> Path | None:
    """The folder of the first deployment whose code took part."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module, file = (str(frame.f_globals.get(name, "")) for name in ("__name__", "__file__"))
        # The private package is the folder, and the dots are the folders below it.
        above = module.count(".") - (not file.endswith("__init__.py"))
        if module.startswith(PRIVATE_PREFIX) and file and above < len(Path(file).parents):
            return Path(file).parents[above]
    return None


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_code.co_filename, line
    if isinstance(error, SyntaxError):
        yield error.filename or "", error.lineno or 1
