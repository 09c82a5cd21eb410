"""How a stream over HTTP ends."""

from hayserve.events import BytesDelta, RunCancelled, RunFinished
from hayserve.protocols.openai_responses.done import ThenDone
from hayserve.protocols.openai_responses.log import AsItIs


def test_it_ends_with_a_word_that_is_no_event() -> None:
    encoder = ThenDone(AsItIs())

    assert encoder.encode(BytesDelta(b"data: 1\n\n")) == b"data: 1\n\n"
    assert encoder.encode(RunFinished()) == b"data: [DONE]\n\n"


def test_it_ends_so_after_what_went_wrong_too() -> None:
    said = ThenDone(AsItIs()).encode(RunCancelled("so"))

    assert said.startswith(b"event: error\n")
    assert said.endswith(b"\n\ndata: [DONE]\n\n")
