"""The client talks to a server on a real port."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hayserve.cli.client import Client, Input, Upload, as_form, as_text
from hayserve.errors import ServerRefused, ServerUnreachable


def test_the_key_goes_as_a_bearer_token(server_url: str) -> None:
    with Client(server_url, "secret") as client:
        assert client.status()["authorization"] == "Bearer secret"


def test_without_a_key_nothing_is_said_about_one(server_url: str) -> None:
    with Client(server_url) as client:
        assert client.status()["authorization"] is None


def test_a_root_path_in_the_url_goes_before_every_path(server_url: str) -> None:
    with Client(f"{server_url}/empty/") as client:
        assert client.status()["deployments"] == []


def test_an_absent_server_is_named_with_what_to_do(closed_url: str) -> None:
    with Client(closed_url) as client, pytest.raises(ServerUnreachable) as refused:
        client.status()
    assert refused.value.message == f"No server answers at {closed_url!r}."
    assert "hayserve run" in refused.value.hint


@pytest.mark.parametrize("root", ["text", "list"])
def test_another_programs_answer_is_called_that(server_url: str, root: str) -> None:
    with Client(f"{server_url}/{root}") as client, pytest.raises(ServerRefused) as refused:
        client.status()
    assert "does not speak this API" in refused.value.message


@pytest.fixture
def greeting() -> bytes:
    return b"SSH-2.0-OpenSSH_9.6\r\n"


@pytest.fixture
def no_web_server(greeting: bytes) -> Iterator[str]:
    """Says its greeting to whoever connects and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        while True:
            connection, _ = listening.accept()
            with connection:
                if not connection.recv(65536):
                    return
                connection.sendall(greeting)

    thread = threading.Thread(target=greet)
    thread.start()
    address = listening.getsockname()
    yield f"http://127.0.0.1:{address[1]}"
    socket.create_connection(address).close()
    thread.join()
    listening.close()


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b""])
def test_what_is_no_web_server_is_called_that(no_web_server: str) -> None:
    with Client(no_web_server) as client, pytest.raises(ServerUnreachable) as refused:
        client.status()
    assert refused.value.message == (
        f"{no_web_server!r} closed the connection and gave no HTTP answer."
    )
    assert refused.value.hint.endswith("Else it is another program's port.")


def test_what_is_no_web_server_is_not_asked_what_it_takes(no_web_server: str) -> None:
    with Client(no_web_server) as client, pytest.raises(ServerUnreachable):
        client.openapi()


def test_what_is_no_web_server_cannot_be_deployed_to(no_web_server: str) -> None:
    with Client(no_web_server) as client, pytest.raises(ServerUnreachable):
        client.deploy_files({})


def test_what_deployments_take_can_be_asked(server_url: str) -> None:
    with Client(server_url) as client:
        assert "/zip/run" in client.openapi()["paths"]


@pytest.mark.parametrize("root", ["empty", "text"])
def test_a_server_that_does_not_say_what_they_take_says_nothing(server_url: str, root: str) -> None:
    with Client(f"{server_url}/{root}") as client:
        assert client.openapi() == {}


def test_parameters_go_as_json(server_url: str) -> None:
    with Client(server_url) as client:
        assert client.run("echo", Input({"a": [1], "b": None})) == {"result": {"a": [1], "b": None}}


def test_a_name_with_a_space_is_quoted(server_url: str) -> None:
    with Client(server_url) as client:
        assert client.run("with space", Input()) == {"result": {}}


def test_files_go_as_a_form_with_the_parameters(server_url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    upload = Upload("files", "sub/a.txt", tmp_path / "a.txt")
    given = Input({"n": 1, "tags": ["x", "y"]}, [upload], as_form=True)
    with Client(server_url) as client:
        answer = client.run("echo", given)
    assert answer == {"result": {"n": ["1"], "tags": ["x", "y"], "files": ["sub/a.txt: A"]}}


def test_a_form_says_values_as_json_and_leaves_out_null() -> None:
    given = {"t": "x", "b": True, "o": {"k": 1}, "l": [1, "2"], "nothing": None}
    assert as_form(given) == {"t": "x", "b": "true", "o": '{"k": 1}', "l": ["1", "2"]}


def test_a_result_that_is_not_text_is_shown_as_json() -> None:
    assert as_text("x") == "x"
    assert as_text(["é"]) == '[\n  "é"\n]'


def test_a_streamed_answer_is_put_together(server_url: str) -> None:
    with Client(server_url) as client:
        assert client.run("text", Input()) == {"result": "all at once"}
        assert client.run("sse", Input()) == {"result": "line 1\nline 2end"}


def test_a_streamed_answer_comes_in_pieces(server_url: str) -> None:
    with Client(server_url) as client:
        assert list(client.stream("sse", Input())) == ["line 1\nline 2", "end"]


def test_an_answer_that_is_not_streamed_comes_as_one_piece(server_url: str) -> None:
    with Client(server_url) as client:
        assert list(client.stream("echo", Input({"a": 1}))) == ['{\n  "a": 1\n}']


def test_a_stream_that_fails_gives_what_came_and_then_the_reason(server_url: str) -> None:
    heard: list[str] = []
    with Client(server_url) as client, pytest.raises(ServerRefused, match=r"The tool broke\."):
        heard.extend(client.stream("sse_fails", Input()))
    assert heard == ["so far"]


def test_a_stream_that_is_cut_off_is_not_taken_for_an_answer(server_url: str) -> None:
    with Client(server_url) as client, pytest.raises(ServerRefused, match="connection closed"):
        list(client.stream("cut_off", Input()))


def test_a_chat_gives_the_text_of_the_answer(server_url: str) -> None:
    with Client(server_url) as client:
        assert "".join(client.chat("greeter", "hello")) == "Good day"


def test_a_chat_may_end_with_a_reason_alone(server_url: str) -> None:
    with Client(server_url) as client:
        assert list(client.chat("greeter", "without done")) == ["x"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("cut", "stopped before it was finished"),
        ("garbled", "stopped before it was finished"),
        ("fail", "The model is asleep"),
        ("plain", "did not stream"),
    ],
)
def test_a_chat_that_goes_wrong_says_why(server_url: str, said: str, reason: str) -> None:
    with Client(server_url) as client, pytest.raises(ServerRefused, match=reason):
        list(client.chat("greeter", said))


def test_a_chat_can_be_had_as_one_completion(server_url: str) -> None:
    with Client(server_url) as client:
        assert client.complete("greeter", "hello")["received"] == {
            "model": "greeter",
            "messages": [{"role": "user", "content": "hello"}],
        }
