"""What changed between two bundles, as `patch -p1` and `git apply` read it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TypeAlias

_Change: TypeAlias = tuple[str, int, int, int, int]

_CONTEXT = 3
# Steps, about, that finding what belongs together may take: some seconds. Where it would take more,
# as it does if more than 5000 different lines lie between the first change and the last, all of
# them are shown as one change.
_MOST_STEPS = 50_000_000
_NOTHING = "/dev/null"
_NO_NEWLINE = "\n\\ No newline at end of file\n"
_NEEDS_QUOTES = re.compile(r'["\\\x00-\x1f\x7f]')
_NOT_OF_A_LABEL = re.compile(r"[^\w.@+-]+")


def diff(
    old: Mapping[str, bytes], new: Mapping[str, bytes], *, old_label: str, new_label: str
) -> str:
    """The unified diff of all files that differ, in the order of their paths; empty if none does.

    Of files that are not text (not UTF-8, or with a NUL) it says only that they differ, and those
    are not changed by applying it.

    Args:
        old: Content by path.
        new: Content by path.
        old_label: What stands in front of the paths of `old`; what would not be one part of a
            path becomes `-`.
        new_label: What stands in front of the paths of `new`.
    """
    labels = _label(old_label), _label(new_label)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return "".join(
        part for key in changed for part in _changes(key, (old.get(key), new.get(key)), labels)
    )


def _changes(
    key: str, contents: tuple[bytes | None, bytes | None], labels: tuple[str, str]
) -> Iterator[str]:
    before, after = (f"{label}/{key}" for label in labels)
    shown = [
        _NOTHING if content is None else path
        for path, content in zip((before, after), contents, strict=True)
    ]
    old, new = (_lines_of(content) for content in contents)
    if old is None or new is None:
        yield f"Binary files {_quoted(shown[0])} and {_quoted(shown[1])} differ\n"
        return
    yield f"diff --git {_quoted(before)} {_quoted(after)}\n"
    if contents[0] is None:
        yield "new file mode 100644\n"
    if contents[1] is None:
        yield "deleted file mode 100644\n"
    if old or new:
        yield f"--- {_in_header(shown[0])}\n+++ {_in_header(shown[1])}\n"
        yield from _hunks(old, new)


def _lines_of(content: bytes | None) -> list[str] | None:
    """The lines of a text, each with its newline; None if it is not a text."""
    try:
        text = (content or b"").decode()
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    *lines, rest = text.split("\n")
    return [f"{line}\n" for line in lines] + ([rest] if rest else [])


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for changes in _compared(old, new):
        first, last = changes[0], changes[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for tag, old_begin, old_end, new_begin, new_end in changes:
            if tag == "equal":
                yield from _marked(" ", old[old_begin:old_end])
            else:
                yield from _marked("-", old[old_begin:old_end])
                yield from _marked("+", new[new_begin:new_end])


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterator[Sequence[_Change]]:
    head = _equal_lines(old, new)
    tail = _equal_lines(reversed(old[head:]), reversed(new[head:]))
    begin, end = max(0, head - _CONTEXT), max(0, tail - _CONTEXT)
    old, new = old[begin : len(old) - end], new[begin : len(new) - end]
    if _steps(old, new) <= _MOST_STEPS:
        groups = SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT)
    else:
        groups = iter([_one_change(len(old), len(new), before=head - begin, behind=tail - end)])
    for changes in groups:
        yield [
            (tag, old_begin + begin, old_end + begin, new_begin + begin, new_end + begin)
            for tag, old_begin, old_end, new_begin, new_end in changes
        ]


def _steps(old: Sequence[str], new: Sequence[str]) -> int:
    times = Counter(new)
    pairs = sum(times[line] for line in old)
    return (len(old) + pairs) * min(len(old), len(new))


def _one_change(old: int, new: int, *, before: int, behind: int) -> list[_Change]:
    """All of so many lines as one change, except those that are equal before it and behind."""
    return [
        ("equal", 0, before, 0, before),
        ("replace", before, old - behind, before, new - behind),
        ("equal", old - behind, old, new - behind, new),
    ]


def _equal_lines(old: Iterable[str], new: Iterable[str]) -> int:
    """How many lines are equal at the beginning."""
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _marked(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"{sign}{line}" if line.endswith("\n") else f"{sign}{line}{_NO_NEWLINE}"


def _range(begin: int, end: int) -> str:
    return f"{begin + 1 if end > begin else begin},{end - begin}"


def _label(label: str) -> str:
    return _NOT_OF_A_LABEL.sub("-", label).lstrip(".") or "-"


def _in_header(path: str) -> str:
    """The path; one with a space in it is ended by a tab, as `patch` wants it."""
    quoted = _quoted(path)
    return f"{quoted}\t" if " " in path and quoted == path else quoted


def _quoted(path: str) -> str:
    if not _NEEDS_QUOTES.search(path):
        return path
    escaped = _NEEDS_QUOTES.sub(_escape, path)
    return f'"{escaped}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{character}" if character in '"\\' else f"\\{ord(character):03o}"
