"""Ends streams over HTTP as the specification has it, with a word that is no event.

Source: https://www.openresponses.org/specification#streaming
"""

from hayserve.events import Closing, Event
from hayserve.protocols.sse import Encoder

DONE = b"data: [DONE]\n\n"


class ThenDone:
    """Says what an encoder says, and when that was all.

    Args:
        encoder: The encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def encode(self, event: Event) -> bytes:
        said = self._encoder.encode(event)
        return said + DONE if isinstance(event, Closing) else said
