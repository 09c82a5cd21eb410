"""Finds the classes of Haystack's packages by their short names, without importing them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

# Haystack's own packages, and those that its deserialization trusts beside them.
_PACKAGES = (
    "haystack.components",
    "haystack.document_stores",
    "haystack.tools",
    "haystack.skill_stores",
    "haystack.hooks",
    "haystack_integrations",
    "haystack_experimental",
)
_CLASS = re.compile(
    r"^(?P<component>@component\b.*\n(?:@.*\n)*)?class (?P<name>[A-Z]\w*)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A class: its full path and whether it is a component."""

    path: str
    is_component: bool


class ComponentTypes:
    """The classes that a pipeline's YAML may name; reads the packages' sources when made.

    Args:
        packages: Where to look.
    """

    def __init__(self, packages: Iterable[str] = _PACKAGES) -> None:
        self._found: dict[str, list[_Found]] = {}
        for package in packages:
            for name, found in _classes_in(package):
                self._found.setdefault(name, []).append(found)

    def paths_of(self, name: str, *, components_only: bool) -> list[str]:
        """The full paths of the classes called `name`.

        `name` may also be the path from which a class is imported although it is defined deeper.
        """
        package, _, short = name.rpartition(".")
        return sorted(
            found.path
            for found in self._found.get(short, [])
            if (found.is_component or not components_only)
            and (not package or found.path.startswith(f"{package}."))
        )

    def names_like(self, name: str, *, components_only: bool) -> list[str]:
        """The short names that are most like `name`, the best first."""
        known = {
            short.lower(): short
            for short, all_found in self._found.items()
            if not components_only or any(found.is_component for found in all_found)
        }
        short = name.rpartition(".")[2].lower()
        return [known[near] for near in get_close_matches(short, known, n=3, cutoff=0.75)]


def _classes_in(package: str) -> Iterator[tuple[str, _Found]]:
    for folder in _folders_of(package):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            module = ".".join((package, *(part for part in parts if part != "__init__")))
            for match in _CLASS.finditer(file.read_text(encoding="utf-8")):
                name = match["name"]
                yield name, _Found(f"{module}.{name}", is_component=bool(match["component"]))


def _folders_of(package: str) -> list[Path]:
    top, *inner = package.split(".")
    spec = find_spec(top)
    return [Path(folder, *inner) for folder in (spec and spec.submodule_search_locations) or ()]
