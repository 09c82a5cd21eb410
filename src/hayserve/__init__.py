"""Serve Haystack agents and pipelines over HTTP.

The names below are imported when they are first used, so that `import hayserve` and
`hayserve --help` do not pay for Haystack.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haystack import Pipeline as AsyncPipeline
    from haystack import Pipeline as Pipeline
    from loguru import logger as log

    from hayserve.server.app import create_app
    from hayserve.server.serve import run_app
    from hayserve.wrappers.base import BasePipelineWrapper, SSEStream
    from hayserve.wrappers.caller import Caller
    from hayserve.wrappers.client_events import PipelineEvent
    from hayserve.wrappers.context import current_caller
    from hayserve.wrappers.default_callbacks import (
        default_on_pipeline_end,
        default_on_tool_call_end,
        default_on_tool_call_start,
    )
    from hayserve.wrappers.inputs import coerce_pipeline_inputs
    from hayserve.wrappers.messages import (
        chat_messages_from_openai,
        chat_messages_from_openai_response,
        get_input_files,
        get_last_user_input_text,
        get_last_user_message,
        is_user_message,
    )
    from hayserve.wrappers.streaming import async_streaming_generator, streaming_generator
    from hayserve.wrappers.yaml import YAMLPipelineWrapper

__version__ = version("hayserve")

__all__ = [
    "AsyncPipeline",
    "BasePipelineWrapper",
    "Caller",
    "Pipeline",
    "PipelineEvent",
    "SSEStream",
    "YAMLPipelineWrapper",
    "__version__",
    "async_streaming_generator",
    "chat_messages_from_openai",
    "chat_messages_from_openai_response",
    "coerce_pipeline_inputs",
    "create_app",
    "current_caller",
    "default_on_pipeline_end",
    "default_on_tool_call_end",
    "default_on_tool_call_start",
    "get_input_files",
    "get_last_user_input_text",
    "get_last_user_message",
    "is_user_message",
    "log",
    "run_app",
    "streaming_generator",
]

_HOMES = {
    "AsyncPipeline": ("haystack", "Pipeline"),
    "BasePipelineWrapper": ("hayserve.wrappers.base", "BasePipelineWrapper"),
    "Caller": ("hayserve.wrappers.caller", "Caller"),
    "Pipeline": ("haystack", "Pipeline"),
    "PipelineEvent": ("hayserve.wrappers.client_events", "PipelineEvent"),
    "SSEStream": ("hayserve.wrappers.base", "SSEStream"),
    "YAMLPipelineWrapper": ("hayserve.wrappers.yaml", "YAMLPipelineWrapper"),
    "async_streaming_generator": ("hayserve.wrappers.streaming", "async_streaming_generator"),
    "chat_messages_from_openai": ("hayserve.wrappers.messages", "chat_messages_from_openai"),
    "chat_messages_from_openai_response": (
        "hayserve.wrappers.messages",
        "chat_messages_from_openai_response",
    ),
    "coerce_pipeline_inputs": ("hayserve.wrappers.inputs", "coerce_pipeline_inputs"),
    "create_app": ("hayserve.server.app", "create_app"),
    "current_caller": ("hayserve.wrappers.context", "current_caller"),
    "default_on_pipeline_end": ("hayserve.wrappers.default_callbacks", "default_on_pipeline_end"),
    "default_on_tool_call_end": ("hayserve.wrappers.default_callbacks", "default_on_tool_call_end"),
    "default_on_tool_call_start": (
        "hayserve.wrappers.default_callbacks",
        "default_on_tool_call_start",
    ),
    "get_input_files": ("hayserve.wrappers.messages", "get_input_files"),
    "get_last_user_input_text": ("hayserve.wrappers.messages", "get_last_user_input_text"),
    "get_last_user_message": ("hayserve.wrappers.messages", "get_last_user_message"),
    "is_user_message": ("hayserve.wrappers.messages", "is_user_message"),
    "log": ("loguru", "logger"),
    "run_app": ("hayserve.server.serve", "run_app"),
    "streaming_generator": ("hayserve.wrappers.streaming", "streaming_generator"),
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(module), attribute)
