"""Keeps revisions and their files in the database."""

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, select

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.deployment import Origin
from hayserve.deployments.revision import Author, Content, Revision
from hayserve.errors import Misconfigured, NotFound
from hayserve.storage.database import Database
from hayserve.storage.tables import bundles, contents, revisions
from hayserve.wrappers.run_limits import RunLimits


class Revisions:
    """All that was ever accepted; nothing in it changes.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, bundle: Bundle) -> None:
        """Keep the files of `bundle`, each content once, byte for byte."""
        with self._database.reading() as connection:
            if has_bundle(connection, bundle.digest):
                return
        by_hash = {_hash_of(data): data for data in bundle.files.values()}
        with self._database.writing() as connection:
            if has_bundle(connection, bundle.digest):
                return
            for sha256, data in by_hash.items():
                known = select(contents.c.sha256).where(contents.c.sha256 == sha256)
                if connection.execute(known).first() is None:
                    connection.execute(insert(contents).values(sha256=sha256, data=data))
            connection.execute(
                insert(bundles).values(
                    digest=bundle.digest,
                    files={key: _hash_of(data) for key, data in bundle.files.items()},
                    size=sum(map(len, bundle.files.values())),
                )
            )

    def bundle(self, digest: str) -> Bundle:
        """The files that have that digest, as they were sent.

        Raises:
            NotFound: There are none.
            Misconfigured: The database holds others than it was given.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                select(bundles.c.files).where(bundles.c.digest == digest)
            ).first()
            if row is None:
                raise NotFound(f"The files of {digest[:12]!r} are not kept.")
            files: dict[str, str] = row.files
            wanted = select(contents.c.sha256, contents.c.data).where(
                contents.c.sha256.in_(set(files.values()))
            )
            data = {found.sha256: bytes(found.data) for found in connection.execute(wanted)}
        bundle = Bundle({key: data.get(sha256, b"") for key, sha256 in files.items()})
        if bundle.digest != digest:
            raise Misconfigured(
                f"The files of {digest[:12]!r} in the database are damaged.",
                hint="Deploy them again under another name, or put a backup in place.",
            )
        return bundle

    def get(self, name: str, number: int) -> Revision:
        """One revision.

        Raises:
            NotFound: There is none of that number; the message names those that there are.
        """
        for revision in (known := self.of(name)):
            if revision.number == number:
                return revision
        numbers = ", ".join(str(revision.number) for revision in known) or "none"
        raise NotFound(
            f"{name!r} has no revision {number}.", hint=f"Its revisions: {numbers}.", param="to"
        )

    def of(self, name: str) -> list[Revision]:
        """All revisions of a name, the first first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(revisions).where(revisions.c.name == name).order_by(revisions.c.number)
            )
            return [revision_in(row) for row in rows]

    def discard(self, digest: str) -> None:
        """Forget files that no revision has; those that one has stay."""
        with self._database.writing() as connection:
            _remove_unused(connection, {digest})

    def digests(self) -> set[tuple[str, str]]:
        """The name and the digest of everything whose files are kept."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(revisions.c.name, revisions.c.digest).where(
                    revisions.c.kind.in_(["folder", "yaml"])
                )
            )
            return {(row.name, row.digest) for row in rows}


def add(
    connection: Connection, name: str, content: Content, *, origin: Origin, author: Author
) -> int:
    """Add a revision in the transaction of a change; gives its number."""
    newest = connection.scalar(select(func.max(revisions.c.number)).where(revisions.c.name == name))
    number = (newest or 0) + 1
    connection.execute(
        insert(revisions).values(
            name=name,
            number=number,
            kind=content.kind,
            digest=content.digest,
            place=content.place,
            parameters=dict(content.parameters),
            limits=content.limits.as_fields(),
            description=content.description,
            skip_mcp=content.skip_mcp,
            origin=origin,
            deployed_by=author.by,
            deployed_from=author.where,
            deployed_at=time.time(),
        )
    )
    return number


def remove_all(connection: Connection, name: str) -> None:
    """Forget every revision of a name, and the files that no other revision has."""
    own = revisions.c.name == name
    digests = set(connection.scalars(select(revisions.c.digest).where(own)))
    connection.execute(delete(revisions).where(own))
    _remove_unused(connection, digests)


def revision_in(row: Row[Any]) -> Revision:
    return Revision(
        name=row.name,
        number=row.number,
        content=Content(
            kind=row.kind,
            digest=row.digest,
            place=row.place,
            parameters=row.parameters,
            limits=RunLimits(**row.limits),
            description=row.description,
            skip_mcp=row.skip_mcp,
        ),
        origin=row.origin,
        author=Author(row.deployed_by, row.deployed_from),
        deployed_at=datetime.fromtimestamp(row.deployed_at, UTC),
    )


def declared_digest(content: Content, aliases: Collection[str]) -> str:
    """One hash of all that a start can say of a deployment."""
    parts: Mapping[str, Any] = {
        "kind": content.kind,
        "digest": content.digest,
        "place": content.place,
        "parameters": dict(content.parameters),
        "limits": content.limits.as_fields(),
        "aliases": sorted(aliases),
        "description": content.description,
        "skip_mcp": content.skip_mcp,
    }
    return _hash_of(json.dumps(parts, sort_keys=True, default=str).encode())


def has_bundle(connection: Connection, digest: str) -> bool:
    """Whether the files that have that digest are kept."""
    return (
        connection.execute(select(bundles.c.digest).where(bundles.c.digest == digest)).first()
        is not None
    )


def _remove_unused(connection: Connection, digests: Collection[str]) -> None:
    """Forget those of the bundles that no revision has."""
    unused = and_(
        bundles.c.digest.in_(digests), bundles.c.digest.not_in(select(revisions.c.digest))
    )
    gone = _hashes_of(connection, select(bundles.c.files).where(unused))
    connection.execute(delete(bundles).where(unused))
    for sha256 in gone - _hashes_of(connection, select(bundles.c.files)):
        connection.execute(delete(contents).where(contents.c.sha256 == sha256))


def _hashes_of(connection: Connection, chosen: Select[Any]) -> set[str]:
    return {sha256 for row in connection.execute(chosen) for sha256 in row.files.values()}


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
