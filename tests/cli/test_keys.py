"""`hayserve keys`, against a server as it is and against its database without one."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from cli.outcome import Typed
from hayserve.cli.key_words import duration
from hayserve.server.app import create_app
from hayserve.settings import load

TEXT = re.compile(r"hs_[0-9a-f]{12}_[\w-]{43}\n")
HOW = (
    "  Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; OpenAI's clients take it as "
    "`api_key=`.\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A whole server, in this process and on a real port; its local key is in a file."""
    settings = load(data_dir=folder, pipelines_dir=folder / "pipelines", key_file=folder / "key")
    app = create_app(settings, targets=[], prove=False)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    httpx2.get(f"{url}/healthz", timeout=20, trust_env=False)  # answered when it has started
    yield url
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def with_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAYSERVE_KEY_FILE", str(folder / "key"))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A key's name that no other test has."""
    name: str = request.node.name.partition("[")[0]
    return name


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, closed_url: str) -> str:
    """Where the settings say that a server would be, and none is."""
    monkeypatch.setenv("HAYSERVE_PORT", closed_url.rpartition(":")[2])
    return f"http://localhost:{closed_url.rpartition(':')[2]}"


def listed(typed: Typed, *words: str) -> list[dict[str, Any]]:
    shown = typed("keys", "list", "--json", *words)
    found: list[dict[str, Any]] = json.loads(shown.out)["keys"]
    return found


def until_let_in(url: str, key: str) -> None:
    """Wait until a key is known, which takes less than a second."""
    headers = {"Authorization": f"Bearer {key.strip()}"}
    deadline = time.monotonic() + 2
    while httpx2.get(f"{url}/status", headers=headers, trust_env=False).status_code != 200:
        assert time.monotonic() < deadline


@pytest.mark.usefixtures("with_key")
def test_a_key_is_printed_alone_and_how_to_use_it_is_said_beside(
    typed: Typed, url: str, name: str
) -> None:
    told = typed("keys", "create", name, "--scope", "run", "--url", url)
    assert told.code == 0
    assert TEXT.fullmatch(told.out)
    assert told.err == (
        f"✔ Key {name} was made. It is shown this once; the server keeps a hash of it.\n"
        f"  It may run.\n{HOW}"
    )
    until_let_in(url, told.out)


@pytest.mark.usefixtures("with_key")
def test_what_it_may_do_and_for_how_long_is_said(typed: Typed, url: str, name: str) -> None:
    words = ["--scope", "run:a", "--scope", "deploy", "--expires", "30d"]
    budgets = ["--budget", "requests-per-minute=60", "--budget", "tokens-per-day=1000"]
    told = typed("keys", "create", name, *words, *budgets, "--url", url)
    assert re.search(
        r"It may run:a and deploy, within 60 requests-per-minute, 1000 tokens-per-day, "
        r"until \d{4}-\d\d-\d\d \d\d:\d\d\.\n",
        told.err,
    )
    [key] = [key for key in listed(typed, "--url", url) if key["name"] == name]
    assert key["scopes"] == ["run:a", "deploy"]
    assert key["budget"] == {"requests_per_minute": 60, "tokens_per_day": 1000}
    assert key["expires_at"] - key["created_at"] == pytest.approx(30 * 86400, abs=1)
    assert key["created_by"].startswith("local key, ")


@pytest.mark.usefixtures("with_key")
def test_a_key_is_rotated_and_the_old_text_kept_for_as_long_as_is_typed(
    typed: Typed, url: str, name: str
) -> None:
    first = typed("keys", "create", name, "--scope", "run", "--url", url).out
    kept = typed("keys", "rotate", name, "--keep-old", "1h", "--url", url)
    assert TEXT.fullmatch(kept.out)
    assert kept.err == (
        f"✔ Key {name} has a new text, which is shown this once. "
        "The old one is accepted for another 1h.\n"
    )
    assert first[:15] == kept.out[:15]
    told = typed("keys", "rotate", name, "--url", url)
    assert told.err.endswith("The old one is not accepted any more.\n")
    assert len({first, kept.out, told.out}) == 3


@pytest.mark.usefixtures("with_key")
def test_a_key_is_revoked(typed: Typed, url: str, name: str) -> None:
    typed("keys", "create", name, "--scope", "run", "--url", url)
    told = typed("keys", "revoke", name, "--url", url)
    assert (told.code, told.err) == (0, "")
    assert told.out == f"✔ Key {name} was revoked. Within a second nobody gets in with it.\n"
    again = typed("keys", "revoke", name, "--url", url)
    assert (again.code, again.out) == (1, "")
    assert again.err == (
        f"✘ Error: No key named '{name}' is in use.\n  `hayserve keys list` shows them all.\n"
    )


@pytest.mark.usefixtures("with_key")
def test_the_keys_are_listed(typed: Typed, url: str, name: str) -> None:
    typed("keys", "create", name, "--scope", "run", "--budget", "concurrent-runs=2", "--url", url)
    typed("keys", "create", f"{name}-2", "--scope", "run", "--expires", "1h", "--url", url)
    typed("keys", "rotate", f"{name}-2", "--keep-old", "1h", "--url", url)
    shown = typed("keys", "list", "--url", url)
    assert (shown.code, shown.err) == (0, "")
    row = next(line for line in shown.out.splitlines() if f" {name} " in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert re.fullmatch(r"hs_[0-9a-f]{12}…", cells.pop(1))
    assert cells == [name, "run", "concurrent-runs=2", "in use", "never"]
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d +│ never", shown.out)
    assert re.search(r"old text until \d{4}-\d\d-\d\d \d\d:\d\d", shown.out)


def test_who_has_no_key_for_it_is_refused_and_nothing_is_done_elsewhere(
    typed: Typed, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAYSERVE_PORT", url.rpartition(":")[2])
    refused = typed("keys", "create", "mine", "--scope", "admin")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("✘ Error: This needs a key.\n")
    assert not Path(".hayserve").exists()


@pytest.mark.usefixtures("with_key")
def test_a_key_that_may_only_run_makes_no_keys(typed: Typed, url: str, name: str) -> None:
    key = typed("keys", "create", name, "--scope", "run", "--url", url).out.strip()
    until_let_in(url, key)
    refused = typed("keys", "create", "mine", "--scope", "admin", "--url", url, "--key", key)
    assert refused.code == 1
    assert "has not the scope `admin`" in refused.err


def test_without_a_server_it_is_done_in_the_database(
    typed: Typed, nowhere: str, tmp_path: Path
) -> None:
    where = (
        f"! No server answers at '{nowhere}': this was done in the database "
        f"sqlite:///{tmp_path}/.hayserve/hayserve.db.\n"
    )
    none = typed("keys", "list")
    assert none.out == "There is no key. `hayserve keys create NAME --scope run` makes one.\n"
    assert none.err == where
    made = typed("keys", "create", "web", "--scope", "run", "--expires", "2w")
    assert TEXT.fullmatch(made.out)
    assert made.err.startswith(f"{where}✔ Key web was made.")
    taken = typed("keys", "create", "web", "--scope", "run")
    assert (taken.code, taken.out) == (1, "")
    assert "A key named 'web' is in use" in taken.err
    rotated = typed("keys", "rotate", "web", "--keep-old", "90s")
    assert rotated.err.endswith("The old one is accepted for another 90s.\n")
    [key] = listed(typed)
    assert (key["state"], key["prefix"]) == ("in use", rotated.out[:15])
    assert key["created_by"].startswith("the command line, ")
    assert typed("keys", "revoke", "web").err == where
    assert [key["state"] for key in listed(typed)] == ["revoked"]
    assert "revoked" in typed("keys", "list").out


def test_a_server_that_was_named_has_to_answer(
    typed: Typed, closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = typed("keys", "list", "--url", closed_url)
    assert told.err.startswith(f"✘ Error: No server answers at '{closed_url}'.\n")
    monkeypatch.setenv("HAYSERVE_URL", closed_url)
    assert typed("keys", "list").code == 1
    assert not Path(".hayserve").exists()


def test_a_database_in_memory_is_nothing_without_its_server(
    typed: Typed, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAYSERVE_DATABASE_URL", "sqlite://")
    told = typed("keys", "create", "web", "--scope", "run")
    assert (told.code, told.out) == (1, "")
    assert f"No server answers at '{nowhere}'." in told.err


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Say what the key may do"),
        (["--scope", "fly"], "'fly' is no scope"),
        (["--scope", "run", "--expires", "30"], "'30' is no duration"),
        (["--scope", "run", "--expires", "0d"], "'0d' is no duration"),
        (["--scope", "run", "--budget", "tokens=1"], "'tokens=1' is no budget"),
        (["--scope", "run", "--budget", "tokens-per-day"], "'tokens-per-day' is 0"),
        (["--scope", "run", "--budget", "tokens-per-day=many"], "'tokens-per-day' is 0"),
    ],
)
def test_what_is_not_understood_is_said(typed: Typed, words: list[str], said: str) -> None:
    told = typed("keys", "create", "web", *words)
    assert (told.code, told.out) == (2, "")
    assert said in " ".join(told.err.replace("│", " ").split())


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("words", [["create", "--scope", "run"], ["rotate"], ["revoke"]])
@pytest.mark.parametrize("name", ["..", "a/b", "a\udcff"])
def test_what_is_no_name_is_not_sent(typed: Typed, words: list[str], name: str) -> None:
    told = typed("keys", *words, name)
    assert (told.code, told.out) == (1, "")
    assert "is no name for a key" in told.err
    assert not Path(".hayserve").exists()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1s"), (60, "1m"), (90, "90s"), (3600, "1h"), (86_400, "1d"), (1_209_600, "2w")],
)
def test_durations_are_said_as_they_are_typed(seconds: int, said: str) -> None:
    assert duration(seconds) == said
