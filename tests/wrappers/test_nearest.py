"""Suggestions for names that are not known."""

from hayserve.wrappers.nearest import nearest


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert nearest("promt", ["Prompt", "llm"], kind="components") == "Did you mean 'Prompt'?"


def test_all_names_are_listed_where_none_is_near() -> None:
    assert nearest("xyz", ["llm", "builder"], kind="components") == (
        "The components are 'builder', 'llm'."
    )
    assert nearest("xyz", [], kind="inputs") == "There are no inputs."
