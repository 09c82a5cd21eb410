"""Chat generators that cost less than Haystack's own and do the same."""

from haystack.core.serialization import allow_deserialization_module

from hayserve.generators.chat import LeanOpenAIChatGenerator
from hayserve.generators.replace import make_lean

__all__ = ["LeanOpenAIChatGenerator", "make_lean"]

# What `to_dict` writes is read again by `Pipeline.loads`, which asks who may be imported.
allow_deserialization_module("hayserve.generators")
