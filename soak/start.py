"""Starts a server with 200 deployments: time to ready and memory, beside hayhooks.

    python -m soak.start --deployments 200 --hayhooks /path/to/venv/bin/hayhooks

Without `--hayhooks` it is installed from the package index into a temporary folder.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx2

from soak.server import Server, descendants, free_port, rss, table

HAYHOOKS = "hayhooks==2.1.0"
SOURCE = """
from haystack import Pipeline
from haystack.components.builders import PromptBuilder
from hayhooks import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("prompt", PromptBuilder("{number} {{{{ question }}}}"))

    def run_api(self, question: str) -> str:
        return self.pipeline.run({{"prompt": {{"question": question}}}})["prompt"]["prompt"]
"""


class Hayhooks:
    """A server of hayhooks."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and wait until it answers; gives the seconds that took."""
        environment = {**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False"}
        arguments = ["--port", str(self.port), "--pipelines-dir", str(self._folder / "pipelines")]
        begun = time.monotonic()
        self._process = subprocess.Popen(
            [str(self._program), "run", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.url}/status", timeout=60).status_code == 200:
                    return time.monotonic() - begun
            assert self._process.poll() is None, "hayhooks did not start"
            time.sleep(0.02)

    def rss(self) -> float:
        assert self._process is not None
        return sum(rss(pid) for pid in [self._process.pid, *descendants(self._process.pid)])

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=30)


def prepare(folder: Path, *, deployments: int) -> None:
    """A folder of so many wrappers that both servers take."""
    for number in range(deployments):
        place = folder / "pipelines" / f"p{number:03}"
        place.mkdir(parents=True)
        (place / "pipeline_wrapper.py").write_text(SOURCE.format(number=number))


def measured(server: Server | Hayhooks, *, deployments: int) -> tuple[float, float]:
    """Seconds until all answer, and MB; the server is stopped afterwards."""
    seconds = server.start()
    try:
        for number in (0, deployments - 1):
            url = f"{server.url}/p{number:03}/run"
            answer = httpx2.post(url, json={"question": "Yes"}, timeout=60).json()
            assert answer["result"] == f"{number} Yes", answer
        return seconds, server.rss()
    finally:
        server.stop()


def install(folder: Path) -> Path:
    """Install hayhooks into a folder of its own; gives its program."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, HAYHOOKS], check=True)
    return folder / "bin" / "hayhooks"


def run(program: Path, *, deployments: int, rounds: int) -> list[tuple[str, float, float]]:
    """The medians of some rounds in which each server is started in turn."""
    figures: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, deployments=deployments)
            server, peer = Server(folder), Hayhooks(program, folder)
            for label, one in (
                ("hayserve, first start", server),
                ("hayserve, next start", server),
                (HAYHOOKS, peer),
            ):
                figures.setdefault(label, []).append(measured(one, deployments=deployments))
    return [
        (label, statistics.median(s for s, _ in all_), statistics.median(mb for _, mb in all_))
        for label, all_ in figures.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--deployments", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hayhooks", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = given.hayhooks or install(Path(folder))
        rows = run(program, deployments=given.deployments, rounds=given.rounds)
    titles = (f"{given.deployments} deployments", "seconds to ready", "MB")
    print(table([titles, *((label, f"{s:.2f}", f"{mb:.0f}") for label, s, mb in rows)]))


if __name__ == "__main__":
    main()
