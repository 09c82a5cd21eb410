"""What a wrapper can do, found once when it is loaded."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.signature import Signature, signature_of, wants_headers


@dataclass(frozen=True, slots=True)
class Method:
    """A method that the wrapper defines, ready to be called."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    wants_headers: bool


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The methods of a wrapper that are served; None for those that it does not define."""

    api: Method | None
    signature: Signature | None
    chat: Method | None
    response: Method | None
    upload: Method | None

    def names(self) -> list[str]:
        """The words that `GET /status` uses for them."""
        words = {
            "run_api": self.api,
            "chat_completion": self.chat,
            "responses": self.response,
            "file_upload": self.upload,
        }
        return [word for word, method in words.items() if method is not None]


def capabilities_of(wrapper: BasePipelineWrapper, *, name: str) -> Capabilities:
    """Find what `wrapper` defines.

    Raises:
        DeployRefused: It defines no method that runs, or one that cannot be served.
    """
    api = _method(wrapper, "run_api")
    capabilities = Capabilities(
        api=api,
        signature=signature_of(api.function, name=name) if api else None,
        chat=_method(wrapper, "run_chat_completion"),
        response=_method(wrapper, "run_response"),
        upload=_method(wrapper, "run_file_upload"),
    )
    if not (capabilities.api or capabilities.chat or capabilities.response):
        raise DeployRefused(
            f"{name!r} defines no method that runs.",
            hint="Give its PipelineWrapper a `run_api`, `run_chat_completion` or `run_response`, "
            "or the async form of one of them.",
        )
    return capabilities


def _method(wrapper: BasePipelineWrapper, name: str) -> Method | None:
    for candidate in (f"{name}_async", name):
        function = getattr(wrapper, candidate, None)
        if function is None or _is_inherited(function, candidate):
            continue
        return Method(
            name=candidate,
            function=function,
            is_async=inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function),
            wants_headers=name != "run_file_upload" and wants_headers(function),
        )
    return None


def _is_inherited(function: object, name: str) -> bool:
    inherited = getattr(BasePipelineWrapper, name, None)
    return inherited is not None and getattr(function, "__func__", function) is inherited
