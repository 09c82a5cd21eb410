"""Short names of classes, found without importing anything."""

import sys
from pathlib import Path

import pytest

from hayserve.wrappers.component_types import ComponentTypes


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, **sources: str) -> ComponentTypes:
    for module, source in sources.items():
        file = folder / "kennel_for_tests" / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return ComponentTypes(["kennel_for_tests"])


def test_components_are_told_from_other_classes() -> None:
    types = ComponentTypes()
    assert types.paths_of("PromptBuilder", components_only=True) == [
        "haystack.components.builders.prompt_builder.PromptBuilder"
    ]
    assert types.paths_of("InMemoryDocumentStore", components_only=True) == []
    assert types.paths_of("InMemoryDocumentStore", components_only=False) == [
        "haystack.document_stores.in_memory.document_store.InMemoryDocumentStore"
    ]
    assert types.paths_of("Nowhere", components_only=False) == []


def test_a_path_finds_what_is_defined_deeper() -> None:
    types = ComponentTypes()
    assert types.paths_of("haystack.components.builders.PromptBuilder", components_only=True) == [
        "haystack.components.builders.prompt_builder.PromptBuilder"
    ]
    assert types.paths_of("elsewhere.PromptBuilder", components_only=True) == []


def test_names_that_are_like_another_are_found() -> None:
    assert ComponentTypes().names_like("promptbuilder", components_only=True)[0] == "PromptBuilder"


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types = package(
        tmp_path,
        monkeypatch,
        __init__="@component\nclass Kennel: ...\n",
        dogs="raise RuntimeError\n\n@component\n@other\nclass Dog:\n    class Inner: ...\n",
        cats="class Dog: ...\nclass _Hidden: ...\n",
    )
    assert types.paths_of("Kennel", components_only=True) == ["kennel_for_tests.Kennel"]
    assert types.paths_of("Dog", components_only=True) == ["kennel_for_tests.dogs.Dog"]
    assert types.paths_of("Dog", components_only=False) == [
        "kennel_for_tests.cats.Dog",
        "kennel_for_tests.dogs.Dog",
    ]
    assert types.paths_of("Inner", components_only=False) == []
    assert "kennel_for_tests" not in sys.modules


def test_packages_that_are_not_installed_are_left_out() -> None:
    assert ComponentTypes(["no_such_package"]).names_like("A", components_only=False) == []
