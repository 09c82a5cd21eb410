"""`hayserve status` shows what is deployed."""

import json

import pytest

from cli.outcome import Typed


def test_deployments_are_listed_with_what_failed(typed: Typed, server_url: str) -> None:
    shown = typed("status", "--url", server_url)
    assert shown.code == 0
    assert shown.out.startswith(f"✔ hayserve is up and running at: {server_url}\n")
    assert [cell.strip() for cell in _row(shown.out, "greeter")] == [
        "1", "greeter", "hello, hi", "agent", "3", "Loaded", ""
    ]  # fmt: skip
    assert [cell.strip() for cell in _row(shown.out, "broken")] == [
        "2", "broken", "", "unknown", "", "Failed", "No module named 'numpi'. Is it spelled right?"
    ]  # fmt: skip


def _row(table: str, name: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if f" {name} " in line]
    return line.strip("│").split("│")


def test_the_workers_are_counted_and_what_they_cannot_serve_is_said(
    typed: Typed, server_url: str
) -> None:
    shown = typed("status", "--url", server_url)
    assert shown.out.splitlines()[-2:] == [
        "Served by 2 workers.",
        "Process 12 on two cannot serve 'greeter': ImportError: no CUDA",
    ]


def test_no_deployment_is_said(typed: Typed, server_url: str) -> None:
    shown = typed("status", "--url", f"{server_url}/empty")
    assert shown.out.endswith("No pipelines currently deployed\n")


def test_the_answer_can_be_had_as_json(typed: Typed, server_url: str) -> None:
    shown = typed("status", "--url", server_url, "--key", "k", "--json")
    assert json.loads(shown.out)["authorization"] == "Bearer k"


def test_an_absent_server_is_an_error_with_a_hint(typed: Typed, closed_url: str) -> None:
    shown = typed("status", "--url", closed_url)
    assert shown.code == 1
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f"✘ Error: No server answers at '{closed_url}'.",
        "  Start one with `hayserve run`, or say where it is with --url or HAYSERVE_URL.",
    ]


def test_an_error_without_a_hint_is_one_line(typed: Typed, server_url: str) -> None:
    shown = typed("call", "odd", "--url", server_url)
    assert shown.err == '✘ Error: {"why": 1}\n'


@pytest.mark.parametrize("name", ["greeter", "hi"])
def test_one_deployment_is_shown_by_its_name_or_an_alias(
    typed: Typed, server_url: str, name: str
) -> None:
    shown = typed("status", name, "--url", server_url)
    assert shown.code == 0
    assert _row(shown.out, "greeter")
    assert "broken" not in shown.out


def test_one_deployment_can_be_had_as_json(typed: Typed, server_url: str) -> None:
    shown = typed("status", "greeter", "--json", "--url", server_url)
    assert json.loads(shown.out)["name"] == "greeter"


def test_one_that_could_not_be_loaded_is_shown_and_is_a_failure(
    typed: Typed, server_url: str
) -> None:
    shown = typed("status", "broken", "--url", server_url)
    assert shown.code == 1
    assert "No module named 'numpi'." in shown.out


def test_one_whose_newer_version_failed_is_served_and_says_why(
    typed: Typed, server_url: str
) -> None:
    shown = typed("status", "edited", "--json", "--url", server_url)
    assert shown.code == 0
    one = json.loads(shown.out)
    assert one["state"] == "Loaded"
    assert one["error"]["message"] == "SyntaxError: invalid syntax"


def test_one_that_is_not_there_is_an_error(typed: Typed, server_url: str) -> None:
    shown = typed("status", "absent", "--url", server_url)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("✘ Error: No deployment is named 'absent'.\n")


def test_what_held_an_event_loop_up_is_told(typed: Typed, server_url: str) -> None:
    once = "'greeter' held an event loop up once, for up to 2 s. The log shows where."
    often = (
        "'edited' held an event loop up 3 times, for up to 5.25 s. It runs on one of its own. "
        "The log shows where."
    )
    listed = typed("status", "--url", server_url).out.splitlines()
    assert [line for line in listed if "event loop" in line] == [once, often]
    assert often in typed("status", "edited", "--url", server_url).out
    assert "event loop" not in typed("status", "broken", "--url", server_url).out
