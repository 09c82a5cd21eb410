"""What clients note of something that is kept for them: its `metadata`.

Source: https://platform.openai.com/docs/api-reference/metadata
"""

from collections.abc import Mapping
from typing import Annotated, cast

from pydantic import Field
from typing_extensions import TypedDict

from hayserve.errors import InvalidRequest

MOST, LONGEST_NAME, LONGEST_NOTE = 16, 64, 512

_Name = Annotated[str, Field(max_length=LONGEST_NAME)]
_Note = Annotated[str, Field(max_length=LONGEST_NOTE)]


class Notes(TypedDict, total=False):
    """The body of a request that notes something."""

    metadata: Annotated[dict[_Name, _Note], Field(max_length=MOST)] | None


def notes_in(body: Mapping[str, object]) -> dict[str, str]:
    """The `metadata` of a request; empty where there is none.

    Raises:
        InvalidRequest: It is something else than a few short texts.
    """
    notes = body.get("metadata")
    if notes is None:
        return {}
    if isinstance(notes, dict):
        given = cast(dict[str, object], notes)
        if len(given) <= MOST and all(_fits(name, note) for name, note in given.items()):
            return cast(dict[str, str], given)
    raise InvalidRequest(
        f"'metadata' has to be an object of at most {MOST} texts, with names of at most "
        f"{LONGEST_NAME} and texts of at most {LONGEST_NOTE} characters.",
        param="metadata",
    )


def _fits(name: str, note: object) -> bool:
    return isinstance(note, str) and len(name) <= LONGEST_NAME and len(note) <= LONGEST_NOTE
