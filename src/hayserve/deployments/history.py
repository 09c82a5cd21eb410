"""Reads the past of a deployment: what was served when, and how it differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hayserve.deployments.change import Active, Change
from hayserve.deployments.diff import diff
from hayserve.deployments.ledger import Ledger
from hayserve.deployments.revision import Content, Revision
from hayserve.deployments.revisions import Revisions
from hayserve.errors import InvalidRequest, NotFound


@dataclass(frozen=True, slots=True)
class Past:
    """One revision of a deployment and what became of it.

    Args:
        revision: The revision.
        is_active: Whether it is served.
        served_at: When it last began to be served; None if it never was.
    """

    revision: Revision
    is_active: bool
    served_at: datetime | None


class History:
    """The past of deployments, those that are not served any more included.

    Args:
        ledger: What was changed.
        revisions: What was accepted.
    """

    def __init__(self, ledger: Ledger, revisions: Revisions) -> None:
        self._ledger = ledger
        self._revisions = revisions

    def of(self, name: str) -> Sequence[Past]:
        """The revisions of a deployment, the newest first.

        Raises:
            NotFound: Nothing of that name was ever deployed.
        """
        known = self._revisions.of(name)
        if not known:
            raise NotFound(f"Nothing was ever deployed as {name!r}.")
        active = self._ledger.active(name)
        served_at = {
            change.revision.number: change.ended_at
            for change in self._ledger.history(name)
            if change.stage == "done" and change.revision is not None and change.action != "alias"
        }
        return [
            Past(
                revision,
                is_active=active is not None and active.revision.number == revision.number,
                served_at=served_at.get(revision.number),
            )
            for revision in reversed(known)
        ]

    def diff(self, name: str, *, old: int, new: int) -> str:
        """What changed from one revision to another, as `patch` understands it.

        Raises:
            NotFound: There is no such deployment or revision.
        """
        first, second = self._revisions.get(name, old), self._revisions.get(name, new)
        return _diff_of_terms(first.content, second.content) + diff(
            self._files_of(first),
            self._files_of(second),
            old_label=f"revision {old}",
            new_label=f"revision {new}",
        )

    def _files_of(self, revision: Revision) -> dict[str, bytes]:
        content = revision.content
        if not content.is_stored:
            return {}
        return dict(self._revisions.bundle(content.digest).files)


def _diff_of_terms(old: Content, new: Content) -> str:
    """What was given beside the files."""
    given = {
        "parameters": (dict(old.parameters), dict(new.parameters)),
        "limits": (old.limits.as_fields(), new.limits.as_fields()),
    }
    return "".join(
        f"-{name} {before}\n+{name} {after}\n"
        for name, (before, after) in given.items()
        if before != after
    )


def earlier(history: Sequence[Change], active: Active | None) -> int:
    """The number of the revision that was served before what is served now.

    Raises:
        InvalidRequest: There is none.
    """
    served = [one.revision.number for one in _served(history) if one.revision is not None]
    if active is None and served:
        return served[-1]
    before = [number for number in served if active and number < active.revision.number]
    if not before:
        name = history[-1].name
        raise InvalidRequest(
            f"{name!r} has no earlier revision.",
            hint=f"`hayserve history {name}` lists those that there are.",
        )
    return max(before)


def last_served(history: Sequence[Change]) -> Change | None:
    """The change that says how a deployment was last served."""
    return next(reversed(_served(history)), None)


def _served(history: Sequence[Change]) -> list[Change]:
    return [one for one in history if one.stage == "done" and one.revision is not None]
