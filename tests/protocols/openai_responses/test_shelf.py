"""Files are kept whole or not at all, and their contents are put where requests name them."""

import base64
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from sqlalchemy import func, select

from hayserve.errors import InvalidRequest, NotFound, StorageUnavailable, TooLarge
from hayserve.kept.files import PIECE_BYTES, File, Files
from hayserve.protocols.openai_responses.shelf import MOST_NAMED_BYTES, Shelf
from hayserve.storage.database import Database
from hayserve.storage.tables import file_pieces, files

pytestmark = pytest.mark.anyio

KEEP_SECONDS = 3600.0
PIECES = bytes(range(256)) * 1024 * 2 + b"the end"


@pytest.fixture
async def database(sqlite_url: str) -> AsyncGenerator[Database]:
    database = Database(sqlite_url)
    database.open()
    yield database
    database.close()


@pytest.fixture
def shelf(database: Database) -> Shelf:
    return Shelf(Files(database), keep_seconds=KEEP_SECONDS)


class Sent:
    """An upload."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, size: int = -1) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


class Broken(Sent):
    """One whose client leaves after the first piece."""

    async def read(self, size: int = -1) -> bytes:
        piece = await super().read(size)
        if not piece:
            raise ConnectionError
        return piece


class Stuck(Sent):
    """One of which nothing comes after the first piece."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.is_stuck = anyio.Event()

    async def read(self, size: int = -1) -> bytes:
        piece = await super().read(size)
        if not piece:
            self.is_stuck.set()
            await anyio.sleep_forever()
        return piece


async def taken(shelf: Shelf, upload: Sent, **about: Any) -> File:
    known: dict[str, Any] = {
        "owner": "me",
        "name": "a.txt",
        "purpose": "user_data",
        "media_type": None,
    }
    return await shelf.take(upload, **{**known, **about})


async def whole(shelf: Shelf, file: File) -> list[bytes]:
    return [piece async for piece in shelf.content(file)]


def rows(database: Database) -> tuple[int, int]:
    """How many files there are in the database, whole or not, and how many pieces."""
    with database.reading() as connection:
        both = [
            connection.scalar(select(func.count()).select_from(t)) for t in (files, file_pieces)
        ]
    return (both[0] or 0, both[1] or 0)


async def test_a_file_is_kept_in_pieces(shelf: Shelf) -> None:
    file = await taken(shelf, Sent(PIECES))
    assert await shelf.find(file.id, owner="me") == file
    assert (file.name, file.purpose, file.size) == ("a.txt", "user_data", len(PIECES))
    pieces = await whole(shelf, file)
    assert b"".join(pieces) == PIECES
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 7]


async def test_a_file_may_be_empty(shelf: Shelf) -> None:
    file = await taken(shelf, Sent(b""))
    assert await shelf.find(file.id, owner="me") == file
    assert await whole(shelf, file) == []
    part = {"type": "input_file", "file_id": file.id}
    assert await filled(shelf, part) == {
        "type": "input_file",
        "filename": "a.txt",
        "file_data": "data:text/plain;base64,",
    }


@pytest.mark.parametrize(
    ("about", "media_type"),
    [
        ({"media_type": "application/pdf"}, "application/pdf"),
        ({"name": "a.csv"}, "text/csv"),
        ({"name": "a"}, "application/octet-stream"),
        ({"name": "data:text/html\nX-Evil: 1,a"}, "application/octet-stream"),
        ({"media_type": " "}, "text/plain"),
        ({"media_type": "text/plain\n"}, "text/plain"),
        ({"media_type": "text/plain;"}, "text/plain;"),
        ({"media_type": 'text/csv; charset="utf-8"'}, 'text/csv; charset="utf-8"'),
        ({"media_type": "application/vnd.a_b+json ;v=1"}, "application/vnd.a_b+json ;v=1"),
    ],
)
async def test_a_file_is_of_the_type_that_is_said_or_that_its_name_says(
    shelf: Shelf, about: dict[str, Any], media_type: str
) -> None:
    assert (await taken(shelf, Sent(b"a"), **about)).media_type == media_type


@pytest.mark.parametrize("keep_seconds", [None, 60.0, 99_999.0])
async def test_a_file_is_kept_for_its_time(
    database: Database, shelf: Shelf, keep_seconds: float | None
) -> None:
    file = await taken(shelf, Sent(b"a"), keep_seconds=keep_seconds)
    kept_for = file.expires_at - file.created_at
    assert kept_for == pytest.approx(KEEP_SECONDS if keep_seconds is None else keep_seconds)
    later = Shelf(Files(database, clock=lambda: file.expires_at), keep_seconds=KEEP_SECONDS)
    with pytest.raises(NotFound):
        await later.find(file.id, owner="me")


@pytest.mark.parametrize(
    ("about", "param"),
    [
        ({"purpose": "x" * 65}, "purpose"),
        ({"name": "a\0b"}, "file"),
        ({"name": "\ud800.txt"}, "file"),
        ({"purpose": "\udfff"}, "purpose"),
        ({"media_type": "text/\0"}, "file"),
        ({"media_type": "text/plain\nX-Evil: 1"}, "file"),
        ({"media_type": "text/\x01\x7f"}, "file"),
        ({"media_type": "text/ü"}, "file"),
        ({"media_type": "text/plain; charset=ü"}, "file"),
        ({"media_type": "text/plain; a=\tb"}, "file"),
        ({"media_type": "text/plain,"}, "file"),
        ({"media_type": 'text/plain; a="b,c"'}, "file"),
        ({"media_type": "text"}, "file"),
        ({"media_type": "/plain"}, "file"),
    ],
)
async def test_what_cannot_be_kept_or_given_back_is_refused(
    database: Database, about: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await taken(Shelf(Files(database), keep_seconds=KEEP_SECONDS), Sent(b"a"), **about)
    assert refused.value.param == param
    assert rows(database) == (0, 0)


async def test_of_an_upload_that_breaks_off_nothing_stays(database: Database, shelf: Shelf) -> None:
    with pytest.raises(ConnectionError):
        await taken(shelf, Broken(PIECES))
    assert rows(database) == (0, 0)


async def test_of_an_upload_that_is_given_up_nothing_stays(
    database: Database, shelf: Shelf
) -> None:
    stuck = Stuck(PIECES)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(taken, shelf, stuck)
        with anyio.fail_after(5):
            await stuck.is_stuck.wait()
        assert rows(database) == (1, 3)
        assert await shelf.owned("me") == []
        tasks.cancel_scope.cancel()
    assert rows(database) == (0, 0)


async def test_an_upload_fails_if_the_database_does_not_answer(sqlite_url: str) -> None:
    shelf = Shelf(Files(Database(sqlite_url)), keep_seconds=KEEP_SECONDS)
    with pytest.raises(StorageUnavailable):
        await taken(shelf, Sent(b"a"))


async def test_a_file_is_its_owners(shelf: Shelf) -> None:
    file = await taken(shelf, Sent(b"a"))
    for attempt in (shelf.find, shelf.delete):
        with pytest.raises(NotFound) as missing:
            await attempt(file.id, owner="you")
        assert missing.value.param == "file_id"
    assert await shelf.owned("you") == []
    assert await shelf.owned("me") == [file]


async def test_a_file_is_deleted_with_its_pieces(database: Database, shelf: Shelf) -> None:
    file = await taken(shelf, Sent(PIECES))
    await shelf.delete(file.id, owner="me")
    assert rows(database) == (0, 0)
    with pytest.raises(NotFound):
        await shelf.delete(file.id, owner="me")


async def filled(shelf: Shelf, part: object, *, name: str = "content") -> Any:
    item = {"type": "message", "role": "user", name: [part]}
    (found,) = await shelf.with_contents([item], owner="me")
    assert item[name] == [part], "what was sent is not changed"
    assert {**found, name: [part]} == item
    return found[name][0]


async def test_files_that_are_named_are_there_with_their_contents(shelf: Shelf) -> None:
    file = await taken(shelf, Sent(PIECES), name="a.png")
    url = f"data:image/png;base64,{base64.b64encode(PIECES).decode()}"
    image = {"type": "input_image", "image_url": url}
    data = {"filename": "a.png", "file_data": url}
    for given, expected in (
        ({"type": "input_file", "file_id": file.id}, {"type": "input_file", **data}),
        ({"type": "input_image", "file_id": file.id}, {**image, "detail": "auto"}),
        (
            {"type": "input_image", "file_id": file.id, "detail": "low"},
            {**image, "detail": "low"},
        ),
        ({"type": "file", "file": {"file_id": file.id}}, {"type": "file", "file": data}),
    ):
        assert await filled(shelf, given) == expected
    output = {"type": "input_file", "file_id": file.id}
    assert await filled(shelf, output, name="output") == {"type": "input_file", **data}


@pytest.mark.parametrize(
    "part",
    [
        "text",
        {"type": "input_text", "text": "file-hs"},
        {"type": "input_file", "file_data": "aGk="},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": "file-hs"},
    ],
)
async def test_all_else_stays_as_it_is(shelf: Shelf, part: object) -> None:
    assert await filled(shelf, part) == part


@pytest.mark.parametrize("item", [{"role": "user", "content": "Hi"}, {"type": "reasoning"}])
async def test_an_item_without_parts_stays_as_it_is(shelf: Shelf, item: dict[str, Any]) -> None:
    (found,) = await shelf.with_contents([item], owner="me")
    assert found is item


@pytest.mark.parametrize("kind", ["input_file", "input_image"])
async def test_a_file_that_is_not_kept_any_more_cannot_be_named(shelf: Shelf, kind: str) -> None:
    file = await taken(shelf, Sent(b"a"))
    await shelf.delete(file.id, owner="me")
    with pytest.raises(NotFound, match=file.id):
        await filled(shelf, {"type": kind, "file_id": file.id})


class Forgetful(Files):
    """Files of which one is deleted while it is read."""

    def find(self, id_: str, *, owner: str) -> File | None:
        found = super().find(id_, owner=owner)
        self.delete(id_, owner=owner)
        return found


async def test_a_file_that_is_deleted_meanwhile_is_not_given_in_part(database: Database) -> None:
    shelf = Shelf(Forgetful(database), keep_seconds=KEEP_SECONDS)
    file = await taken(shelf, Sent(b"a"))
    with pytest.raises(NotFound, match=file.id):
        await filled(shelf, {"type": "input_file", "file_id": file.id})


class Watched(Files):
    """Files of which each reading is noted, and of any size that they are said to have."""

    def __init__(self, database: Database, *, size: int | None = None) -> None:
        super().__init__(database)
        self._size = size
        self.read: list[str] = []

    def find(self, id_: str, *, owner: str) -> File | None:
        found = super().find(id_, owner=owner)
        return found and replace(found, size=self._size or found.size)

    def content(self, id_: str) -> Generator[bytes]:
        self.read.append(id_)
        return super().content(id_)


async def test_a_file_that_is_named_again_is_read_once(database: Database) -> None:
    watched = Watched(database)
    shelf = Shelf(watched, keep_seconds=KEEP_SECONDS)
    file = await taken(shelf, Sent(PIECES))
    part = {"type": "input_file", "file_id": file.id}
    items = [{"content": [part] * 50}, {"output": [part]}, {"content": [part] * 49}]

    found = await shelf.with_contents(items, owner="me")

    parts = [part for item in found for each in item.values() for part in each]
    assert len(parts) == 100
    assert len({id(part["file_data"]) for part in parts}) == 1
    assert watched.read == [file.id]


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_more_than_fits_into_a_request_is_not_read(database: Database, times: int) -> None:
    watched = Watched(database, size=MOST_NAMED_BYTES // times)
    shelf = Shelf(watched, keep_seconds=KEEP_SECONDS)
    file = await taken(shelf, Sent(b"a"))
    parts = [{"type": "input_image", "file_id": file.id}] * times

    with pytest.raises(TooLarge, match="larger together than 100 MB") as refused:
        await shelf.with_contents([{"content": parts}], owner="me")
    assert refused.value.param == "file_id"
    assert watched.read == []


async def test_an_empty_file_counts_with_its_name(shelf: Shelf) -> None:
    file = await taken(shelf, Sent(b""), name="x" * 500)
    parts = [{"type": "input_file", "file_id": file.id}] * (MOST_NAMED_BYTES // 500 + 1)

    with pytest.raises(TooLarge):
        await shelf.with_contents([{"content": parts}], owner="me")
