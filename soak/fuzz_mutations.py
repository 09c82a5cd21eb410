"""Changes valid input into input that nobody should send: JSON, text, forms, archives and bytes.

Half of all changes know what they change, so that they get past the first look of a decoder.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal, TypeAlias, cast

from soak.fuzz_archives import archive_after
from soak.fuzz_splices import bytes_after, spliced
from soak.fuzz_words import NO_TOKENS, ODD_BYTES, ODD_KEYS, ODD_TOKENS

Kind: TypeAlias = Literal["json", "text", "lines", "archive"]

_LEVELS = (*(3, 3, 3, 50, 50, 190, 199, 201, 260), *(900, 1100, 10_000))
_USUAL, _TRIES = 4000, 4
_MOST_PLACES = 400
_LONGEST_TEXT = 60_000


class Token(str):
    """JSON that is written as it stands, whether or not it is any."""

    __slots__ = ()


class Mutator:
    """Changes inputs of one kind.

    Args:
        kind: What the inputs are made of.
        seeds: Valid ones; their words are used in others.
        most: How long a changed one may be, in bytes.
    """

    def __init__(self, kind: Kind, seeds: Sequence[bytes], *, most: int) -> None:
        self.seeds = seeds
        self._most = most
        self._words = _words_in(seeds) if kind == "json" else []
        self._change: Callable[[bytes, Random], bytes] = {
            "json": self._json,
            "text": self._text,
            "lines": self._lines,
            "archive": archive_after,
        }[kind]

    def changed(
        self, data: bytes, chance: Random, *, by_bytes: Callable[[bytes], bytes] | None = None
    ) -> bytes:
        """`data` after a few changes.

        Args:
            data: What is changed.
            chance: Decides what is done.
            by_bytes: Another way to change mere bytes, such as libFuzzer's.
        """
        changed = data
        for _ in range(_TRIES):
            start = chance.choice(self.seeds) if chance.random() < 0.4 else data
            if chance.random() < 0.75:
                changed = self._change(start, chance)
            else:
                changed = by_bytes(start) if by_bytes else bytes_after(start, chance)
            # Large ones take their time, and most of what can be found is found by small ones.
            if len(changed) < _USUAL or chance.random() < 0.02:
                break
        return changed[: self._most]

    def _json(self, data: bytes, chance: Random) -> bytes:
        try:
            tree = [json.loads(data)]
            for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
                self._edit(tree, chance)
            text = "".join(_written(tree[0], chance))
        except (ValueError, RecursionError):
            return bytes_after(data, chance)
        return _encoded(text, chance)

    def _edit(self, tree: list[Any], chance: Random) -> None:
        holder, key = chance.choice(_places(tree))
        if chance.random() < 0.45:
            holder[key] = self._value(holder[key], chance)
        elif chance.random() < 0.5:
            holder[key] = _grown(holder[key], chance)
        elif isinstance(holder, dict):
            self._edit_fields(cast(dict[str, Any], holder), key, chance)
        elif holder is not tree:
            del holder[key]

    def _edit_fields(self, fields: dict[str, Any], key: str, chance: Random) -> None:
        value = fields[key]
        if chance.random() < 0.6:
            del fields[key]
        name = chance.choice(self._words) if chance.random() < 0.8 else chance.choice(ODD_KEYS)
        fields[str(name)] = value if chance.random() < 0.5 else self._value(value, chance)

    def _value(self, value: Any, chance: Random) -> Any:
        match chance.randrange(6):
            case 0:
                return chance.choice(self._words)
            case 1:
                return _of_another(chance.choice(self.seeds), chance)
            case 2 if isinstance(value, str):
                return _bent(value, chance)
            case 3:
                return chance.choice((None, True, 0, -1, 1.5, "", [], {}, "x", [1], {"a": 1}))
            case _:
                return Token(chance.choice(ODD_TOKENS if chance.random() < 0.9 else NO_TOKENS))

    def _text(self, data: bytes, chance: Random) -> bytes:
        for _ in range(chance.choice((1, 1, 2, 4))):
            data = spliced(data, chance.choice(ODD_BYTES), chance)
        return data

    def _lines(self, data: bytes, chance: Random) -> bytes:
        """With lines left out, doubled, taken from elsewhere, and odd texts in them."""
        lines = data.split(b"\n")
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(len(lines) + 1)
            others = chance.choice(self.seeds).split(b"\n")
            match chance.randrange(6):
                case 0:
                    del lines[at : at + 1]
                case 1:
                    lines[at:at] = chance.choices(others, k=chance.choice((1, 2, 40)))
                case 2:
                    lines[at:at] = [b" " * chance.randrange(9) + chance.choice(ODD_BYTES)]
                case 3:
                    lines[at:at] = lines[at : at + 3] * chance.choice((1, 1, 3, 3, 300))
                case 4:
                    lines[at:at] = [_nested(chance)]
                case _:
                    lines[at : at + 1] = [self._text(one, chance) for one in lines[at : at + 1]]
        return b"\n".join(lines)


def _places(tree: list[Any]) -> list[tuple[Any, Any]]:
    """Where values stand, the whole first: what holds each, and under which key."""
    found: list[tuple[Any, Any]] = [(tree, 0)]
    for holder, key in found:  # grows while it is gone through
        value = holder[key]
        if len(found) > _MOST_PLACES:
            break
        if isinstance(value, dict):
            found += [(value, name) for name in cast(dict[str, Any], value)]
        elif isinstance(value, list):
            found += [(value, index) for index in range(len(cast(list[Any], value)))]
    return found


def _grown(value: Any, chance: Random) -> Any:
    levels, times = chance.choice(_LEVELS), chance.choice((2, 2, 20, 20, 1000, 3000))
    match chance.randrange(5):
        case 0:
            return Token("[" * levels + "1" + "]" * levels)
        case 1:
            return Token('{"a":' * levels + "1" + "}" * levels)
        case 2 if isinstance(value, list):
            return (cast(list[Any], value) * times)[:times]
        case 3 if isinstance(value, str):
            return (value * times)[:_LONGEST_TEXT]
        case _:
            return {"a": [value]} if chance.random() < 0.5 else [value]


def _written(value: Any, chance: Random) -> list[str]:
    if isinstance(value, Token):
        return [value]
    if isinstance(value, list):
        parts: list[str] = ["["]
        for index, one in enumerate(cast(list[Any], value)):
            parts += [*([","] if index else []), *_written(one, chance)]
        return [*parts, "]"]
    if isinstance(value, dict):
        parts = ["{"]
        for name, one in cast(dict[str, Any], value).items():
            parts += [*([","] if len(parts) > 1 else []), json.dumps(name), ":"]
            parts += _written(one, chance)
            if chance.random() < 0.01:
                parts += [",", json.dumps(name), ":", chance.choice(ODD_TOKENS)]
        return [*parts, "}"]
    return [json.dumps(value, ensure_ascii=chance.random() < 0.5)]


def _encoded(text: str, chance: Random) -> bytes:
    match chance.randrange(60):
        case 0:
            return text.encode("utf-16", "surrogatepass")
        case 1:
            return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
        case 2:
            return text.encode("latin-1", "replace")
        case 3 | 4:
            return bytes_after(text.encode("utf-8", "surrogatepass"), chance)
        case _:
            return text.encode("utf-8", "surrogatepass")


def _of_another(seed: bytes, chance: Random) -> Any:
    holder, key = chance.choice(_places([json.loads(seed)]))
    return holder[key]


def _words_in(seeds: Sequence[bytes]) -> list[str]:
    found: set[str] = set()
    for seed in seeds:
        for holder, key in _places([json.loads(seed)]):
            found |= {word for word in (key, holder[key]) if isinstance(word, str)}
    return sorted(found)


def _bent(text: str, chance: Random) -> str:
    at = chance.randrange(len(text) + 1)
    odd = chance.choice(
        ("\0", "\x7f", "\ud800", "\u202e", "é", " ", "/", "%", "..", "\n", "0", "-")
    )
    return text[:at] + odd + text[at + chance.randrange(3) :]


def _nested(chance: Random) -> bytes:
    """What YAML calls nested, or a value that grows with each alias."""
    levels = chance.choice(_LEVELS)
    aliases = b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)
    )
    return chance.choice(
        (
            b"z: " + b"[" * levels,
            b"z: " + b"[" * levels + b"]" * levels,
            b"z: " + b"{a: " * levels + b"}" * levels,
            b"z: " + b"- " * levels,
            b"a0: &a0 x\n" + aliases,
            b"z: &z [*z]",
            b"z: &z {<<: *z}",
            b"? [a, b]\n: c",
            b"? {a: b}\n: c",
            b"z: !!timestamp 2026-99-99",
            b"z: !!int x",
            b"z: !!float .",
            b"z: 2026-02-31",
            b"z: " + b"1:" * levels + b"1",
            b"z: " + b"9" * min(levels, 5000),
        )
    )
