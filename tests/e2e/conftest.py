"""A server with all deployments of `wrappers`, and the clients that are not written in Python."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from e2e.clients import HERE, node_clients
from e2e.process import serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(HERE / "wrappers", data_dir=tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture
def client(server: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node clients and what they need."""
    return node_clients(tmp_path_factory.mktemp("node"))
