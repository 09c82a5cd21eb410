"""Keeps in the database what should be served, and every change of it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, null, select, true, update
from sqlalchemy.exc import IntegrityError

from hayserve.deployments.change import (
    Active,
    Answer,
    Change,
    Reached,
    Snapshot,
    Stage,
)
from hayserve.deployments.declarations import failures_in, runs_in
from hayserve.deployments.plan import Plan
from hayserve.deployments.revision import Author, Revision
from hayserve.deployments.revisions import add, has_bundle, remove_all, revision_in
from hayserve.errors import NameTaken
from hayserve.storage.database import Database, upsert
from hayserve.storage.tables import (
    answers,
    changes,
    declarations,
    deployments,
    names,
    revisions,
    workers,
)

_OPEN: tuple[Stage, ...] = ("loading", "holding", "committed")


class Outdated(Exception):
    """What a change was decided on has changed since; it is to be decided again."""


class Busy(Exception):
    """Another change of the same deployment is under way."""


class Ledger:
    """What should be served, the changes under way, and those that were.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def snapshot(self, node: str = "") -> Snapshot:
        """All that a worker of `node` has to follow, as it is at one moment."""
        with self._database.reading() as connection:
            return Snapshot(
                active=_active(connection, true()),
                open_changes=_changes(connection, changes.c.stage.in_(_OPEN)),
                failures=failures_in(connection),
                declared=runs_in(connection, node),
            )

    def active(self, name: str) -> Active | None:
        """What should be served as `name`, its own name."""
        with self._database.reading() as connection:
            return _active_one(connection, name)

    def history(self, name: str) -> Sequence[Change]:
        """All changes of a deployment, the first first."""
        with self._database.reading() as connection:
            return _changes(connection, changes.c.name == name)

    def begin(self, plan: Plan, *, coordinator: str) -> Change:
        """Open a change; its revision exists from now on, and is not served yet.

        Raises:
            NameTaken: One of its names belongs to another deployment.
            Outdated: Something else is served than the plan has seen, or what it is about is gone.
            Busy: A change of the same deployment is open.
        """
        with self._database.writing() as connection:
            if plan.seen != _active_one(connection, plan.name) or not _is_there(connection, plan):
                raise Outdated
            if plan.action != "undeploy":
                _check_free(connection, plan)
            opened = changes.c.open_name == plan.name
            if connection.execute(select(changes.c.id).where(opened)).first() is not None:
                raise Busy
            number = _revision_for(connection, plan)
            result = connection.execute(
                insert(changes).values(
                    **_change_row(plan, number=number, coordinator=coordinator),
                    open_name=plan.name,
                    stage="loading",
                )
            )
            [key] = result.inserted_primary_key or [0]
            [change] = _changes(connection, changes.c.id == key)
        return change

    def advance(self, change_id: int, *, old: Stage, new: Stage) -> bool:
        """Bring a change from one stage to the next; False if it is not there any more."""
        with self._database.writing() as connection:
            return _move(connection, change_id, old=old, new=new)

    def answer(self, change_id: int, answer: Answer) -> None:
        """Note how far a worker has come; nothing happens if the change has ended."""
        with self._database.writing() as connection:
            opened = and_(changes.c.id == change_id, changes.c.stage.in_(_OPEN))
            if connection.execute(select(changes.c.id).where(opened)).first() is None:
                return
            row = {
                "change": change_id,
                "worker": answer.worker,
                "stage": answer.reached,
                "error": answer.error,
            }
            upsert(connection, answers, row, keys=["change", "worker"])

    def answers(self, change_id: int) -> dict[str, Answer]:
        """The answers of the workers, by worker."""
        with self._database.reading() as connection:
            rows = connection.execute(select(answers).where(answers.c.change == change_id))
            return {row.worker: Answer(row.worker, row.stage, row.error) for row in rows}

    def stage(self, change_id: int) -> Stage:
        """How far a change has come."""
        with self._database.reading() as connection:
            stage: Stage | None = connection.scalar(
                select(changes.c.stage).where(changes.c.id == change_id)
            )
            return stage or "aborted"

    def commit(self, change: Change) -> bool:
        """Make a change true in one transaction, if every worker that there is holds for it.

        Returns:
            Whether it was made; it was not if a worker has joined that does not hold yet.

        Raises:
            Outdated: The change was aborted.
            NameTaken: One of its names was taken meanwhile.
        """
        try:
            with self._database.writing() as connection:
                if _missing(connection, change.id, reached="held"):
                    return False
                if not _move(connection, change.id, old="holding", new="committed"):
                    raise Outdated
                number = change.revision.number if change.revision else None
                _apply(connection, change.name, number, aliases=change.aliases, keep=change.keep)
        except IntegrityError:
            raise NameTaken(
                f"One of the names {', '.join(map(repr, change.names))} was taken meanwhile.",
                hint="Choose another name, or undeploy that one first.",
            ) from None
        return True

    def end(self, change_id: int, *, stage: Stage, reason: str = "") -> bool:
        """End a change: as done if it was committed, as aborted if it was not yet.

        Returns:
            Whether it ended so. An aborted change can no longer be committed, a committed one no
            longer be aborted.
        """
        before: list[Stage] = ["committed"] if stage == "done" else ["loading", "holding"]
        with self._database.writing() as connection:
            result = connection.execute(
                update(changes)
                .where(changes.c.id == change_id, changes.c.stage.in_(before))
                .values(stage=stage, reason=reason, open_name=None, ended_at=time.time())
            )
            if result.rowcount:
                connection.execute(delete(answers).where(answers.c.change == change_id))
            return bool(result.rowcount)

    def activate(self, plan: Plan, *, coordinator: str) -> None:
        """Make a change at once: for a start at which no worker serves yet.

        Raises:
            NameTaken: One of its names belongs to another deployment.
        """
        with self._database.writing() as connection:
            if plan.action != "undeploy":
                _check_free(connection, plan)
            number = _revision_for(connection, plan)
            connection.execute(
                insert(changes).values(
                    **_change_row(plan, number=number, coordinator=coordinator),
                    stage="done",
                    ended_at=time.time(),
                )
            )
            _apply(connection, plan.name, number, aliases=plan.aliases, keep=plan.keep)

    def arrange(self, first: Sequence[str]) -> None:
        """List what is served so that these names come first, in this order."""
        with self._database.writing() as connection:
            known = connection.execute(select(deployments).order_by(deployments.c.position)).all()
            ordered = [*first, *(row.name for row in known if row.name not in first)]
            for position, name in enumerate(ordered, start=1):
                connection.execute(
                    update(deployments)
                    .where(deployments.c.name == name, deployments.c.position != position)
                    .values(position=position)
                )

    def purge(self, name: str) -> bool:
        """Forget the history of what is not served any more, and its files.

        Returns:
            Whether it was; it stays where it is served again, or is about to be.
        """
        with self._database.writing() as connection:
            opened = select(changes.c.id).where(changes.c.open_name == name)
            if (
                _active_one(connection, name) is not None
                or connection.execute(opened).first() is not None
            ):
                return False
            ended = select(changes.c.id).where(changes.c.name == name)
            connection.execute(delete(answers).where(answers.c.change.in_(ended)))
            connection.execute(delete(changes).where(changes.c.name == name))
            connection.execute(delete(names).where(names.c.deployment == name))
            connection.execute(delete(deployments).where(deployments.c.name == name))
            remove_all(connection, name)
            return True


def _active(connection: Connection, condition: Any) -> list[Active]:
    both = deployments.join(
        revisions,
        and_(revisions.c.name == deployments.c.name, revisions.c.number == deployments.c.revision),
    )
    columns = (deployments.c.aliases, deployments.c.keep, revisions)
    rows = connection.execute(
        select(*columns)
        .select_from(both)
        .where(condition)
        .order_by(deployments.c.position, deployments.c.name)
    )
    return [Active(row.name, revision_in(row), tuple(row.aliases), row.keep) for row in rows]


def _changes(connection: Connection, condition: Any) -> list[Change]:
    rows = connection.execute(select(changes).where(condition).order_by(changes.c.id)).all()
    wanted = {(row.name, row.revision) for row in rows if row.revision is not None}
    found: dict[tuple[str, int], Revision] = {}
    for name in {name for name, _ in wanted}:
        known = connection.execute(select(revisions).where(revisions.c.name == name))
        found |= {(row.name, row.number): revision_in(row) for row in known}
    return [_change_in(row, found.get((row.name, row.revision))) for row in rows]


def _change_in(row: Row[Any], revision: Revision | None) -> Change:
    return Change(
        id=row.id,
        name=row.name,
        action=row.action,
        revision=revision,
        aliases=tuple(row.aliases),
        keep=row.keep,
        stage=row.stage,
        coordinator=row.coordinator,
        author=Author(row.made_by, row.made_from),
        begun_at=datetime.fromtimestamp(row.begun_at, UTC),
        ended_at=None if row.ended_at is None else datetime.fromtimestamp(row.ended_at, UTC),
        reason=row.reason,
    )


def _change_row(plan: Plan, *, number: int | None, coordinator: str) -> dict[str, Any]:
    return {
        "name": plan.name,
        "action": plan.action,
        "revision": number,
        "aliases": list(plan.aliases),
        "keep": plan.keep,
        "reason": "",
        "coordinator": coordinator,
        "made_by": plan.author.by,
        "made_from": plan.author.where,
        "begun_at": time.time(),
    }


def _active_one(connection: Connection, name: str) -> Active | None:
    return next(iter(_active(connection, deployments.c.name == name)), None)


def _is_there(connection: Connection, plan: Plan) -> bool:
    """Whether nobody has purged what the plan is about since it was decided."""
    if plan.content is not None:
        return not plan.content.is_stored or has_bundle(connection, plan.content.digest)
    known = and_(revisions.c.name == plan.name, revisions.c.number == plan.number)
    return plan.number is None or (
        connection.execute(select(revisions.c.number).where(known)).first() is not None
    )


def _revision_for(connection: Connection, plan: Plan) -> int | None:
    if plan.content is None:
        return plan.number
    return add(connection, plan.name, plan.content, origin=plan.origin, author=plan.author)


def _check_free(connection: Connection, plan: Plan) -> None:
    taken = connection.execute(
        select(names).where(names.c.name.in_(plan.names), names.c.deployment != plan.name)
    ).first()
    owners = {taken.name: taken.deployment} if taken else {}
    for change in _changes(connection, changes.c.open_name.is_not(None)):
        if change.name != plan.name and change.revision is not None:
            owners |= dict.fromkeys(set(change.names) & set(plan.names), change.name)
    for name, owner in owners.items():
        raise NameTaken(
            f"The name {name!r} belongs to the deployment {owner!r}.",
            hint="Choose another name, or undeploy that one first.",
        )


def _move(connection: Connection, change_id: int, *, old: Stage, new: Stage) -> bool:
    result = connection.execute(
        update(changes).where(changes.c.id == change_id, changes.c.stage == old).values(stage=new)
    )
    return bool(result.rowcount)


def _missing(connection: Connection, change_id: int, *, reached: Reached) -> set[str]:
    """The workers that have not come so far."""
    there = connection.scalars(
        select(answers.c.worker).where(answers.c.change == change_id, answers.c.stage == reached)
    )
    return set(connection.scalars(select(workers.c.id))) - set(there)


def _apply(
    connection: Connection,
    name: str,
    number: int | None,
    *,
    aliases: Sequence[str],
    keep: bool,
) -> None:
    before = connection.execute(select(deployments).where(deployments.c.name == name)).first()
    position = before.position if before is not None and before.revision is not None else None
    if position is None:
        position = (connection.scalar(select(func.max(deployments.c.position))) or 0) + 1
    row = {
        "name": name,
        "revision": number,
        "aliases": list(aliases),
        "keep": keep,
        "position": position,
    }
    upsert(connection, deployments, row, keys=["name"])
    connection.execute(update(declarations).where(declarations.c.name == name).values(error=null()))
    connection.execute(delete(names).where(names.c.deployment == name))
    if number is not None:
        for one in dict.fromkeys((name, *aliases)):
            connection.execute(insert(names).values(name=one, deployment=name))
