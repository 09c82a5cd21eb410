"""Reads what a client's tool gave."""

import json
from collections.abc import Mapping
from typing import cast

_TEXTS = ("input_text", "output_text", "text")


def output_text(output: object) -> str:
    """What a tool of the client gave, which may be anything, as text."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        parts = cast(list[object], output)
        texts = [text for part in parts if (text := _text_of(part)) is not None]
        if len(texts) == len(parts):
            return "\n".join(texts)
    return json.dumps(output, ensure_ascii=False)


def _text_of(part: object) -> str | None:
    """The text of a part that is one."""
    if not isinstance(part, dict):
        return None
    said = cast(Mapping[str, object], part)
    text = said.get("text") if said.get("type") in _TEXTS else None
    return text if isinstance(text, str) else None
