"""What a response says of its request before anything was said."""

from typing import Any

from hayserve.protocols.openai_responses.response_object import new_response

RUN_ID = "0123456789abcdef01234567"


def response(**body: Any) -> dict[str, Any]:
    return new_response({"model": "it", **body}, run_id=RUN_ID, created_at=1)


def test_what_was_not_asked_for_goes_without_saying() -> None:
    said = response()

    assert (said["temperature"], said["tools"], said["completed_at"]) == (1.0, [], None)
    assert said["reasoning"] == {"effort": None, "summary": None}


def test_what_was_asked_for_is_said_again() -> None:
    said = response(reasoning={"effort": "low"}, top_p=0.5)

    assert (said["reasoning"], said["top_p"]) == ({"effort": "low", "summary": None}, 0.5)


def test_function_tools_have_all_that_clients_look_for_and_others_are_as_sent() -> None:
    said = response(tools=[{"type": "function", "name": "f"}, {"type": "web_search"}])

    function = {"description": None, "parameters": None, "strict": None}
    assert said["tools"] == [
        {"type": "function", "name": "f", **function},
        {"type": "web_search"},
    ]
