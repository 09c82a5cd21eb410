"""Wrappers written for Hayhooks, unchanged: their imports, their streams, their events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hayserve.compat.hayhooks import install_hayhooks_names
from hayserve.testing import Client, serve

WRAPPERS = Path(__file__).parent / "wrappers"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    settings = {"show_tracebacks": True}
    install_hayhooks_names(settings)
    with serve(WRAPPERS, settings=settings) as client:
        yield client


def test_relative_imports_and_long_module_paths_work(client: Client) -> None:
    assert client.run("greeter", name="Ada", times=2) == {
        "greeting": "Hello, Ada! Hello, Ada!",
        "signed": "the greeter",
    }


def test_a_pipeline_is_loaded_from_the_yaml_beside_the_wrapper(client: Client) -> None:
    assert client.run("prompts", question="Why?") == "Answer in one word: Why?"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_may_be_answered_with_a_plain_string(client: Client, *, streamed: bool) -> None:
    ask = client.stream_chat if streamed else client.chat

    assert ask("prompts", "Why?").text == "Answer in one word: Why?"


def test_tool_callbacks_put_events_into_the_stream(client: Client) -> None:
    answer = client.stream_chat("weather", "How is it in Rome?")

    events = [chunk["event"] for chunk in answer.chunks if "event" in chunk]
    assert [(event["type"], event["data"]) for event in events] == [
        ("status", {"description": "Calling weather", "done": False, "hidden": False}),
        ("notification", {"type": "info", "content": "One moment"}),
        ("custom_element", {"name": "WeatherCard", "props": {"said": "Sunny in Rome"}}),
        ("status", {"description": "Called 'weather' tool", "done": True, "hidden": False}),
        ("status", {"description": "Done", "done": True, "hidden": False}),
    ]
    assert answer.text.startswith('<details type="weather" done="true">')
    assert answer.text.endswith("It is sunny.")
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        (None, "GOOD MORNING "),
        (["first", "second"], "good morning GOOD MORNING "),
        ("all", "good morning GOOD MORNING "),
        (["first"], "good morning "),
    ],
)
def test_the_components_that_stream_are_chosen_by_name(
    client: Client, chosen: object, text: str
) -> None:
    answer = client.stream_chat("two_models", "good morning", streaming_components=chosen)

    assert answer.text == text


def test_streaming_components_are_found(client: Client) -> None:
    assert client.run("two_models", text="") == ["first", "second"]


def test_a_parameter_called_files_takes_uploads(client: Client) -> None:
    response = client.http.post(
        "/notes/run",
        data={"title": "Shopping"},
        files=[("files", ("a.txt", b"eggs")), ("files", ("b.txt", b"milk"))],
    )

    assert response.json() == {
        "result": {"title": "Shopping", "names": ["a.txt", "b.txt"], "texts": ["eggs", "milk"]}
    }


def test_an_uploaded_file_is_found_by_its_id_in_a_response(client: Client) -> None:
    about = {"purpose": "user_data", "model": "notes"}
    uploaded = client.http.post("/v1/files", data=about, files={"file": ("a.txt", b"eggs")})
    content = [
        {"type": "input_text", "text": "What is in it?"},
        {"type": "input_file", "file_id": uploaded.json()["id"]},
    ]
    items = [{"role": "user", "content": content}]

    response = client.http.post("/v1/responses", json={"model": "notes", "input": items})

    [message] = response.json()["output"]
    assert message["content"][0]["text"] == "What is in it? ['eggs'] 1"


def test_an_http_exception_inside_a_span_reaches_the_caller(client: Client) -> None:
    response = client.http.post("/traced/run", json={"word": "secret"})

    assert (response.status_code, response.json()["detail"]) == (403, "Not this one.")


def test_a_wrapper_sees_the_requests_headers_and_the_settings(client: Client) -> None:
    response = client.http.post("/traced/run", json={"word": "a"}, headers={"X-Asked-By": "Ada"})

    assert response.json()["result"] == {"asked_by": "Ada", "show_tracebacks": True}


def test_a_generator_streams_plain_text(client: Client) -> None:
    response = client.http.post("/counter/run", json={"up_to": 3})

    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "1 2 3 "


def test_an_sse_stream_is_sent_as_events(client: Client) -> None:
    response = client.http.post("/counter/run", json={"up_to": 2, "sse": True})

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text == "data: 1 \n\ndata: 2 \n\n"
