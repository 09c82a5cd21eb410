"""A command is repeated as it was typed."""

import sys

import pytest

from hayserve.cli.typed_again import typed_again


def test_the_command_is_repeated_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/bin/hayserve", "deploy", "my agent", "--key", "s3cret", "-o", "--key=s3cret"]
    monkeypatch.setattr(sys, "argv", words)
    assert typed_again("--loud") == "hayserve deploy 'my agent' -o --loud"
