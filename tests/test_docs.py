"""Runs every code block of the README and of docs/, page by page, as a reader would.

The blocks of a page run in their order, in one empty folder:

- a block with `title="path"` is that file;
- `sh` is run by a shell; what comes after `$ hayserve run` on its own is a server, started in the
  background and stopped where the page starts another, and at its end;
- `text` after a `sh` or `python` block is what it prints, where `...` stands for anything;
- `python` without a title is a program.

The port 1416 of the text is a free port here, so that pages do not meet each other or a server
that is in use.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Not run by a page's test: `make` targets are what CI and the demo's own test run.
LEFT_TO_OTHERS = re.compile(r"^(make|git|pip|uv|scripts/\S+|\. \.venv)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    title: str
    text: str
    line: int


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        yield Block(
            language=found[1],
            title=found[2] or "",
            text=found[3],
            line=text.count("\n", 0, found.start()) + 1,
        )


class Reader:
    """Follows one page in a folder of its own."""

    def __init__(self, folder: Path, port: int, stack: ExitStack) -> None:
        self._folder = folder
        self._port = port
        self._stack = stack
        self._printed = ""
        self._server: subprocess.Popen[bytes] | None = None
        self._env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HAYSERVE_PORT": str(port),
            "XDG_STATE_HOME": str(folder / ".state"),
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            self._env.pop(name, None)

    def follow(self, block: Block) -> None:
        if block.title:
            path = self._folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "sh":
            self._shell(block)
        elif block.language == "python":
            self._run([sys.executable, "-c", self._here(block.text)], block)
        elif block.language == "text":
            assert _matches(self._here(block.text), self._printed), (
                f"line {block.line}: printed\n{self._printed}"
            )
        else:
            pytest.fail(f"line {block.line}: nothing runs {block.language!r} without a title")

    def _shell(self, block: Block) -> None:
        commands = self._here(block.text)
        if commands.startswith("hayserve run"):
            self._start(commands)
        elif not LEFT_TO_OTHERS.match(commands):
            self._run(["bash", "-euc", commands], block)

    def _start(self, command: str) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
        log = self._stack.enter_context((self._folder / "server.log").open("w"))
        self._server = server = subprocess.Popen(
            ["bash", "-euc", f"exec {command}"],
            cwd=self._folder,
            env=self._env,
            stdout=log,
            stderr=log,
        )
        self._stack.callback(server.wait)
        self._stack.callback(server.terminate)
        deadline = time.monotonic() + 25
        while not self._is_ready():
            assert server.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < deadline, (self._folder / "server.log").read_text()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://localhost:{self._port}/readyz") as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def _run(self, command: list[str], block: Block) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        log = self._folder / "server.log"
        told = log.read_text() if log.exists() else ""
        assert done.returncode == 0, f"line {block.line}: {done.stderr}{done.stdout}\n{told}"
        self._printed = done.stdout

    def _here(self, text: str) -> str:
        return text.replace("1416", str(self._port))


def _matches(expected: str, printed: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.strip().split("...")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.e2e
@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_block_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    with ExitStack() as stack:
        reader = Reader(tmp_path, free_port(), stack)
        for block in blocks_of(page):
            reader.follow(block)


def test_every_fence_is_one_that_runs() -> None:
    for page in PAGES:
        opened = re.findall(r"^```\S", page.read_text(), re.MULTILINE)

        assert len(opened) == len(list(blocks_of(page))), page.name
