"""A server on a real port and a command line to type into."""

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from cli.fake_api import API
from cli.outcome import Outcome, Typed
from hayserve.cli.main import main


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    # What it would do to the loggers of this process would be there in all other tests.
    config = uvicorn.Config(API, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Type a command in an empty folder; no setting comes from outside the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def type_in(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["hayserve", *words])
        with pytest.raises(SystemExit) as left:
            main()
        printed = capsys.readouterr()
        return Outcome(int(left.value.code or 0), printed.out, printed.err)

    return type_in
