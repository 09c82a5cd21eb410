"""What a wrapper can do, found once when it is loaded."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.own_loop import OwnLoop
from hayserve.wrappers.signature import Signature, signature_of, wants_headers

# What the server passes, by name or, for uploads, in this order.
_PASSED = {
    "run_chat_completion": ("model", "messages", "body"),
    "run_response": ("model", "input_items", "body"),
    "run_embedding": ("model", "texts", "body"),
    "run_file_upload": ("filename", "content_type", "content", "purpose"),
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method that the wrapper defines, ready to be called.

    Async code of it runs on `loop`, or on the event loop of the server if that is None.
    `takes_dimensions` says of one that embeds that it lets callers choose how long embeddings are.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    wants_headers: bool
    loop: OwnLoop | None = None
    takes_dimensions: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The methods of a wrapper that are served; None for those that it does not define."""

    api: Method | None
    signature: Signature | None
    chat: Method | None
    response: Method | None
    embedding: Method | None
    upload: Method | None

    def names(self) -> list[str]:
        """The words that `GET /status` uses for them."""
        words = {
            "run_api": self.api,
            "chat_completion": self.chat,
            "responses": self.response,
            "embeddings": self.embedding,
            "file_upload": self.upload,
        }
        return [word for word, method in words.items() if method is not None]


def capabilities_of(
    wrapper: BasePipelineWrapper, *, name: str, loop: OwnLoop | None = None
) -> Capabilities:
    """Find what `wrapper` defines.

    Args:
        wrapper: The wrapper, which has been set up.
        name: The deployment's name.
        loop: Where its async code runs; None for the event loop of the server.

    Raises:
        DeployRefused: It defines no method that runs, or one that cannot be served.
    """
    api = _method(wrapper, "run_api", loop)
    capabilities = Capabilities(
        api=api,
        signature=signature_of(api.function, name=name) if api else None,
        chat=_method(wrapper, "run_chat_completion", loop),
        response=_method(wrapper, "run_response", loop),
        embedding=_method(wrapper, "run_embedding", loop),
        upload=_method(wrapper, "run_file_upload", loop),
    )
    if not {*capabilities.names()} - {"file_upload"}:
        raise DeployRefused(
            f"{name!r} defines no method that runs.",
            hint="Give its PipelineWrapper a `run_api`, `run_chat_completion`, `run_response` or "
            "`run_embedding`, or the async form of one of them.",
        )
    return capabilities


def _method(wrapper: BasePipelineWrapper, name: str, loop: OwnLoop | None) -> Method | None:
    for candidate in (f"{name}_async", name):
        function = getattr(wrapper, candidate, None)
        if function is None or _is_inherited(function, candidate):
            continue
        method = Method(
            name=candidate,
            function=function,
            is_async=inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
            wants_headers=name != "run_file_upload" and wants_headers(function),
            loop=loop,
            takes_dimensions=name == "run_embedding" and _takes_dimensions(function),
        )
        if name in _PASSED:
            _refuse_if_uncallable(method, _PASSED[name], by_name=name != "run_file_upload")
        return method
    return None


def _takes_dimensions(function: Callable[..., Any]) -> bool:
    return "dimensions" in inspect.signature(function).parameters


def _refuse_if_uncallable(method: Method, passed: Sequence[str], *, by_name: bool) -> None:
    named = [*passed, "headers"] if method.wants_headers else passed
    try:
        signature = inspect.signature(method.function)
        if by_name:
            signature.bind(**dict.fromkeys(named))
        else:
            signature.bind(*passed)
    except TypeError as error:
        definition = "async def" if method.is_async else "def"
        raise DeployRefused(
            f"{method.name!r} cannot be called with {', '.join(passed)}: {error}.",
            hint=f"Write `{definition} {method.name}(self, {', '.join(passed)})`; "
            "more parameters need defaults.",
        ) from error


def _is_inherited(function: object, name: str) -> bool:
    inherited = getattr(BasePipelineWrapper, name, None)
    return inherited is not None and getattr(function, "__func__", function) is inherited
