"""What a wrapper can do."""

from collections.abc import AsyncGenerator, Callable
from types import MethodType
from typing import Any

import pytest
from starlette.datastructures import Headers

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of


class Nothing(BasePipelineWrapper):
    def setup(self) -> None:
        raise NotImplementedError


class Sync(Nothing):
    def run_api(self, name: str) -> str:
        return name

    def run_chat_completion(self, model: str, messages: Any, body: Any) -> str:
        raise NotImplementedError

    def run_response(self, model: str, input_items: Any, body: Any) -> str:
        raise NotImplementedError

    def run_file_upload(self, *args: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - users do
        raise NotImplementedError


class Embeds(Nothing):
    def run_embedding(self, model: str, texts: Any, body: Any) -> Any:
        raise NotImplementedError


class Both(Sync):
    async def run_api_async(self, name: str) -> str:
        return name

    async def run_chat_completion_async(
        self, model: str, messages: Any, body: Any, *, headers: Headers | None = None
    ) -> str:
        raise NotImplementedError


def test_a_wrapper_can_do_what_it_defines() -> None:
    can = capabilities_of(Sync(), name="it")
    assert can.names() == ["run_api", "chat_completion", "responses", "file_upload"]
    for method in (can.api, can.chat, can.response, can.upload):
        assert method is not None
        assert not method.is_async
        assert not method.wants_headers
    assert can.api is not None
    assert can.api.function(name="x") == "x"
    assert can.signature is not None


def test_the_async_form_wins() -> None:
    can = capabilities_of(Both(), name="it")
    assert can.api is not None
    assert (can.api.name, can.api.is_async) == ("run_api_async", True)
    assert can.chat is not None
    assert (can.chat.name, can.chat.wants_headers) == ("run_chat_completion_async", True)
    assert can.response is not None
    assert can.response.name == "run_response"


def test_an_async_generator_function_is_async() -> None:
    class Yields(Nothing):
        async def run_response_async(  # pyright: ignore[reportIncompatibleMethodOverride] - users do
            self, model: str, input_items: Any, body: Any
        ) -> AsyncGenerator[str]:
            yield "a"

    can = capabilities_of(Yields(), name="it")
    assert can.names() == ["responses"]
    assert can.response is not None
    assert can.response.is_async
    assert can.signature is None


def test_a_method_may_be_put_on_the_instance() -> None:
    def run_api(self: object, name: str) -> str:
        return name

    def run_plain(name: str) -> str:
        return name

    for function in (MethodType(run_api, object()), run_plain):
        wrapper = Nothing()
        vars(wrapper)["run_api"] = function
        can = capabilities_of(wrapper, name="it")
        assert can.api is not None
        assert can.api.function(name="x") == "x"


def test_a_method_may_come_from_a_class_in_between() -> None:
    class Below(Both):
        pass

    assert capabilities_of(Below(), name="it").names() == capabilities_of(Both(), name="it").names()


def test_what_merely_looks_like_a_wrapper_will_do() -> None:
    class Duck:
        def run_chat_completion(self, model: str, messages: Any, body: Any) -> str:
            raise NotImplementedError

    duck: Any = Duck()
    assert capabilities_of(duck, name="it").names() == ["chat_completion"]


def test_a_wrapper_that_does_nothing_is_refused() -> None:
    with pytest.raises(DeployRefused, match="'it' defines no method that runs"):
        capabilities_of(Nothing(), name="it")


def test_taking_files_alone_is_not_enough() -> None:
    class Files(Nothing):
        def run_file_upload(self, *args: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - users do
            raise NotImplementedError

    with pytest.raises(DeployRefused, match="defines no method that runs"):
        capabilities_of(Files(), name="it")


def test_embedding_alone_is_enough() -> None:
    can = capabilities_of(Embeds(), name="it")
    assert can.names() == ["embeddings"]
    assert can.embedding is not None
    assert not can.embedding.takes_dimensions


def test_a_method_that_embeds_may_take_dimensions() -> None:
    class Sized(Embeds):
        async def run_embedding_async(
            self, model: str, texts: Any, body: Any, *, dimensions: int | None = None
        ) -> Any:
            raise NotImplementedError

        def run_response(
            self, model: str, input_items: Any, body: Any, *, dimensions: int = 0
        ) -> str:
            raise NotImplementedError

    can = capabilities_of(Sized(), name="it")
    assert can.names() == ["responses", "embeddings"]
    assert can.embedding is not None
    assert (can.embedding.name, can.embedding.is_async) == ("run_embedding_async", True)
    assert can.embedding.takes_dimensions
    assert can.response is not None
    assert not can.response.takes_dimensions


def test_a_method_may_be_switched_off() -> None:
    class Off(Both):
        run_api_async = None  # pyright: ignore[reportAssignmentType] - what is tested

    can = capabilities_of(Off(), name="it")
    assert can.api is not None
    assert can.api.name == "run_api"


def without_body(model: str, messages: Any) -> str: ...
def other_names(model: str, items: Any, body: Any) -> str: ...
async def too_many(model: str, input_items: Any, body: Any, *, user: str) -> str: ...
def too_few(filename: str, content: bytes) -> Any: ...


@pytest.mark.parametrize(
    ("name", "method", "said"),
    [
        (
            "run_chat_completion",
            without_body,
            (
                "with model, messages, body: got an unexpected keyword argument 'body'.",
                "`def run_chat_completion(self, model, messages, body)`",
            ),
        ),
        (
            "run_response",
            other_names,
            (
                "with model, input_items, body: missing a required argument: 'items'.",
                "`def run_response(self, model, input_items, body)`",
            ),
        ),
        (
            "run_response_async",
            too_many,
            (
                "with model, input_items, body: missing a required argument: 'user'.",
                "`async def run_response_async(self, model, input_items, body)`",
            ),
        ),
        (
            "run_embedding",
            without_body,
            (
                "with model, texts, body: missing a required argument: 'messages'.",
                "`def run_embedding(self, model, texts, body)`",
            ),
        ),
        (
            "run_file_upload",
            too_few,
            (
                "with filename, content_type, content, purpose: too many positional arguments.",
                "`def run_file_upload(self, filename, content_type, content, purpose)`",
            ),
        ),
    ],
)
def test_a_method_that_cannot_be_called_is_refused(
    name: str, method: Callable[..., Any], said: tuple[str, str]
) -> None:
    wrapper = Sync()
    vars(wrapper)[name] = method
    with pytest.raises(DeployRefused) as refused:
        capabilities_of(wrapper, name="it")
    assert refused.value.message == f"{name!r} cannot be called {said[0]}"
    assert said[1] in refused.value.hint


def test_a_method_may_take_more_than_it_is_given() -> None:
    def chat(model: str, messages: Any, body: Any, *, user: str = "", **more: Any) -> str: ...
    def response(**given: Any) -> str: ...
    def upload(*given: Any, size: int = 0) -> Any: ...

    wrapper = Nothing()
    vars(wrapper).update(run_chat_completion=chat, run_response=response, run_file_upload=upload)
    names = capabilities_of(wrapper, name="it").names()
    assert names == ["chat_completion", "responses", "file_upload"]
