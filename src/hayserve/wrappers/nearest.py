"""Suggests which of the known names was meant by one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], *, kind: str) -> str:
    """A hint: the known name that is most like `name`, or all of them if none is.

    Args:
        name: What was written.
        known: What could have been written.
        kind: What the names are, in the plural, such as "components".
    """
    names = list(known)
    by_lower = {known_name.lower(): known_name for known_name in names}
    near = get_close_matches(name.lower(), by_lower, n=1)
    if near:
        return f"Did you mean {by_lower[near[0]]!r}?"
    if not names:
        return f"There are no {kind}."
    return f"The {kind} are {', '.join(map(repr, sorted(names)))}."
