import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from loguru import logger as wrappers_log

from hayserve.server.logs import LineFormatter, configure_logs
from server.serving import put, serving, settings_in, wrapper


def record(message: str = "deployed", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("hayserve.x", logging.INFO, "f.py", 1, message, None, None)
    made.created = 0
    vars(made).update(fields)
    return made


def line_of(made: logging.LogRecord) -> str:
    return LineFormatter().format(made).split(" ", 2)[2]


def test_a_line_is_the_events_name_and_its_fields() -> None:
    made = record(deployment="hello", revision=3, why="no such file")
    assert line_of(made) == (
        "INFO hayserve.x deployed deployment=hello revision=3 why='no such file'"
    )


def test_what_a_field_holds_stays_on_its_line() -> None:
    made = record(why="a\nERROR forged", empty="", color_message="not shown")
    assert line_of(made) == "INFO hayserve.x deployed why='a\\nERROR forged' empty="


def test_a_traceback_follows_its_line() -> None:
    made = record()
    try:
        raise ValueError("no such city\n2026-01-01 00:00:00 CRITICAL root forged")
    except ValueError:
        made.exc_info = sys.exc_info()
    first, *rest, said, forged = LineFormatter().format(made).splitlines()
    assert first.endswith("deployed")
    assert said == "    ValueError: no such city"
    assert forged == "    2026-01-01 00:00:00 CRITICAL root forged"
    assert all(line.startswith("    ") for line in rest)


def test_the_log_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(settings_in(tmp_path, log_level="WARNING"))
    logging.getLogger("anybody").info("quiet")
    logging.getLogger("anybody").warning("loud")
    logging.getLogger("httpx").info("noisy")
    assert capsys.readouterr().err.split(" ", 2)[2] == "WARNING anybody loud\n"


@pytest.mark.parametrize(("level", "count"), [("TRACE", 3), ("SUCCESS", 2), ("ERROR", 1)])
def test_loguru_has_two_more_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, level: str, count: int
) -> None:
    configure_logs(settings_in(tmp_path, log_level=level))
    wrappers_log.trace("small")
    wrappers_log.bind(city="Oslo", name="shadowed").success("big")
    wrappers_log.error("bad")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == count
    assert lines[-1].endswith(f" ERROR {__name__} bad")
    if count > 1:
        assert lines[-2].endswith(f" SUCCESS {__name__} big city=Oslo")


def test_an_exception_in_loguru_is_shown_without_the_values_of_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(settings_in(tmp_path))
    payload = "private" + "-words"
    try:
        raise ValueError("no" if payload else "")
    except ValueError:
        wrappers_log.exception("failed")
    said = capsys.readouterr().err
    assert "ValueError: no" in said
    assert "private-words" not in said


def test_what_haystack_says_of_every_stream_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(settings_in(tmp_path))
    streams = logging.getLogger("haystack.dataclasses.streaming_chunk")
    streams.warning("A sync streaming callback was provided at runtime for use in an async ...")
    streams.warning("A sync streaming callback was provided at initialization ...")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_callers_send_and_get_is_not_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = wrapper("def run_api(self, word: int | str) -> Any:\n    return word + '-answer'")
    put(tmp_path / "pipelines" / "it", source)
    configure_logs(settings_in(tmp_path, log_level="TRACE"))
    with serving(tmp_path) as server:
        assert server.run("it", word="private").json() == {"result": "private-answer"}
        assert server.run("it", word=["private"]).status_code == 422
        assert server.deploy("a", "private = 1").status_code == 422
        server.run("it", word=4711)
    said = capsys.readouterr().err
    assert "run_failed" in said
    assert "private" not in said
    assert "4711" not in said


@pytest.fixture
def plain_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log as our server leaves it; other tests may have run one that sets its own."""
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("uvicorn"), "handlers", [])


@pytest.mark.usefixtures("plain_uvicorn")
def test_what_a_connection_says_of_its_headers_and_messages_is_never_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(settings_in(tmp_path, log_level="TRACE"))
    connections = logging.getLogger("uvicorn.error")
    connections.debug("< %s: %s", "authorization", "Bearer private")
    connections.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", "/v1/responses?a=private")
    connections.info('%s - "WebSocket %s" %d', "127.0.0.1:1", "/v1/responses", 403)
    connections.info("Started server process [%d]", 1)
    said = [line.split(" ", 4)[-1] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        '127.0.0.1:1 - "WebSocket /v1/responses" [accepted]',
        '127.0.0.1:1 - "WebSocket /v1/responses" 403',
        "Started server process [1]",
    ]


def test_a_quiet_server_is_quiet_about_connections_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(settings_in(tmp_path, log_level="WARNING"))
    logging.getLogger("uvicorn.error").info("connection open")
    assert capsys.readouterr().err == ""
