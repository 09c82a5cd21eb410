"""What Haystack does and has no public name for: the one place to look at when Haystack changes."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from haystack.components.generators import utils
from haystack.components.generators.chat import OpenAIChatGenerator, openai
from haystack.dataclasses import ChatMessage, ComponentInfo, StreamingChunk
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion import Choice

_of_chat = cast("Any", openai)
_of_generators = cast("Any", utils)
_of_generator = cast("Any", OpenAIChatGenerator)

as_messages: Callable[[list[ChatMessage] | str], list[ChatMessage]]
as_messages = _of_generators._normalize_messages  # noqa: SLF001

message_of_chunks: Callable[[list[StreamingChunk]], ChatMessage]
message_of_chunks = _of_generators._convert_streaming_chunks_to_chat_message  # noqa: SLF001

message_of_choice: Callable[[ChatCompletion, Choice], ChatMessage]
message_of_choice = _of_chat._convert_chat_completion_to_chat_message  # noqa: SLF001

chunk_of: Callable[[ChatCompletionChunk, list[StreamingChunk], ComponentInfo], StreamingChunk]
chunk_of = _of_chat._convert_chat_completion_chunk_to_streaming_chunk  # noqa: SLF001

warn_of_finish_reason: Callable[[dict[str, Any]], None]
warn_of_finish_reason = _of_chat._check_finish_reason  # noqa: SLF001

replies_of_stream: Callable[..., list[ChatMessage]]
replies_of_stream = _of_generator._handle_stream_response  # noqa: SLF001

replies_of_async_stream: Callable[..., Awaitable[list[ChatMessage]]]
replies_of_async_stream = _of_generator._handle_async_stream_response  # noqa: SLF001
