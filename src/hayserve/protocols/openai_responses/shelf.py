"""Takes files from clients, piece by piece, and puts their contents where requests name them."""

import base64
import mimetypes
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import anyio
import anyio.to_thread

from hayserve.errors import InvalidRequest, NotFound, StorageUnavailable
from hayserve.kept.files import PIECE_BYTES, File, Files

AT_ONCE = 4
LONGEST_PURPOSE = 64
# The ids of other servers, and those that wrappers make, do not look like this.
PREFIX = "file-hs"
_ANY_TYPE = "application/octet-stream"
# What of an item holds parts: of a message, and of what a tool of the client gave.
_WITH_PARTS = ("content", "output")

Item: TypeAlias = Mapping[str, Any]
T = TypeVar("T")


class Readable(Protocol):
    """An upload."""

    async def read(self, size: int = -1) -> bytes: ...


class Shelf:
    """The files that are kept.

    Args:
        files: Where they are.
        keep_seconds: For how long, where the client does not say.
    """

    def __init__(self, files: Files, *, keep_seconds: float) -> None:
        self._files = files
        self._keep_seconds = keep_seconds
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def take(
        self,
        upload: Readable,
        *,
        owner: str,
        name: str,
        purpose: str,
        media_type: str | None,
        keep_seconds: float | None = None,
    ) -> File:
        """Keep an upload; if that does not come to its end, nothing of it stays.

        Raises:
            InvalidRequest: Its name, purpose or type cannot be kept.
            StorageUnavailable: The database does not answer.
        """
        now = time.time()
        seconds = self._keep_seconds if keep_seconds is None else keep_seconds
        file = File(
            id=f"{PREFIX}{secrets.token_hex(12)}",
            owner=owner,
            name=name,
            purpose=purpose,
            media_type=media_type or mimetypes.guess_type(name)[0] or _ANY_TYPE,
            size=0,
            created_at=now,
            expires_at=now + seconds,
        )
        _check(file)
        try:
            await self._call(partial(self._files.begin, file))
            size = await self._copy(upload, file.id)
            await self._call(partial(self._files.end, file.id, size))
        except BaseException:
            await self._give_up(file)
            raise
        return replace(file, size=size)

    async def _copy(self, upload: Readable, id_: str) -> int:
        size = number = 0
        while piece := await upload.read(PIECE_BYTES):
            await self._call(partial(self._files.add, id_, piece, number=number))
            size, number = size + len(piece), number + 1
        return size

    async def _give_up(self, file: File) -> None:
        # What cannot be deleted now is never shown, and purged later.
        with anyio.CancelScope(shield=True), suppress(StorageUnavailable):
            await self._call(partial(self._files.delete, file.id, owner=file.owner))

    async def find(self, id_: str, *, owner: str) -> File:
        """A file.

        Raises:
            NotFound: There is none of that id, or it is somebody else's.
        """
        found = await self._call(partial(self._files.find, id_, owner=owner))
        if found is None:
            raise _not_kept(id_)
        return found

    async def owned(self, owner: str) -> list[File]:
        """All files of an owner, the newest first."""
        return await self._call(partial(self._files.owned, owner))

    async def delete(self, id_: str, *, owner: str) -> None:
        """Delete a file.

        Raises:
            NotFound: As from `find`.
        """
        await self.find(id_, owner=owner)
        await self._call(partial(self._files.delete, id_, owner=owner))

    async def content(self, file: File) -> AsyncGenerator[bytes]:
        """A file's content, piece by piece."""
        number = 0
        while (piece := await self._call(partial(self._files.piece, file.id, number))) is not None:
            yield piece
            number += 1

    async def with_contents(self, items: Sequence[Item], *, owner: str) -> list[Item]:
        """The items or messages, with the contents of files where they only name them.

        A file that is not one of those that are kept here stays named: its wrapper may know it.

        Raises:
            NotFound: A file that is named is not kept any more, or belongs to somebody else.
        """
        return [await self._with_content(item, owner=owner) for item in items]

    async def _with_content(self, item: Item, *, owner: str) -> Item:
        filled: dict[str, Any] = {}
        for name in _WITH_PARTS:
            parts: object = item.get(name)
            if isinstance(parts, list):
                given = cast(list[object], parts)
                filled[name] = [await self._part(part, owner=owner) for part in given]
        return {**item, **filled} if filled else item

    async def _part(self, part: object, *, owner: str) -> object:
        named = cast(Item, part if isinstance(part, dict) else {})
        match named.get("type"), named.get("file_id"), named.get("file"):
            case "input_file", str(id_), _ if _is_ours(id_):
                return {"type": "input_file", **await self._data(id_, owner=owner)}
            case "input_image", str(id_), _ if _is_ours(id_):
                data = await self._data(id_, owner=owner)
                detail = named.get("detail") or "auto"
                return {"type": "input_image", "image_url": data["file_data"], "detail": detail}
            case "file", _, {"file_id": str(id_)} if _is_ours(id_):
                return {"type": "file", "file": await self._data(id_, owner=owner)}
            case _:
                return cast(object, part)

    async def _data(self, id_: str, *, owner: str) -> dict[str, str]:
        file = await self.find(id_, owner=owner)
        url = await self._call(partial(self._data_url, file))
        return {"filename": file.name, "file_data": url}

    def _data_url(self, file: File) -> str:
        data = b"".join(self._files.content(file.id))
        if len(data) != file.size:  # it was deleted meanwhile
            raise _not_kept(file.id)
        return f"data:{file.media_type};base64,{base64.b64encode(data).decode()}"

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)


def _is_ours(id_: str) -> bool:
    return id_.startswith(PREFIX)


def _not_kept(id_: str) -> NotFound:
    return NotFound(
        f"No file {id_!r} is kept.",
        hint="It was deleted, has expired, or belongs to another key.",
        param="file_id",
    )


def _check(file: File) -> None:
    """Refuse what a database has no room for."""
    if len(file.purpose) > LONGEST_PURPOSE:
        raise InvalidRequest(
            f"The purpose of the file has more than {LONGEST_PURPOSE} characters.",
            hint="Send one of OpenAI's, such as user_data.",
            param="purpose",
        )
    if "\0" in f"{file.name}{file.purpose}{file.media_type}":
        raise InvalidRequest("What is said of the file holds a NUL character.", param="file")
