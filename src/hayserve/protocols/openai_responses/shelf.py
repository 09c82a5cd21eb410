"""Takes files from clients, piece by piece, and puts their contents where requests name them."""

import base64
import mimetypes
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import anyio
import anyio.to_thread

from hayserve.errors import InvalidRequest, NotFound, StorageUnavailable, TooLarge
from hayserve.kept.files import PIECE_BYTES, File, Files

AT_ONCE = 4
LONGEST_PURPOSE = 64
# How large the files may be together that a request names, in bytes. Each counts as often as it is
# named, for so often a wrapper may write it out; in memory it is a third larger, as base64. It is
# less than one upload may have: what is kept for a wrapper to fetch need not fit into a request.
MOST_NAMED_BYTES = 100_000_000
# The ids of other servers, and those that wrappers make, do not look like this.
PREFIX = "file-hs"
_ANY_TYPE = "application/octet-stream"
# It goes into a header, and into a data URL, where a comma would end it.
# Source: https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1
_MEDIA_TYPE = re.compile(r"[!#-'*+.^_`|~\w-]+/[!#-'*+.^_`|~\w-]+ *(;[ -+\--~]*)?", re.ASCII)
# What of an item holds parts: of a message, and of what a tool of the client gave.
_WITH_PARTS = ("content", "output")

Item: TypeAlias = Mapping[str, Any]
T = TypeVar("T")


class Readable(Protocol):
    """An upload."""

    async def read(self, size: int = -1) -> bytes: ...


class _Content(NamedTuple):
    """What is put where a file is named."""

    name: str
    url: str


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
            media_type=(media_type or "").strip() or _type_by_name(name),
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
            TooLarge: The files that are named are more than `MOST_NAMED_BYTES`.
        """
        mentions = Counter(_ids_in(items))
        if not mentions:
            return list(items)
        files = [await self.find(id_, owner=owner) for id_ in mentions]
        # Before one of them is read.
        if sum(_weight(file) * mentions[file.id] for file in files) > MOST_NAMED_BYTES:
            raise _too_much_named()
        contents = {file.id: await self._content_of(file) for file in files}
        return [_with_contents(item, contents) for item in items]

    async def _content_of(self, file: File) -> _Content:
        return _Content(file.name, await self._call(partial(self._data_url, file)))

    def _data_url(self, file: File) -> str:
        data = b"".join(self._files.content(file.id))
        if len(data) != file.size:  # it was deleted meanwhile
            raise _not_kept(file.id)
        return f"data:{file.media_type};base64,{base64.b64encode(data).decode()}"

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)


def _type_by_name(name: str) -> str:
    # As the path that it is: `data:text/html,a.txt` is no URL here.
    return mimetypes.guess_type(f"/{name}")[0] or _ANY_TYPE


def _weight(file: File) -> int:
    """What it takes to name a file once: of an empty one, what is said of it is all."""
    return file.size + len(file.name) + len(file.media_type)


def _parts_in(item: Item) -> dict[str, list[object]]:
    """What of an item holds parts, and these."""
    given: dict[str, object] = {name: item.get(name) for name in _WITH_PARTS}
    return {
        name: cast(list[object], parts) for name, parts in given.items() if isinstance(parts, list)
    }


def _ids_in(items: Iterable[Item]) -> list[str]:
    """The ids of the files that are named, as often as they are."""
    lists = [parts for item in items for parts in _parts_in(item).values()]
    return [id_ for parts in lists for part in parts if (id_ := _id_in(part)) is not None]


def _id_in(part: object) -> str | None:
    """The id of the file that a part names, if it is one of those that are kept here."""
    named = cast(Item, part if isinstance(part, dict) else {})
    match named.get("type"), named.get("file_id"), named.get("file"):
        case (("input_file" | "input_image"), str(id_), _) if id_.startswith(PREFIX):
            return id_
        case "file", _, {"file_id": str(id_)} if id_.startswith(PREFIX):
            return id_
        case _:
            return None


def _with_contents(item: Item, contents: Mapping[str, _Content]) -> Item:
    filled = {
        name: [_with_content(part, contents) for part in parts]
        for name, parts in _parts_in(item).items()
    }
    return {**item, **filled} if filled else item


def _with_content(part: object, contents: Mapping[str, _Content]) -> object:
    id_ = _id_in(part)
    if id_ is None:
        return part
    named, content = cast(Item, part), contents[id_]
    data = {"filename": content.name, "file_data": content.url}
    match named["type"]:
        case "input_file":
            return {"type": "input_file", **data}
        case "input_image":
            detail = named.get("detail") or "auto"
            return {"type": "input_image", "image_url": content.url, "detail": detail}
        case _:
            return {"type": "file", "file": data}


def _not_kept(id_: str) -> NotFound:
    return NotFound(
        f"No file {id_!r} is kept.",
        hint="It was deleted, has expired, or belongs to another key.",
        param="file_id",
    )


def _too_much_named() -> TooLarge:
    return TooLarge(
        "The files that the request names are larger together than "
        f"{MOST_NAMED_BYTES // 1_000_000} MB.",
        hint="Name fewer or smaller files, and each of them once; those that were named earlier "
        "in the conversation count, too.",
        param="file_id",
    )


def _check(file: File) -> None:
    """Refuse what a database has no room for, and what could not be given to clients again."""
    if len(file.purpose) > LONGEST_PURPOSE:
        raise InvalidRequest(
            f"The purpose of the file has more than {LONGEST_PURPOSE} characters.",
            hint="Send one of OpenAI's, such as user_data.",
            param="purpose",
        )
    _check_text(file.name, what="name", param="file")
    _check_text(file.purpose, what="purpose", param="purpose")
    if not _MEDIA_TYPE.fullmatch(file.media_type):
        raise InvalidRequest(
            f"The file cannot be of the type {file.media_type!r}.",
            hint="Send a content-type such as application/pdf with the file, or none.",
            param="file",
        )


def _check_text(text: str, *, what: str, param: str) -> None:
    if "\0" in text or not _is_utf8(text):
        raise InvalidRequest(
            f"The {what} of the file holds a character that cannot be kept: {text!r}.",
            hint="Send it in UTF-8, and without NUL.",
            param=param,
        )


def _is_utf8(text: str) -> bool:
    """Whether it can be written so, which half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
