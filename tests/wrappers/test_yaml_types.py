"""Short names of classes in YAML, wherever Haystack makes an object."""

from typing import Any

from hayserve.wrappers.yaml_components import load_pipeline
from hayserve.wrappers.yaml_document import YAMLDocument
from hayserve.wrappers.yaml_types import FullTypes


def test_short_names_reach_into_the_parameters() -> None:
    pipeline = load_pipeline(
        YAMLDocument(
            """\
components:
  retriever:
    type: InMemoryBM25Retriever
    init_parameters:
      document_store: {type: InMemoryDocumentStore}
  agent:
    type: Agent
    init_parameters:
      chat_generator: {type: MockChatGenerator, init_parameters: {model: mine}}
      tools:
      - type: Tool
        data:
          {name: say, description: Says it., parameters: {type: object}, function: builtins.print}
      state_schema:
        found: {type: str}
        note: {type: Any}
        documents: {type: "list[haystack.dataclasses.Document]"}
"""
        )
    )
    described = pipeline.to_dict()["components"]
    store = described["retriever"]["init_parameters"]["document_store"]
    assert store["type"] == (
        "haystack.document_stores.in_memory.document_store.InMemoryDocumentStore"
    )
    generator = described["agent"]["init_parameters"]["chat_generator"]
    tools = described["agent"]["init_parameters"]["tools"]
    assert tools[0]["type"] == "haystack.tools.tool.Tool"
    assert generator["init_parameters"]["model"] == "mine"
    assert described["agent"]["init_parameters"]["state_schema"]["found"] == {"type": "str"}


def test_the_path_that_a_class_is_imported_from_will_do() -> None:
    source = "components:\n  llm: {type: haystack.components.generators.chat.MockChatGenerator}\n"
    assert load_pipeline(YAMLDocument(source)).get_component("llm")


def test_what_is_no_class_stays_as_it_is() -> None:
    definition: dict[str, Any] = {
        "type": "MockChatGenerator",
        "init_parameters": {
            "key": {"type": "env_var", "env_vars": ["A"]},
            "schema": {"type": "Tool", "properties": {}},
            "any": {"type": "Any"},
        },
    }
    full = FullTypes(YAMLDocument("a: 1")).of_component(definition, "a")
    assert full["type"] == "haystack.components.generators.chat.mock.MockChatGenerator"
    assert full["init_parameters"] == definition["init_parameters"]
