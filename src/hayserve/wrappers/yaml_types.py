"""Completes the short class names in a pipeline's YAML to the full paths that Haystack reads."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from hayserve.wrappers.component_types import ComponentTypes
from hayserve.wrappers.yaml_document import Step, YAMLDocument, is_list, is_mapping

WHAT_A_TYPE_IS = (
    "A `type` is the name of a class of Haystack, such as PromptBuilder, or a full path, such as "
    "haystack.components.builders.prompt_builder.PromptBuilder."
)


class FullTypes:
    """Completes the class names of one document.

    Args:
        document: Where they stand, for messages.
    """

    def __init__(self, document: YAMLDocument) -> None:
        self._document = document

    def of_component(self, definition: Mapping[str, Any], *path: Step) -> dict[str, Any]:
        """A component's definition, complete, with all objects among its parameters.

        Raises:
            DeployRefused: A name is unknown, or several classes are called so.
        """
        full = {key: self._through(value, (*path, key)) for key, value in definition.items()}
        full["type"] = self._full_type(full["type"], (*path, "type"), is_component=True)
        full["init_parameters"] = full.get("init_parameters") or {}
        return full

    def hint(self, name: str, *, components_only: bool) -> str:
        """The names that `name` may have been meant to be, as a hint."""
        near = self._types.names_like(name, components_only=components_only)
        return f"Did you mean {' or '.join(map(repr, near))}?" if near else WHAT_A_TYPE_IS

    @cached_property
    def _types(self) -> ComponentTypes:
        return ComponentTypes()

    def _through(self, node: Any, path: tuple[Step, ...]) -> Any:
        if is_mapping(node):
            return self._through_mapping(node, path)
        if is_list(node):
            return [self._through(item, (*path, index)) for index, item in enumerate(node)]
        return node

    def _through_mapping(self, node: dict[str, Any], path: tuple[Step, ...]) -> dict[str, Any]:
        mapping = {key: self._through(value, (*path, key)) for key, value in node.items()}
        name: object = mapping.get("type")
        if not (isinstance(name, str) and _may_be_a_class(name, mapping)):
            return mapping
        if "init_parameters" in mapping or self._types.paths_of(name, components_only=False):
            mapping["type"] = self._full_type(name, (*path, "type"), is_component=False)
            if "data" not in mapping:
                mapping.setdefault("init_parameters", {})
        return mapping

    def _full_type(self, name: str, path: tuple[Step, ...], *, is_component: bool) -> str:
        paths = self._types.paths_of(name, components_only=is_component)
        if len(paths) == 1:
            return paths[0]
        if "." in name:
            return name
        if paths:
            raise self._document.refusal(
                f"{name!r} is the name of several classes.",
                *path,
                hint=f"Write one of {', '.join(paths)}.",
            )
        raise self._document.refusal(
            f"no {'component' if is_component else 'class'} of Haystack is called {name!r}.",
            *path,
            hint=self.hint(name, components_only=is_component),
        )


def _may_be_a_class(name: str, mapping: Mapping[str, Any]) -> bool:
    """Whether a mapping with a `type` may stand for an object; much else has a `type` too."""
    is_alone = not mapping.keys() - {"type", "init_parameters", "data"}
    return is_alone and name.rpartition(".")[2][:1].isupper()
