"""What is said about components and connections in YAML that cannot be used."""

import pytest
from haystack import component

from hayserve.errors import DeployRefused
from hayserve.wrappers.yaml_components import load_pipeline
from hayserve.wrappers.yaml_document import YAMLDocument


@component
class Number:
    @component.output_types(number=int)
    def run(self, number: int) -> dict[str, int]:
        return {"number": number}


def refusal_of(source: str) -> str:
    with pytest.raises(DeployRefused) as refused:
        load_pipeline(YAMLDocument(source))
    return str(refused.value)


TYPE_HINT = (
    "A `type` is the name of a class of Haystack, such as PromptBuilder, or a full path, such as "
    "haystack.components.builders.prompt_builder.PromptBuilder."
)
CONNECTION_HINT = "A connection is a mapping with `sender` and `receiver`, each `component.field`."


def test_what_the_pipeline_is_set_to_is_kept() -> None:
    source = """\
metadata: {owner: me}
max_runs_per_component: 7
components:
  llm: {type: MockChatGenerator}
"""
    described = load_pipeline(YAMLDocument(source)).to_dict()
    assert described["metadata"] == {"owner": "me"}
    assert described["max_runs_per_component"] == 7


def test_what_is_referred_to_twice_is_built_twice() -> None:
    source = """\
components:
  d: {type: MockChatGenerator, init_parameters: }
  a: &llm {type: MockChatGenerator, init_parameters: {meta: &meta {x: [1]}}}
  b: *llm
  c: {<<: *llm, init_parameters: {meta: *meta}}
"""
    pipeline = load_pipeline(YAMLDocument(source))
    assert pipeline.get_component("a") is not pipeline.get_component("b")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "inputs: {}\n",
            (
                "line 1: components: the pipeline has none. "
                "List them by name, each with a `type` and its `init_parameters`."
            ),
        ),
        (
            "components: [a]\n",
            (
                "line 1: components: the pipeline has none. "
                "List them by name, each with a `type` and its `init_parameters`."
            ),
        ),
        (
            "components:\n  a: MockChatGenerator\n",
            f"line 2: components.a: a component is a mapping with a `type`. {TYPE_HINT}",
        ),
        (
            "components:\n  a: {init_parameters: {}}\n",
            f"line 2: components.a: a component is a mapping with a `type`. {TYPE_HINT}",
        ),
        (
            "components:\n  a:\n    type: Zzzzzzz\n",
            f"line 3: components.a.type: no component of Haystack is called 'Zzzzzzz'. {TYPE_HINT}",
        ),
        (
            "components:\n  a:\n    type: PromptBilder\n",
            (
                "line 3: components.a.type: no component of Haystack is called 'PromptBilder'. "
                "Did you mean 'PromptBuilder' or 'ChatPromptBuilder'?"
            ),
        ),
        (
            (
                "components:\n  a:\n    type: Agent\n    init_parameters:\n      chat_generator:\n"
                "        type: MockChatGen\n        init_parameters: {}\n"
            ),
            (
                "line 6: components.a.init_parameters.chat_generator.type: "
                "no class of Haystack is called 'MockChatGen'. "
                "Did you mean 'MockChatGenerator'?"
            ),
        ),
        (
            (
                "components:\n  a:\n    type: Agent\n    init_parameters:\n"
                "      mode: {type: JoinMode, init_parameters: {}}\n"
            ),
            (
                "line 5: components.a.init_parameters.mode.type: 'JoinMode' is the name of several "
                "classes. Write one of haystack.components.joiners.answer_joiner.JoinMode, "
                "haystack.components.joiners.document_joiner.JoinMode."
            ),
        ),
        (
            "components:\n  a:\n    type: haystack.no.Where\n",
            f"line 3: components.a.type: 'haystack.no.Where' cannot be imported. {TYPE_HINT}",
        ),
        (
            "components:\n  a:\n    type: os.Path\n",
            (
                "line 2: components.a: Haystack does not load classes from the module 'os'. "
                "If you trust it, add it to the environment variable "
                "HAYSTACK_DESERIALIZATION_ALLOWLIST of the server: names of modules, separated by "
                "commas."
            ),
        ),
        (
            (
                "components:\n  a:\n    type: Agent\n    init_parameters:\n"
                "      chat_generator: {type: mine.Model, init_parameters: {}}\n"
            ),
            (
                "line 2: components.a: Haystack does not load classes from the module 'mine'. "
                "If you trust it, add it to the environment variable "
                "HAYSTACK_DESERIALIZATION_ALLOWLIST of the server: names of modules, separated by "
                "commas."
            ),
        ),
        (
            "components:\n  a:\n    type: MockChatGenerator\n    init_parameters: {size: 1}\n",
            (
                "line 2: components.a: the component cannot be made: "
                "TypeError: MockChatGenerator.__init__() got an unexpected keyword argument 'size'."
            ),
        ),
        (
            "components:\n  _debug: {type: MockChatGenerator}\n",
            (
                "line 2: components._debug: the component cannot be made: "
                "ValueError: '_debug' is a reserved name for debug output. Choose another name."
            ),
        ),
        (
            "components:\n  a: {type: MockChatGenerator}\nconnections: a\n",
            f"line 3: connections: it is not a list. {CONNECTION_HINT}",
        ),
        (
            "components:\n  a: {type: MockChatGenerator}\nconnections:\n- a -> b\n",
            f"line 4: connections[0]: it connects nothing. {CONNECTION_HINT}",
        ),
        (
            "components:\n  a: {type: MockChatGenerator}\nconnections:\n- {sender: a}\n",
            f"line 4: connections[0]: it connects nothing. {CONNECTION_HINT}",
        ),
        (
            (
                "components:\n  llm: {type: MockChatGenerator}\nconnections:\n"
                "- sender: llm.replies\n  receiver: lm.messages\n"
            ),
            "line 4: connections[0]: component 'lm' does not exist. Did you mean 'llm'?",
        ),
        (
            (
                "components:\n  a: {type: MockChatGenerator}\n  b: {type: MockChatGenerator}\n"
                "connections:\n- {sender: a.replies, receiver: b.messages}\n"
                "- {sender: a.replies, receiver: b.tools_strict}\n"
            ),
            (
                "line 6: connections[1]: Cannot connect 'a.replies' with 'b.tools_strict': their "
                "declared input and output types do not match. 'a': - replies: list[ChatMessage] "
                "'b': - tools_strict: bool | None (available)"
            ),
        ),
        (
            "component:\n  a: {type: MockChatGenerator}\n",
            "line 1: component: a pipeline has no such section. Did you mean 'components'?",
        ),
        (
            "components:\n  a: {type: MockChatGenerator}\nmetadata: x\n",
            "line 3: metadata: it is not a mapping.",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(source: str, said: str) -> None:
    assert refusal_of(source) == said


def test_other_sections_are_left_alone() -> None:
    source = "my_notes: 1\ncomponents:\n  a: {type: MockChatGenerator}\n"
    assert load_pipeline(YAMLDocument(source)).get_component("a")


def test_a_trusted_module_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"components:\n  a:\n    type: {__name__}.Number\n"
    assert f"does not load classes from the module '{__name__}'" in refusal_of(source)
    monkeypatch.setenv("HAYSTACK_DESERIALIZATION_ALLOWLIST", __name__)
    assert isinstance(load_pipeline(YAMLDocument(source)).get_component("a"), Number)
