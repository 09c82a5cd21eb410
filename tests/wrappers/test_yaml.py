"""Pipelines written in YAML, through the wrapper's public door."""

import json
from pathlib import Path
from typing import Any

import pytest
from haystack import component
from haystack.dataclasses import ChatMessage, Document

from hayserve.errors import DeployRefused
from hayserve.events import Event, ModelFinished, RunFinished, StreamOpened, TextDelta
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.capabilities import Capabilities, capabilities_of
from hayserve.wrappers.pipeline_io import InputResolution, OutputResolution
from hayserve.wrappers.run_limits import RunLimits
from hayserve.wrappers.yaml import YAMLPipelineWrapper


@component
class Search:
    """Finds one document; `top_k` and `filters` can be left out."""

    @component.output_types(documents=list[Document], count=int)
    def run(
        self, query: str, top_k: int = 3, filters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        found = Document(
            id="1", content=f"about {query}", meta={"top_k": top_k, "filters": filters}
        )
        return {"documents": [found], "count": 1}


@component
class Shout:
    @component.output_types(text=str)
    def run(self, text: str) -> dict[str, Any]:
        return {"text": text.upper()}


@component
class Recount:
    @component.output_types(replies=list[str])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        return {"replies": [document.content for document in documents]}


@component
class Count:
    @component.output_types(answer=str)
    def run(self, talk: list[ChatMessage]) -> dict[str, Any]:
        return {"answer": str(len(talk))}


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAYSTACK_DESERIALIZATION_ALLOWLIST", __name__)


ASK = """\
components:
  prompt:
    type: ChatPromptBuilder
    init_parameters:
      template: '{% message role="user" %}Say {{ question }}{% endmessage %}'
  llm:
    type: MockChatGenerator
connections:
  - sender: prompt.prompt
    receiver: llm.messages
inputs:
  question: prompt.question
outputs:
  replies: llm.replies
"""

SEARCH = f"""\
components:
  search:
    type: {__name__}.Search
"""

TWO_MODELS = """\
components:
  first:
    type: MockChatGenerator
  prompt:
    type: ChatPromptBuilder
    init_parameters:
      template: '{% message role="user" %}Improve {{ draft[0].text }}{% endmessage %}'
  second:
    type: MockChatGenerator
connections:
  - {sender: first.replies, receiver: prompt.draft}
  - {sender: prompt.prompt, receiver: second.messages}
"""


def made(source: str, description: str | None = None) -> YAMLPipelineWrapper:
    wrapper = YAMLPipelineWrapper.from_yaml(source, description)
    wrapper.setup()
    return wrapper


def served(source: str) -> Capabilities:
    return capabilities_of(made(source), name="it")


def refusal_of(source: str) -> str:
    with pytest.raises(DeployRefused) as refused:
        made(source)
    return str(refused.value)


async def heard(able: Capabilities, **arguments: Any) -> list[Event]:
    executor = Executor()
    assert able.chat is not None
    async with executor.running():
        return await executor.start(Run(new_ids(1)[0], "it", able.chat, arguments)).all_events()


async def chat(able: Capabilities, *texts: str) -> list[Event]:
    messages = [{"role": "user", "content": text} for text in texts]
    return await heard(able, model="it", messages=messages, body={})


async def answered(able: Capabilities, **values: Any) -> Any:
    """What `POST /it/run` answers to a body of `values`."""
    assert able.api is not None
    assert able.signature is not None
    arguments = able.signature.arguments(json.dumps(values).encode())
    return json.loads(able.signature.encode(await able.api.function(**arguments)))["result"]


@pytest.mark.anyio
async def test_the_answer_has_exactly_the_declared_outputs() -> None:
    able = served(
        SEARCH + "inputs: {q: search.query}\noutputs: {found: search.documents, n: search.count}\n"
    )
    result = await answered(able, q="cats")
    assert list(result) == ["found", "n"]
    assert result["n"] == 1
    assert result["found"][0]["content"] == "about cats"


@pytest.mark.anyio
async def test_without_declared_outputs_the_answer_is_the_pipelines_own() -> None:
    result = await answered(served(SEARCH + "inputs: {q: search.query}\n"), q="cats")
    assert result["search"]["count"] == 1


@pytest.mark.anyio
async def test_an_output_of_a_component_inside_the_pipeline_is_included() -> None:
    able = served(
        TWO_MODELS
        + "inputs: {messages: first.messages}\n"
        + "outputs: {draft: first.replies, best: second.replies}\n"
    )
    result = await answered(able, messages="it")
    assert result["draft"][0]["_content"] == [{"text": "it"}]
    assert result["best"][0]["_content"] == [{"text": "Improve it"}]


@pytest.mark.anyio
async def test_an_output_that_the_pipeline_did_not_come_to_is_null() -> None:
    able = served(
        """\
components:
  router:
    type: ConditionalRouter
    init_parameters:
      routes:
        - {condition: '{{ n > 1 }}', output: '{{ n }}', output_name: many, output_type: int}
        - {condition: '{{ n <= 1 }}', output: '{{ n }}', output_name: few, output_type: int}
outputs: {many: router.many, few: router.few}
"""
    )
    assert await answered(able, n=5) == {"many": 5, "few": None}


@pytest.mark.anyio
async def test_optional_inputs_stay_optional_and_keep_the_components_defaults() -> None:
    able = served(
        SEARCH
        + "inputs: {q: search.query, k: search.top_k, only: search.filters}\n"
        + "outputs: {found: search.documents}\n"
    )
    assert able.signature is not None
    schema = able.signature.request_schema()
    assert schema["required"] == ["q"]
    assert schema["properties"]["k"]["default"] == 3
    assert (await answered(able, q="a"))["found"][0]["meta"] == {"top_k": 3, "filters": None}
    found = await answered(able, q="a", k="7", only={"x": 1})
    assert found["found"][0]["meta"] == {"top_k": 7, "filters": {"x": 1}}


@pytest.mark.anyio
async def test_one_value_reaches_several_components() -> None:
    able = served(
        f"""\
components:
  search: {{type: {__name__}.Search}}
  shout: {{type: {__name__}.Shout}}
inputs:
  query: [search.query, shout.text]
outputs:
  found: search.documents
  loud: shout.text
"""
    )
    result = await answered(able, query="cats")
    assert result["loud"] == "CATS"
    assert result["found"][0]["content"] == "about cats"


@pytest.mark.anyio
async def test_documents_and_messages_are_made_from_json() -> None:
    able = served(f"components:\n  recount: {{type: {__name__}.Recount}}\n")
    result = await answered(able, documents=[{"content": "one"}, {"content": "two"}])
    assert result == {"recount": {"replies": ["one", "two"]}}
    able = served("components:\n  llm: {type: MockChatGenerator}\noutputs: {said: llm.replies}\n")
    result = await answered(able, messages=[{"role": "user", "content": "hi"}])
    assert result["said"][0]["_content"] == [{"text": "hi"}]


def test_descriptions_say_where_an_input_goes() -> None:
    able = served(ASK)
    assert able.signature is not None
    assert able.signature.request_schema()["properties"]["question"]["description"] == (
        "Goes to prompt.question."
    )


def test_without_declared_inputs_all_free_inputs_are_taken_by_their_own_names() -> None:
    wrapper = made(SEARCH)
    assert {name: one.targets for name, one in wrapper.input_resolutions.items()} == {
        "query": ["search.query"],
        "top_k": ["search.top_k"],
        "filters": ["search.filters"],
    }
    assert wrapper.output_resolutions == {}
    assert wrapper.include_outputs_from is None


def test_the_resolutions_say_what_was_declared() -> None:
    wrapper = YAMLPipelineWrapper.from_yaml(
        SEARCH + "inputs: {q: [search.query]}\noutputs: {n: [search.count]}\n"
    )
    assert wrapper.input_resolutions == {
        "q": InputResolution("search.query", "search", "query", str, True, ["search.query"])
    }
    assert wrapper.output_resolutions == {
        "n": OutputResolution("search.count", "search", "count", int)
    }
    assert wrapper.include_outputs_from == {"search"}
    assert wrapper.streaming_components is None


def test_setting_up_twice_builds_one_pipeline() -> None:
    wrapper = made(ASK)
    pipeline = wrapper.pipeline
    wrapper.setup()
    assert wrapper.pipeline is pipeline


def test_a_description_is_the_given_one_or_the_metadatas() -> None:
    described = f"metadata: {{description: Finds it.}}\n{SEARCH}"
    assert made(SEARCH).description is None
    assert made(described).description == "Finds it."
    assert made(described, "Searches.").description == "Searches."
    able = served(described)
    assert able.signature is not None
    assert able.signature.description == "Finds it."


def test_limits_are_read_and_refused_with_their_line() -> None:
    limited = f"{SEARCH.rstrip()}\nlimits:\n  max_runs: 4\n  run_timeout: 1.5\n"
    assert made(limited).run_limits == RunLimits(max_runs=4, run_timeout=1.5)
    assert made(SEARCH).run_limits == RunLimits()
    wrong = YAMLPipelineWrapper.from_yaml("limits:\n  max_runs: 4\n  max_wait.ing: 1\n")
    with pytest.raises(
        DeployRefused, match=r"line 3: limits\.max_wait\.ing: There is no"
    ) as refused:
        _ = wrong.run_limits
    assert refused.value.hint == "Did you mean 'max_waiting'?"
    with pytest.raises(DeployRefused, match="line 1: limits: Limits are numbers by name"):
        _ = YAMLPipelineWrapper.from_yaml("limits: 4").run_limits


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "it.yml"
    path.write_text(f"# äöü\n{SEARCH}", encoding="utf-8")
    assert YAMLPipelineWrapper.from_file(path, description="d").description == "d"
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DeployRefused, match=r"'it\.yml' is not UTF-8"):
        YAMLPipelineWrapper.from_file(path)


@pytest.mark.anyio
async def test_a_pipeline_with_a_question_is_a_chat_model_that_streams() -> None:
    able = served(ASK)
    assert able.names() == ["run_api", "chat_completion"]
    assert await chat(able, "ignored", "two words") == [
        StreamOpened(),
        TextDelta("Say "),
        TextDelta("two "),
        TextDelta("words"),
        ModelFinished("stop"),
        RunFinished(),
    ]


@pytest.mark.anyio
async def test_an_input_for_messages_gets_the_whole_conversation() -> None:
    able = served(f"components:\n  count: {{type: {__name__}.Count}}\n")
    assert await chat(able, "a", "b") == [RunFinished("2")]


@pytest.mark.anyio
async def test_declared_streaming_components_stream() -> None:
    def texts(events: list[Event]) -> str:
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    assert texts(await chat(served(TWO_MODELS), "x")) == "Improve x"
    assert texts(await chat(served(TWO_MODELS + "streaming_components: all\n"), "x")) == (
        "xImprove x"
    )
    assert texts(await chat(served(TWO_MODELS + "streaming_components: [first]\n"), "x")) == "x"


def test_inputs_that_a_conversation_cannot_fill_leave_run_only() -> None:
    two = ASK.replace("Say {{ question }}", "Say {{ question }} in {{ language }}").replace(
        "inputs:\n", "inputs:\n  language: prompt.language\n"
    )
    assert served(two).names() == ["run_api"]


@pytest.mark.anyio
async def test_a_component_with_one_input_and_one_output_may_stand_for_them() -> None:
    able = served(
        f"components:\n  shout: {{type: {__name__}.Shout}}\n"
        "inputs: {q: shout}\noutputs: {a: shout}\n"
    )
    assert await answered(able, q="hi") == {"a": "HI"}


def test_a_message_from_json_is_a_message() -> None:
    able = served("components:\n  llm: {type: MockChatGenerator}\n")
    assert able.signature is not None
    arguments = able.signature.arguments(b'{"messages": [{"role": "user", "content": "hi"}]}')
    assert arguments["messages"] == [ChatMessage.from_user("hi")]


def test_a_pipeline_with_a_text_embedder_embeds() -> None:
    source = """
components:
  embedder: {type: haystack.components.embedders.MockTextEmbedder}
"""
    assert "embeddings" in served(source).names()
