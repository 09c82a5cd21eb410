"""Fixtures for the tests of Hayhooks' names."""

import sys
from collections.abc import Iterator

import pytest

from hayserve.compat.hayhooks import HayhooksNames, install_hayhooks_names


@pytest.fixture
def hayhooks_names() -> Iterator[None]:
    """Hayhooks' names, freshly installed; afterwards everything is as it was before."""
    finders = list(sys.meta_path)
    modules = {name: sys.modules.pop(name) for name in list(sys.modules) if is_hayhooks(name)}
    sys.meta_path[:] = [each for each in finders if not isinstance(each, HayhooksNames)]
    install_hayhooks_names()
    yield
    for name in filter(is_hayhooks, list(sys.modules)):
        del sys.modules[name]
    sys.modules.update(modules)
    sys.meta_path[:] = finders


def is_hayhooks(module: str) -> bool:
    return module.partition(".")[0] == "hayhooks"
