"""Commands that run a deployment."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.outcome import Typed
from hayserve.cli.call import params_in


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ("true", True),
        ("null", None),
        ("7", 7),
        ("0.5", 0.5),
        ("-7", "-7"),
        ("007", "007"),
        ("{not json}", "{not json}"),
        ("True", "True"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_value_is_json_where_it_looks_like_it(text: str, value: Any) -> None:
    assert params_in([f"key={text}"]) == {"key": value}


@pytest.mark.parametrize("command", [["call"], ["pipeline", "run"]])
def test_the_result_is_printed_and_nothing_else(
    typed: Typed, server_url: str, command: list[str]
) -> None:
    shown = typed(*command, "echo", "-p", "n=1", "-p", "q=Who?", "--url", server_url)
    assert json.loads(shown.out) == {"n": 1, "q": "Who?"}
    assert shown.err == "✔ Pipeline echo executed successfully!\n"


def test_the_answer_can_be_had_as_json(typed: Typed, server_url: str) -> None:
    shown = typed("call", "text", "--url", server_url, "--json")
    assert json.loads(shown.out) == {"result": "all at once"}
    assert shown.err == ""


def test_a_stream_is_printed_as_it_comes(typed: Typed, server_url: str) -> None:
    shown = typed("call", "sse", "--stream", "--url", server_url)
    assert shown.out == "line 1\nline 2end\n"


def test_a_stream_that_fails_is_an_error_after_what_came(typed: Typed, server_url: str) -> None:
    shown = typed("call", "sse_fails", "-s", "--url", server_url)
    assert (shown.code, shown.out, shown.err) == (1, "so far\n", "✘ Error: The tool broke.\n")


def test_files_and_folders_are_sent(typed: Typed, server_url: str, tmp_path: Path) -> None:
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "sub" / "c.txt").write_text("C")
    (tmp_path / "docs" / ".hidden").write_text("H")
    (tmp_path / "a.txt").write_text("A")
    (tmp_path / "odd=name.txt").write_text("O")
    shown = typed(
        *("call", "echo", "-f", "a.txt", "-f", "odd=name.txt", "-f", "photo=a.txt", "-d", "docs"),
        *("-p", "q=x", "--url", server_url),
    )
    assert json.loads(shown.out) == {
        "q": ["x"],
        "files": ["a.txt: A", "odd=name.txt: O", "sub/c.txt: C"],
        "photo": ["a.txt: A"],
    }


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-p", "question"], "is not key=value"),
        (["-p", "=x"], "is not key=value"),
        (["-f", "nowhere.txt"], "does not exist"),
        (["-d", "nowhere"], "does not exist"),
        (["--chat", "hello", "-p", "a=1"], "without parameters"),
    ],
)
def test_words_that_make_no_sense_are_usage_errors(
    typed: Typed, words: list[str], complaint: str
) -> None:
    shown = typed("call", "echo", *words)
    assert shown.code == 2
    assert complaint in shown.err


def test_a_chat_is_printed_as_it_comes(typed: Typed, server_url: str) -> None:
    assert typed("call", "greeter", "--chat", "hello", "--url", server_url).out == "Good day\n"


def test_a_chat_can_be_had_as_json(typed: Typed, server_url: str) -> None:
    shown = typed("call", "greeter", "--chat", "hello", "--url", server_url, "--json")
    assert json.loads(shown.out)["object"] == "chat.completion"
