"""What the server refuses is said in the server's words."""

import pytest

from hayserve.cli.client import Client, Input
from hayserve.errors import ServerRefused


def refused_by(server_url: str, name: str) -> ServerRefused:
    with Client(server_url) as client, pytest.raises(ServerRefused) as refused:
        client.run(name, Input())
    return refused.value


def test_problems_are_listed_with_the_servers_hint(server_url: str) -> None:
    error = refused_by(server_url, "refuses")
    assert error.message == "body.question: Field required; Too short; Odd"
    assert error.hint == "See its schema."


def test_a_failed_run_is_named_because_the_log_says_more(server_url: str) -> None:
    error = refused_by(server_url, "fails")
    assert error.message == "'fails' raised ValueError."
    assert error.hint == "The server's log has more under run r42."


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("traced", "The server's log has the traceback under run r43."),
        ("logged", "The server's log says why. The run's id is r44."),
    ],
)
def test_the_log_is_spoken_of_once_and_with_the_runs_id(
    server_url: str, name: str, hint: str
) -> None:
    assert refused_by(server_url, name).hint == hint


def test_the_log_is_spoken_of_once_in_a_chat_too(server_url: str) -> None:
    with Client(server_url) as client, pytest.raises(ServerRefused) as refused:
        list(client.chat("greeter", "traced"))
    said = "It failed. The server's log has the traceback under run r45."
    assert str(refused.value) == said


def test_a_status_has_a_hint_where_the_server_gave_none(server_url: str) -> None:
    error = refused_by(server_url, "locked")
    assert error.message == "No key."
    assert "HAYSERVE_KEY" in error.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("odd", '{"why": 1}'),
        ("crashed", "Crash"),
        ("mute", "The server answered 502 Bad Gateway."),
    ],
)
def test_an_error_in_another_form_is_shown_all_the_same(
    server_url: str, name: str, message: str
) -> None:
    assert refused_by(server_url, name).message == message
