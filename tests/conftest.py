"""Fixtures that every test may use."""

import os

import pytest

pytest_plugins = ["databases"]

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when Haystack is imported


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
