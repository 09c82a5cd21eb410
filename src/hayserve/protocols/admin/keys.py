"""Makes keys, lists them, rotates them and revokes them: what `hayserve keys` calls."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from hayserve.access.key import Key
from hayserve.access.keys import Keys
from hayserve.access.rules import Rule
from hayserve.errors import NameTaken, StorageUnavailable, TooLarge
from hayserve.protocols.admin.author import author_of
from hayserve.protocols.admin.body import read_body
from hayserve.protocols.admin.key_bodies import NewKey, Rotation
from hayserve.protocols.admin.key_objects import KeyEntry, KeyList, KeyMade, key_entry, key_made
from hayserve.protocols.admin.schema import read
from hayserve.protocols.described import BODY, KEPT, Described, DescribedRoute, described_routes
from hayserve.protocols.json_answer import json_answer

_MADE = Described(
    allows=Rule.ADMIN,
    takes=NewKey,
    answers=KeyMade,
    errors=(*BODY, NameTaken, StorageUnavailable),
)
_LISTED = Described(allows=Rule.ADMIN, answers=KeyList, errors=(StorageUnavailable,))
_ROTATED = Described(
    allows=Rule.ADMIN, takes=Rotation, is_optional=True, answers=KeyMade, errors=(*BODY, *KEPT)
)
_REVOKED = Described(allows=Rule.ADMIN, answers=KeyEntry, errors=KEPT)
_LARGEST_BODY = 65_536

logger = logging.getLogger("hayserve.access")

Result = TypeVar("Result")


class KeyRoutes:
    """The face of the keys for the people who run the server.

    Args:
        keys: Those of all servers that share the database.
        look: Makes this worker see what has changed, so that a key can be used as soon as it is
            told; the others see it by themselves.
    """

    def __init__(self, keys: Keys, look: Callable[[], None] = lambda: None) -> None:
        self._keys = keys
        self._look = look

    def routes(self) -> list[DescribedRoute]:
        return described_routes(
            ("POST", "/keys", self.create_key, _MADE),
            ("GET", "/keys", self.list_keys, _LISTED),
            ("POST", "/keys/{name}/rotate", self.rotate_key, _ROTATED),
            ("DELETE", "/keys/{name}", self.revoke_key, _REVOKED),
        )

    async def create_key(self, request: Request) -> Response:
        """Make a key; its text, `key`, is in this answer and in no other."""
        asked = read(await _body(request), NewKey)
        create = partial(
            self._keys.create,
            asked.name,
            scopes=asked.scopes,
            budget=asked.budget.budget(),
            expires_in=asked.expires_in,
            by=_by(request),
        )
        key, text = await self._changed(create)
        _log("key_created", key, request)
        return _shown_once(key_made(key, text))

    async def list_keys(self, _request: Request) -> Response:
        """List all keys, also those that have expired or were revoked, the oldest first."""
        found = await anyio.to_thread.run_sync(self._keys.all)
        return json_answer({"keys": [key_entry(key) for key in found]})

    async def rotate_key(self, request: Request) -> Response:
        """Give a key another text; for `keep_old` seconds the old one is accepted as well."""
        asked = read(await _body(request) or b"{}", Rotation)
        rotate = partial(self._keys.rotate, _name(request), keep_old=asked.keep_old)
        key, text = await self._changed(rotate)
        _log("key_rotated", key, request)
        return _shown_once(key_made(key, text))

    async def revoke_key(self, request: Request) -> Response:
        """End a key; within a second no worker accepts it, and its name is free at once."""
        key = await self._changed(partial(self._keys.revoke, _name(request)))
        _log("key_revoked", key, request)
        return json_answer(key_entry(key))

    async def _changed(self, change: Callable[[], Result]) -> Result:
        def in_thread() -> Result:
            result = change()
            with suppress(StorageUnavailable):  # it is done, and will be seen
                self._look()
            return result

        return await anyio.to_thread.run_sync(in_thread)


async def _body(request: Request) -> bytes:
    refusal = TooLarge(f"The body is larger than {_LARGEST_BODY} bytes.")
    return await read_body(request, most=_LARGEST_BODY, refusal=refusal)


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _by(request: Request) -> str:
    author = author_of(request)
    return f"{author.by}, {author.where}" if author.where else author.by


def _log(event: str, key: Key, request: Request) -> None:
    logger.info(event, extra={"key": key.name, "prefix": key.prefix, "by": _by(request)})


def _shown_once(made: KeyMade) -> Response:
    answer = json_answer(made)
    answer.headers["Cache-Control"] = "no-store"
    return answer
