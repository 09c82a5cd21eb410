"""A YAML document that knows on which line everything stands."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeGuard

import yaml
from haystack.marshal.yaml import YamlLoader

from hayserve.errors import DeployRefused

Step = str | int
_MOST_NODES = 100_000
_UNFINISHED = -1
# A tag such as `!!timestamp` or `!!bool` is believed until its value turns out to be no such thing.
_UNREADABLE = (
    *(yaml.YAMLError, ValueError, RecursionError),
    *(ArithmeticError, AttributeError, LookupError, TypeError),
)
_PIPELINE = (
    "A pipeline's YAML is a mapping with `components`, `connections`, `inputs` and `outputs`."
)


def is_mapping(node: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(node, dict)


def is_list(node: object) -> TypeGuard[list[Any]]:
    return isinstance(node, list)


class YAMLDocument:
    """The mapping that a YAML source holds, with the line of each of its entries.

    It is read with the safe loader that Haystack reads its pipelines with.

    Args:
        source: The YAML text.

    Raises:
        DeployRefused: It is not YAML, no mapping, too large, or defines something twice.
    """

    def __init__(self, source: str) -> None:
        with _reading():
            loader = YamlLoader(source)
            root = loader.get_single_node()
            if root is None:
                raise _empty()
            # Before the values are made: that follows aliases and merges (`<<`) already, and puts
            # what is merged among the entries that stand there.
            _refuse_too_much(root, {})
            for section in (None, "components", "inputs", "outputs", "limits"):
                _refuse_duplicates(root, section)
            data: object = loader.construct_document(root)  # pyright: ignore[reportUnknownMemberType] - its stubs lack it
        if data is None:
            raise _empty()
        if not is_mapping(data):
            raise DeployRefused(
                f"The YAML document is a {type(data).__name__}, not a mapping.", hint=_PIPELINE
            )
        self._root = root
        self.data = data

    def line(self, *path: Step) -> int:
        """The line of an entry, or of the nearest one around it; the first line is 1."""
        node, line = self._root, 1
        for step in path:
            found = _entry(node, step)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return line

    def refusal(self, message: str, *path: Step, hint: str = "") -> DeployRefused:
        """An error that names the entry and its line, such as `line 31: inputs.question: …`."""
        where = re.sub(r"\.\[", "[", ".".join(f"[{s}]" if isinstance(s, int) else s for s in path))
        return DeployRefused(
            f"line {self.line(*path)}: {where}: {message}", hint=hint, param=where or None
        )


@contextmanager
def _reading() -> Generator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from error
    except _UNREADABLE as error:
        raise DeployRefused(f"The YAML cannot be read: {error}.") from error


def _empty() -> DeployRefused:
    return DeployRefused("The YAML document is empty.", hint=_PIPELINE)


def _refuse_duplicates(root: yaml.Node, section: str | None) -> None:
    path = () if section is None else (section,)
    entry = (None, root) if section is None else _entry(root, section)
    node = entry and entry[1]
    seen: dict[str, int] = {}
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        name = str(key.value)
        if name in seen and name != "<<":
            where = ".".join((*path, name))
            raise DeployRefused(
                f"line {line}: {where} is defined twice, first in line {seen[name]}.",
                hint="Remove or rename one of them.",
                param=where,
            )
        seen[name] = line


def _refuse_too_much(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Count the nodes below this one, those that aliases repeat each time anew.

    Merges and Haystack follow each alias, so that a few lines can keep them busy for ever.
    """
    key = id(node)
    if sizes.get(key) == _UNFINISHED:
        raise DeployRefused(f"line {node.start_mark.line + 1}: the value contains itself.")
    if key not in sizes:
        sizes[key] = _UNFINISHED
        sizes[key] = 1 + sum(_refuse_too_much(child, sizes) for child in _children(node))
    if sizes[key] > _MOST_NODES:
        raise DeployRefused(
            f"line {node.start_mark.line + 1}: the value is too large: "
            f"with its aliases it has more than {_MOST_NODES} parts."
        )
    return sizes[key]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for entry in node.value for child in entry]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _syntax_error(error: yaml.MarkedYAMLError) -> DeployRefused:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    said = ": ".join(filter(None, (error.context, error.problem)))
    return DeployRefused(
        f"{where}this is not valid YAML: {said}.",
        hint="Check the indentation, colons and quotes there and in the line above.",
    )


def _entry(node: yaml.Node, step: Step) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of the key and the value of an entry; of an item both are the item."""
    if isinstance(node, yaml.MappingNode):
        # The last one counts: what is merged (`<<`) stands before what overrides it.
        return next((entry for entry in reversed(node.value) if entry[0].value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None
