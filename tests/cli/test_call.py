"""Commands that run a deployment."""

import json
from pathlib import Path

import pytest

from cli.outcome import Typed


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


def test_a_chat_that_fails_at_once_prints_nothing_but_the_error(
    typed: Typed, server_url: str
) -> None:
    shown = typed("call", "greeter", "--chat", "fail", "--url", server_url)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("✘ Error: The model is asleep.\n")


@pytest.mark.parametrize(
    "words", [["call"], ["call", "-s"], ["call", "--json"], ["pipeline", "run"]]
)
def test_a_run_is_asked_for_as_events_so_that_its_failure_is_told(
    typed: Typed, server_url: str, words: list[str]
) -> None:
    shown = typed(*words, "text_or_events", "--url", server_url)
    assert shown.code == 1
    assert shown.err == "✘ Error: The tool broke.\n"


def test_text_is_sent_as_it_was_typed_and_other_values_as_json(
    typed: Typed, server_url: str
) -> None:
    words = ["-p", "q=007", "-p", "code=[1]", "-p", "top_k=5", "-p", "note=null"]
    shown = typed("call", "zip", *words, "--url", server_url)
    assert json.loads(shown.out) == {"q": "007", "code": "[1]", "top_k": 5, "note": "null"}
    assert shown.err == "✔ Pipeline zip executed successfully!\n"


def test_a_parameter_that_does_not_exist_is_warned_of(typed: Typed, server_url: str) -> None:
    shown = typed("call", "zip", "-p", "topk=5", "-p", "x=1", "--url", server_url)
    assert shown.code == 0
    assert shown.err.splitlines()[:2] == [
        "! 'topk' is no parameter of 'zip' and is ignored; did you mean 'top_k'?",
        "! 'x' is no parameter of 'zip' and is ignored; it takes 'q', 'code', 'top_k', 'note'.",
    ]


def test_a_form_is_sent_where_one_is_taken_also_without_a_file(
    typed: Typed, server_url: str
) -> None:
    shown = typed("call", "summary", "-p", "words=3", "--url", server_url)
    assert json.loads(shown.out) == {"words": ["3"]}


def test_a_file_goes_where_files_are_taken(typed: Typed, server_url: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    shown = typed("call", "summary", "-f", "a.txt", "--url", server_url)
    assert json.loads(shown.out) == {"document": ["a.txt: A"]}


def test_a_file_is_refused_where_none_is_taken(
    typed: Typed, server_url: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("A")
    shown = typed("call", "zip", "-f", "a.txt", "--url", server_url)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("✘ Error: 'zip' takes no files.\n")
