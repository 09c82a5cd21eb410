import pytest

from hayserve.wrappers import open_webui
from hayserve.wrappers.client_events import PipelineEvent
from hayserve.wrappers.open_webui import (
    MessageEventData,
    OpenWebUIEvent,
    create_chat_completion_event,
    create_details_tag,
    create_message_event,
    create_replace_event,
    create_source_event,
)


def test_open_webui_events_are_pipeline_events() -> None:
    assert isinstance(OpenWebUIEvent(type="files", data={"files": []}), PipelineEvent)
    assert open_webui.create_status_event("A").type == "status"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            create_chat_completion_event({"done": True}),
            {"type": "chat:completion", "data": {"done": True}},
        ),
        (create_message_event("A"), {"type": "message", "data": {"content": "A"}}),
        (create_replace_event("A"), {"type": "replace", "data": {"content": "A"}}),
        (
            create_source_event({"source": {"name": "A"}}),
            {"type": "source", "data": {"source": {"name": "A"}}},
        ),
    ],
)
def test_each_event_has_the_form_that_open_webui_knows(
    event: OpenWebUIEvent, expected: dict[str, object]
) -> None:
    assert event.to_event_dict() == expected


def test_text_for_the_answer_is_held_as_message_data() -> None:
    assert create_message_event("A").data == MessageEventData(content="A")


def test_a_details_tag_shows_its_content_as_it_is() -> None:
    assert create_details_tag("weather", "It's <b>sunny</b>", "**12 °C** & <i>dry</i>") == (
        '<details type="weather" done="true">\n'
        "<summary>It's <b>sunny</b></summary>\n\n"
        "**12 °C** & <i>dry</i>\n"
        "</details>\n\n"
    )


def test_the_name_of_a_tool_cannot_leave_its_attribute() -> None:
    assert create_details_tag('a"><script>', "B", "C").startswith(
        '<details type="a&quot;&gt;&lt;script&gt;" done="true">\n'
    )


def test_nested_details_stay_as_they_are() -> None:
    nested = '<details open>\n<summary>A</summary>\n<DETAILS type="b">B</DETAILS>\n</details>'
    assert nested in create_details_tag("weather", "A", nested)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("A</details>B", "A&lt;/details>B"),
        ("A</Details >B", "A&lt;/Details >B"),
        ("A<details>B", "A&lt;details>B"),
        ("</details><details>", "&lt;/details>&lt;details>"),
        ("<details><details></details>", "&lt;details><details></details>"),
        ("<detailsview></detailsview>", "<detailsview></detailsview>"),
    ],
)
def test_content_can_neither_end_its_block_early_nor_keep_it_open(content: str, shown: str) -> None:
    assert create_details_tag("weather", "A", content) == (
        f'<details type="weather" done="true">\n<summary>A</summary>\n\n{shown}\n</details>\n\n'
    )


def test_a_summary_can_neither_end_itself_nor_its_block() -> None:
    assert create_details_tag("weather", "A</summary></details>", "B") == (
        '<details type="weather" done="true">\n'
        "<summary>A&lt;/summary>&lt;/details></summary>\n\nB\n</details>\n\n"
    )
