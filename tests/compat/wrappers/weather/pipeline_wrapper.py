"""An agent with a tool, whose calls are shown as events of Open WebUI and Chainlit."""
# pyright: basic, reportMissingImports=false, reportPrivateImportUsage=false

from collections.abc import AsyncGenerator

from hayhooks import BasePipelineWrapper, async_streaming_generator, callbacks
from hayhooks.chainlit_events import create_custom_element_event
from hayhooks.events import PipelineEvent
from hayhooks.open_webui import OpenWebUIEvent, create_notification_event, create_status_event
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools import Tool

from hayserve.testing import ScriptedChatGenerator


def look_up(city: str) -> str:
    return f"Sunny in {city}"


weather_tool = Tool(
    name="weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
    function=look_up,
)


class PipelineWrapper(BasePipelineWrapper):
    skip_mcp = True

    def setup(self) -> None:
        script = [ToolCall("weather", {"city": "Rome"}, id="call_1"), "It is sunny."]
        self.agent = Agent(
            chat_generator=ScriptedChatGenerator(script, loop=True), tools=[weather_tool]
        )

    def on_tool_call_start(
        self, tool_name: str, arguments: dict, call_id: str
    ) -> list[PipelineEvent]:
        return [
            create_status_event(description=f"Calling {tool_name}"),
            create_notification_event(notification_type="info", content="One moment"),
        ]

    def on_tool_call_end(  # noqa: PLR0917 - called by position
        self, tool_name: str, arguments: dict, result: str, error: bool
    ) -> list[PipelineEvent | str]:
        return [
            create_custom_element_event(name="WeatherCard", props={"said": result}),
            *callbacks.default_on_tool_call_end(tool_name, arguments, result, error),
        ]

    async def run_chat_completion_async(
        self, model: str, messages: list[dict], body: dict
    ) -> AsyncGenerator:
        async def answer():
            async for chunk in async_streaming_generator(
                on_tool_call_start=self.on_tool_call_start,
                on_tool_call_end=self.on_tool_call_end,
                pipeline=self.agent,
                pipeline_run_args={
                    "messages": [ChatMessage.from_openai_dict_format(each) for each in messages]
                },
            ):
                yield chunk
            yield OpenWebUIEvent(type="status", data={"description": "Done", "done": True})

        return answer()
