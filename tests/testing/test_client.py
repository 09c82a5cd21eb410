"""The server in the test's own process."""

import asyncio
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ToolCall
from starlette.responses import JSONResponse, PlainTextResponse

from hayserve import BasePipelineWrapper, streaming_generator
from hayserve.errors import DeployRefused, Misconfigured, ServerRefused
from hayserve.testing import Reply, ScriptedChatGenerator, serve
from wrappers.streaming_parts import chat

WRAPPER = """
from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.greeting = "Hello"

    def run_api(self, name: str) -> str:
        return f"{self.greeting}, {name}!"
"""


class Greeter(BasePipelineWrapper):
    def setup(self) -> Any:
        pass

    def run_api(self, name: str) -> Any:
        if name == "nobody":
            raise ValueError("nobody is here")
        return JSONResponse({"hello": name}) if name == "json" else {"hello": name}

    def run_chat_completion(self, model: str, messages: Any, body: Any) -> Generator[Any]:
        yield "Hi"
        if "fail" in str(messages):
            raise ValueError("failed midway")


class Streams(Greeter):
    def run_api(self, name: str) -> Generator[str]:
        yield "Hello, "
        yield name


def test_an_agent_is_served_in_three_lines() -> None:
    agent = Agent(chat_generator=ScriptedChatGenerator(["Hello!"]))
    with serve(greeter=agent) as client:
        assert client.chat("greeter", "Hi").text == "Hello!"


def test_a_pipeline_is_served() -> None:
    with serve(echo=chat(("llm", MockChatGenerator()))) as client:
        answer = client.chat("echo", [{"role": "user", "content": "Hi"}])
        assert "Hi" in answer.text
        assert answer.finish_reason == "stop"


def test_a_folder_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "greeter"
    folder.mkdir()
    (folder / "pipeline_wrapper.py").write_text(WRAPPER)
    with serve(folder) as client:
        assert client.run("greeter", name="Ada") == "Hello, Ada!"


def test_a_wrappers_class_is_served() -> None:
    with serve(greeter=Greeter, streams=Streams()) as client:
        assert client.run("greeter", name="Ada") == {"hello": "Ada"}
        assert client.run("greeter", name="json") == {"hello": "json"}
        assert client.run("streams", name="Ada") == "Hello, Ada"
        assert client.chat("greeter", "Hi").text == "Hi"
        assert client.http.get("/v1/models").json()["data"]


def test_an_answer_has_all_parts() -> None:
    script = [Reply("It is so.", reasoning="Let me see.")] * 2
    with serve(thinker=chat(("llm", ScriptedChatGenerator(script)))) as client:
        whole = client.chat("thinker", "Is it?")
        streamed = client.stream_chat("thinker", "Is it?")
    for answer in (whole, streamed):
        assert answer.text == "It is so."
        assert answer.reasoning == "Let me see."
        assert answer.finish_reason == "stop"
        assert answer.tool_calls == []
        assert answer.usage == {
            **(answer.usage or {}),
            "prompt_tokens": 2,
            "completion_tokens": 3,
            "total_tokens": 5,
        }
    assert len(whole.chunks) == 1
    assert len(streamed.chunks) > 3


def test_the_clients_tool_calls_are_whole_in_both_forms() -> None:
    calls = [ToolCall("add", {"a": 1, "b": 2}, id="c1"), ToolCall("sub", {}, id="c2")]
    with serve(model=chat(("llm", ScriptedChatGenerator([calls, calls])))) as client:
        for answer in (client.chat("model", "Hi"), client.stream_chat("model", "Hi")):
            assert answer.finish_reason == "tool_calls"
            assert [
                (call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in answer.tool_calls
            ] == [("c1", "add", '{"a": 1, "b": 2}'), ("c2", "sub", "{}")]


def test_a_stream_without_usage_has_none() -> None:
    with serve(greeter=Greeter) as client:
        answer = client.stream_chat("greeter", "Hi", stream_options=None)
        assert answer.text == "Hi"
        assert answer.usage is None


def test_a_refusal_is_raised() -> None:
    with serve(greeter=Greeter) as client:
        with pytest.raises(ServerRefused, match=r"500: .*nobody is here"):
            client.run("greeter", name="nobody")
        with pytest.raises(ServerRefused, match=r"404: .*'nobody'"):
            client.chat("nobody", "Hi")
        with pytest.raises(ServerRefused, match="422"):
            client.run("greeter")
        with pytest.raises(ServerRefused, match="failed midway"):
            client.stream_chat("greeter", "please fail")


def test_a_setting_may_be_given() -> None:
    with serve(greeter=Greeter, settings={"show_tracebacks": True}) as client:
        with pytest.raises(ServerRefused) as caught:
            client.run("greeter", name="nobody")
        assert "Traceback" in caught.value.hint


def test_a_setting_that_does_not_exist_is_refused() -> None:
    settings = {"show_traceback": True}
    with (
        pytest.raises(Misconfigured, match="no setting 'show_traceback'") as refused,
        serve(greeter=Greeter, settings=settings),
    ):
        raise NotImplementedError
    assert refused.value.hint == "Did you mean 'show_tracebacks'?"


def test_aliases_may_be_given(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pipeline_wrapper.py").write_text(WRAPPER)
    aliases = {"greeter": ["gpt-4o-mini", "gpt-4o"], "folder": "other"}
    with serve(folder, greeter=Greeter, aliases=aliases) as client:
        assert client.chat("gpt-4o", "Hi").text == "Hi"
        assert client.run("other", name="Ada") == "Hello, Ada!"


def test_an_alias_of_nothing_is_refused() -> None:
    with (
        pytest.raises(Misconfigured, match="`aliases` names 'greter'") as refused,
        serve(greeter=Greeter, aliases={"greter": ["gpt-4o-mini"]}),
    ):
        raise NotImplementedError
    assert refused.value.hint == "Did you mean 'greeter'?"


def test_a_thing_needs_a_name() -> None:
    thing: Any = Greeter()
    with pytest.raises(Misconfigured, match=r"'Greeter' needs.*serve\(name="), serve(thing):
        raise NotImplementedError


def test_the_client_may_deploy_and_nobody_is_warned(caplog: pytest.LogCaptureFixture) -> None:
    order = {"name": "late", "files": {"pipeline_wrapper.py": WRAPPER}}
    with serve(greeter=Greeter) as client:
        assert client.http.post("/deploy_files", json=order).is_success
        assert client.run("late", name="Ada") == "Hello, Ada!"
        stranger = {"authorization": ""}
        assert client.http.post("/undeploy/late", headers=stranger).status_code == 401
    assert "insecure" not in [record.message for record in caplog.records]


def test_the_server_may_ask_nobody_for_a_key() -> None:
    with serve(greeter=Greeter, settings={"insecure": True}) as client:
        assert "authorization" not in client.http.headers
        assert client.http.post("/undeploy/greeter").is_success


class Slow(Greeter):
    def setup(self) -> None:
        threading.Event().wait(0.2)


def test_a_slow_setup_is_waited_for() -> None:
    with serve(slow=Slow) as client:
        assert client.run("slow", name="Ada") == {"hello": "Ada"}


class Broken(Greeter):
    def setup(self) -> None:
        raise ValueError("no key")


class Fatal(Greeter):
    async def setup(self) -> None:
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(0)


def test_what_cannot_be_loaded_raises_its_error() -> None:
    with pytest.raises(DeployRefused, match="no key"), serve(broken=Broken):
        raise NotImplementedError
    with pytest.raises(DeployRefused), serve(number=3):
        raise NotImplementedError
    with pytest.raises(Misconfigured, match="nothing at 'nowhere'"), serve("nowhere"):
        raise NotImplementedError


def test_what_ends_the_server_ends_the_test() -> None:
    with pytest.raises(BaseException), serve(fatal=Fatal):  # noqa: B017, PT011 - any will do
        raise NotImplementedError


def test_a_wrapper_that_streams_from_a_pipeline_is_served() -> None:
    class Wrapper(Greeter):
        def setup(self) -> None:
            self.pipeline = chat(("llm", ScriptedChatGenerator(["one two"], loop=True)))

        def run_chat_completion(self, model: str, messages: Any, body: Any) -> Any:
            return streaming_generator(self.pipeline, pipeline_run_args={"llm": {"messages": []}})

    with serve(it=Wrapper) as client:
        assert client.chat("it", "Hi").text == "one two"
        assert client.stream_chat("it", "Hi").text == "one two"


class Streaming(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, *, fails: bool) -> Generator[str]:
        yield "one\n"
        yield "two"
        if fails:
            raise ValueError("lost it")


def test_a_stream_is_its_whole_text_and_one_that_fails_is_raised() -> None:
    with serve(stream=Streaming) as client:
        assert client.run("stream", fails=False) == "one\ntwo"
        with pytest.raises(ServerRefused, match="ValueError: lost it"):
            client.run("stream", fails=True)


class Raw(Greeter):
    def run_api(self, name: str) -> Any:
        return PlainTextResponse(name)


def test_an_answer_of_another_type_is_its_text() -> None:
    with serve(raw=Raw) as client:
        assert client.run("raw", name="as it is") == "as it is"


def test_what_is_wrong_with_the_input_reads_as_a_sentence() -> None:
    with serve(greeter=Greeter) as client, pytest.raises(ServerRefused) as caught:
        client.run("greeter", nom="x")
    assert caught.value.message == "422: body.name: Field required"
