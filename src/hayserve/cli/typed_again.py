"""Repeats the command that was typed, changed so that it does what it could not do."""

import sys
from collections.abc import Iterator, Sequence
from shlex import join


def typed_again(option: str) -> str:
    """The command as it was typed with `option`, to be copied; a key is not repeated."""
    return join(["hayserve", *_without_key(sys.argv[1:]), option])


def _without_key(words: Sequence[str]) -> Iterator[str]:
    before = ""
    for word in words:
        if "--key" not in {word, before} and not word.startswith("--key="):
            yield word
        before = word
