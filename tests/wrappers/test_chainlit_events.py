from hayserve.wrappers.chainlit_events import ChainlitEvent, create_custom_element_event
from hayserve.wrappers.client_events import PipelineEvent


def test_a_custom_element_event_names_the_element_and_its_props() -> None:
    event = create_custom_element_event("WeatherCard", {"city": "Berlin"})
    assert event.to_event_dict() == {
        "type": "custom_element",
        "data": {"name": "WeatherCard", "props": {"city": "Berlin"}},
    }


def test_chainlit_events_are_pipeline_events_whose_data_stays_a_dict() -> None:
    event = ChainlitEvent(type="status", data={"description": "Searching"})
    assert isinstance(event, PipelineEvent)
    assert event.to_dict() == {"type": "status", "data": {"description": "Searching"}}
