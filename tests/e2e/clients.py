"""Clients that are programs of their own: each prints what it has seen as JSON."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def node_clients(folder: Path) -> Path:
    """Put the Node clients, and what they need, into a folder."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js is not installed, so its clients cannot be tried.")
    shutil.copytree(
        HERE / "node",
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("node_modules"),
    )
    installed = subprocess.run([npm, "ci"], cwd=folder, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder


def printed_by(command: list[str], **more: Any) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def seen_by(script: Path, *arguments: str) -> dict[str, Any]:
    return printed_by(["node", str(script), *arguments], cwd=script.parent)
