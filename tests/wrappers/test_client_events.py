import pytest
from pydantic import ValidationError

from hayserve.wrappers.client_events import (
    NotificationEventData,
    OnPipelineEnd,
    OnReasoning,
    OnToolCallEnd,
    OnToolCallStart,
    PipelineEvent,
    StatusEventData,
    ToolCallbackReturn,
    create_notification_event,
    create_status_event,
)


def test_an_event_goes_to_the_client_as_type_and_data() -> None:
    event = PipelineEvent(type="progress", data={"percent": 40})
    assert event.to_event_dict() == {"type": "progress", "data": {"percent": 40}}
    assert event.to_dict() == event.to_event_dict()


def test_a_status_event_says_how_far_the_work_is() -> None:
    event = create_status_event("Searching")
    assert event.data == StatusEventData(description="Searching")
    assert event.to_event_dict() == {
        "type": "status",
        "data": {"description": "Searching", "done": False, "hidden": False},
    }


def test_a_status_event_takes_its_flags_by_position() -> None:
    assert create_status_event("Searching", True, True).to_event_dict() == {
        "type": "status",
        "data": {"description": "Searching", "done": True, "hidden": True},
    }


def test_a_notification_event_carries_its_type_and_content() -> None:
    event = create_notification_event("Saved")
    assert event.data == NotificationEventData(content="Saved")
    assert event.to_event_dict() == {
        "type": "notification",
        "data": {"type": "info", "content": "Saved"},
    }
    assert create_notification_event("Lost", "error").to_event_dict() == {
        "type": "notification",
        "data": {"type": "error", "content": "Lost"},
    }


def test_an_unknown_type_of_notification_is_refused() -> None:
    with pytest.raises(ValidationError):
        create_notification_event("Lost", "fatal")  # pyright: ignore[reportArgumentType]


@pytest.mark.anyio
async def test_callbacks_may_be_sync_or_async_and_may_be_missing() -> None:
    async def started(
        name: str, arguments: dict[str, object], call_id: str | None
    ) -> ToolCallbackReturn:
        return create_status_event(name)

    def ended(  # noqa: PLR0917  callbacks are called by position
        name: str, arguments: dict[str, object], result: str, failed: bool
    ) -> ToolCallbackReturn:
        return [create_status_event(name), result]

    def done(result: object) -> str:
        return str(result)

    on_start: OnToolCallStart = started
    on_end: OnToolCallEnd = ended
    on_reasoning: OnReasoning = None
    on_pipeline_end: OnPipelineEnd = done
    assert await on_start("weather", {}, None) == create_status_event("weather")
    assert on_end("weather", {}, "sunny", False) == [create_status_event("weather"), "sunny"]
    assert on_reasoning is None
    assert on_pipeline_end(5) == "5"
