"""What a pipeline's YAML declares, and what is said where it declares what is not there."""

import pytest

from hayserve.errors import DeployRefused
from hayserve.wrappers.yaml_components import load_pipeline
from hayserve.wrappers.yaml_document import YAMLDocument
from hayserve.wrappers.yaml_io import Declarations

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


def declared(source: str) -> Declarations:
    document = YAMLDocument(source)
    return Declarations(document, load_pipeline(document))


def refusal_of(source: str) -> str:
    with pytest.raises(DeployRefused) as refused:
        read_all(declared(source))
    return str(refused.value)


def read_all(declarations: Declarations) -> None:
    declarations.inputs()
    declarations.outputs()
    declarations.streaming_components()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            ASK.replace("question: prompt.", "question: promt."),
            "line 12: inputs.question: component 'promt' does not exist. Did you mean 'prompt'?",
        ),
        (
            ASK.replace("question: prompt.question", "question: prompt.qestion"),
            (
                "line 12: inputs.question: component 'prompt' has no input 'qestion'. "
                "Did you mean 'question'?"
            ),
        ),
        (
            ASK.replace("replies: llm.replies", "replies: llm.answers"),
            (
                "line 14: outputs.replies: component 'llm' has no output 'answers'. "
                "The outputs are 'replies'."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "question: prompt"),
            (
                "line 12: inputs.question: component 'prompt' has several inputs: name one of "
                "them. The inputs are 'question', 'template', 'template_variables'."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "question: 7"),
            (
                "line 12: inputs.question: it names no `component.field`. "
                "Write `question: component.field`, or a list of those."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "question: []"),
            (
                "line 12: inputs.question: it names no `component.field`. "
                "Write `question: component.field`, or a list of those."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "class: prompt.question"),
            (
                "line 12: inputs.class: an input cannot have this name. "
                "Use letters, digits and underscores, and no word of the Python language."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "a: prompt.question\n  b: prompt.question"),
            (
                "line 13: inputs.b: 'prompt.question' gets its value from the input 'a' already. "
                "Give each component's input one source."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "a: llm.messages"),
            (
                "line 12: inputs.a: 'llm.messages' gets its value from another component. "
                "Remove the input, or the connection."
            ),
        ),
        (
            ASK.replace("question: prompt.question", "a: llm.generation_kwargs"),
            (
                "line 11: inputs: nothing gives 'prompt.question' a value, which it cannot do "
                "without. Add `question: prompt.question`, or connect it."
            ),
        ),
        (
            ASK.replace("inputs:\n  question: prompt.question", "inputs: prompt.question"),
            (
                "line 11: inputs: it is not a mapping. "
                "Write `inputs:` and below it `name: component.field`."
            ),
        ),
        (
            ASK + "streaming_components: [prompt]\n",
            (
                "line 15: streaming_components: No component named 'prompt' can stream. "
                "Components of this pipeline that can: 'llm'."
            ),
        ),
        (
            ASK + "streaming_components: {}\n",
            'line 15: streaming_components: it is neither a list of names nor "all".',
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_line(written: str, said: str) -> None:
    assert refusal_of(written) == said


def test_a_component_with_one_output_may_stand_for_it() -> None:
    outputs = declared(ASK.replace("replies: llm.replies", "said: llm")).outputs()
    assert outputs["said"].path == "llm.replies"


@pytest.mark.parametrize(
    ("written", "chosen"),
    [
        ("all", "all"),
        ("ALL", "all"),
        ("[llm]", ["llm"]),
        ("llm", ["llm"]),
        ("[]", None),
        ("", None),
    ],
)
def test_streaming_components_are_a_list_or_all(
    written: str, chosen: list[str] | str | None
) -> None:
    assert declared(f"{ASK}streaming_components: {written}\n").streaming_components() == chosen
