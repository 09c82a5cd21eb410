"""What a caller may do, in the words that a key is made with."""

import re
from collections.abc import Collection, Iterable

from hayserve.errors import InvalidRequest

RUN, DEPLOY, ADMIN = "run", "deploy", "admin"
MOST_SCOPES = 100
# A deployment's name or alias; whether there is one does not matter, it may come later.
_RUN_ONE = re.compile(r"run:(\S{1,200})")


class Scopes:
    """A set of scopes.

    `run` allows to run all deployments, `run:NAME` to run the one that has this name or alias,
    under all of its names;
    `deploy` to change what is served, and to see its history; `admin` everything.

    Args:
        words: The scopes.

    Raises:
        InvalidRequest: One of them is none.
    """

    __slots__ = ("_names", "is_admin", "may_deploy", "runs_all", "words")

    def __init__(self, words: Iterable[str] = ()) -> None:
        self.words = tuple(dict.fromkeys(words))
        self._names = frozenset(map(_name_in, self.words)) - {""}
        self.is_admin = ADMIN in self.words
        self.may_deploy = self.is_admin or DEPLOY in self.words
        self.runs_all = self.is_admin or RUN in self.words

    def __bool__(self) -> bool:
        """Whether they allow anything."""
        return bool(self.words)

    @property
    def runs_some(self) -> bool:
        """Whether there may be a deployment that they allow to run."""
        return self.runs_all or bool(self._names)

    def may_run(self, names: Collection[str]) -> bool:
        """Whether they allow to run the deployment that has these names."""
        return self.runs_all or not self._names.isdisjoint(names)

    def __str__(self) -> str:
        return " ".join(self.words)


def _name_in(word: str) -> str:
    """The deployment that a scope is for; empty if it is for all."""
    if word in (RUN, DEPLOY, ADMIN):
        return ""
    if word.isprintable() and (found := _RUN_ONE.fullmatch(word)) is not None:
        return found[1]
    raise InvalidRequest(
        f"{word!r} is no scope.",
        hint="A scope is `run`, `run:` with the name of a deployment, `deploy` or `admin`.",
        param="scopes",
    )


NONE, ALL, RUNS = Scopes(), Scopes([ADMIN]), Scopes([RUN])
