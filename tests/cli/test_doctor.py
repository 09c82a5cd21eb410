"""`hayserve doctor`, with a server as it is, with none and with others."""

import json
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette

from cli.outcome import Outcome, Typed
from hayserve.access.keys import Keys
from hayserve.server.app import create_app
from hayserve.settings import load
from hayserve.storage.database import Database


@contextmanager
def serving(app: Starlette) -> Generator[int]:
    """The port on which an application is served."""
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=20, trust_env=False)
        yield port
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class Room:
    """A folder with settings, in which servers are started and `hayserve doctor` is typed."""

    def __init__(
        self, folder: Path, typed: Typed, *, patch: pytest.MonkeyPatch, stack: ExitStack
    ) -> None:
        self.folder = folder
        self._typed = typed
        self._patch = patch
        self._stack = stack
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.set(port=free.getsockname()[1], data_dir=folder / "data", key_file=folder / "key")

    def serve(self, **settings: Any) -> None:
        data: dict[str, Any] = {
            "data_dir": self.folder / "data",
            "pipelines_dir": self.folder / "pipelines",
            "key_file": self.folder / "key",
        }
        app = create_app(load(**data | settings), targets=[], prove=False)
        self.set(port=self._stack.enter_context(serving(app)))

    def set(self, **settings: Any) -> None:
        for name, value in settings.items():
            self._patch.setenv(f"HAYSERVE_{name.upper()}", str(value))

    def make_key(self, name: str, *scopes: str) -> str:
        database = Database(f"sqlite:///{self.folder / 'data' / 'hayserve.db'}")
        database.open()
        _, text = Keys(database).create(name, scopes=scopes)
        database.close()
        return text

    def doctor(self, *words: str) -> Outcome:
        return self._typed("doctor", *words)

    def told(self, *words: str) -> dict[str, dict[str, str]]:
        """The findings, by what they say."""
        said = json.loads(self.doctor("--json", *words).out)
        return {one["what"]: one for one in said["findings"]}


@pytest.fixture
def room(tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(tmp_path, typed, patch=monkeypatch, stack=stack)


def levels(told: dict[str, dict[str, str]], words: str) -> list[str]:
    return [one["level"] for what, one in told.items() if words in what]


def test_without_a_server_the_settings_are_looked_at_and_nothing_is_made(room: Room) -> None:
    shown = room.doctor()

    assert shown.code == 0
    assert "No server answers at http://localhost:" in shown.out
    assert "Running needs no key here" in shown.out
    assert [*room.folder.iterdir()] == []


def test_what_is_worst_comes_first_and_is_counted(room: Room) -> None:
    room.set(insecure=1, show_tracebacks=1)

    shown = room.doctor()

    assert shown.code == 1
    first, second, *_ = shown.out.splitlines()
    assert first.startswith("danger   settings  HAYSERVE_INSECURE is set: whoever reaches")
    assert second == " " * 19 + "→ unset HAYSERVE_INSECURE; hayserve keys create NAME --scope run"
    assert shown.out.splitlines()[-1].startswith("1 danger, ")


def test_a_program_gets_the_same_as_json(room: Room) -> None:
    shown = room.doctor("--json")
    said = json.loads(shown.out)

    assert shown.code == 0
    assert said["server"].startswith("http://localhost:")
    assert {frozenset(one) for one in said["findings"]} == {
        frozenset({"part", "level", "what", "fix"})
    }
    assert {one["part"] for one in said["findings"]} == {"server", "settings", "keys"}


def test_a_server_that_runs_is_asked(room: Room) -> None:
    room.serve()

    told = room.told()

    assert levels(told, "A server answers at") == ["ok"]
    assert levels(told, "but for the local one") == ["ok"]
    assert levels(told, "Only its user can read the local key") == ["ok"]
    assert levels(told, "Only its user can read the database") == ["ok"]
    assert levels(told, "was started with other settings") == []
    assert "danger" not in {one["level"] for one in told.values()}


def test_the_server_tells_of_its_keys(room: Room) -> None:
    room.serve()
    room.make_key("ops", "admin")

    assert levels(room.told(), "Keys that are in use: ops (admin).") == ["ok"]


def test_without_a_server_its_database_tells_of_its_keys_and_stays_as_it_is(room: Room) -> None:
    room.make_key("bob", "run:a")
    before = {path: path.stat().st_mtime_ns for path in room.folder.rglob("*")}

    assert levels(room.told(), "Keys that are in use: bob (run:a).") == ["ok"]
    assert {path: path.stat().st_mtime_ns for path in room.folder.rglob("*")} == before


def test_a_database_that_cannot_be_read_is_told(room: Room) -> None:
    (room.folder / "data").mkdir()
    (room.folder / "data" / "hayserve.db").write_text("This is a diary, and no database. " * 9)

    assert levels(room.told(), "cannot be opened") == ["warning"]


def test_a_database_of_no_known_kind_is_told(room: Room) -> None:
    room.set(database_url="oracle://db.example/x")

    assert levels(room.told(), "A database of the kind 'oracle' is not known.") == ["warning"]


def test_a_key_that_the_server_does_not_know_is_told(room: Room) -> None:
    room.serve()
    room.set(key="hs_0123456789ab_" + "x" * 43)

    assert levels(room.told(), "does not take the key of the command line") == ["warning"]


def test_a_server_that_lets_everybody_in_is_a_danger_whatever_is_set_here(room: Room) -> None:
    room.serve(insecure=True)

    told = room.told()

    assert levels(told, "lets everybody do everything") == ["danger"]
    assert levels(told, "was started with other settings") == ["warning"]


def test_a_server_that_pages_may_call_is_a_danger(room: Room) -> None:
    room.serve(cors_allow_origins=["*"])

    assert levels(room.told(), "answers pages of any origin without a key") == ["danger"]


def test_a_server_that_asks_for_a_key_shows_nothing(room: Room) -> None:
    room.serve(require_key=True)
    room.set(require_key=1)

    told = room.told()

    assert levels(told, "shows nothing to whoever has no key") == ["ok"]
    assert levels(told, "was started with other settings") == []


def test_a_variable_that_nobody_reads_is_told(room: Room) -> None:
    room.set(requier_key=1)

    assert room.told()["HAYSERVE_REQUIER_KEY is set, and nothing reads it."]["fix"] == (
        "Is HAYSERVE_REQUIRE_KEY meant?"
    )


def test_an_environment_file_with_secrets_is_looked_at(room: Room) -> None:
    file = room.folder / ".env"
    file.write_text("HAYSERVE_KEY=secret\n")
    file.chmod(0o644)

    assert levels(room.told(), "where a key or a database's password may be") == ["warning"]


def test_of_a_server_elsewhere_only_what_it_answers_is_told(room: Room) -> None:
    told = room.told("--url", "http://server.invalid:1")

    assert levels(told, "are on its own machine") == ["note"]
    assert levels(told, "shows its key to http://server.invalid:1 without TLS") == ["warning"]
    assert levels(told, "It listens on") == []


def test_a_certificate_that_nobody_looks_at_is_told(room: Room) -> None:
    room.set(disable_ssl=1)

    told = room.told("--url", "https://server.invalid:1")

    assert levels(told, "accepts any certificate") == ["warning"]


def test_the_way_to_a_server_with_a_certificate_is_as_it_should_be(room: Room) -> None:
    told = room.told("--url", "https://server.invalid:1")

    assert {one["part"] for one in told.values()} == {"server", "settings"}
