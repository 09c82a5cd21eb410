"""Redeploys a wrapper that holds 10 MB again and again: its memory is given back.

python -m soak.memory --redeploys 200
"""

import argparse
import tempfile
import time
from pathlib import Path

from soak.server import serving, table

SOURCE = """
from haystack import Pipeline
from haystack.components.generators.chat import MockChatGenerator
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        self.pipeline = Pipeline().add_component("llm", MockChatGenerator())
        self.model = bytearray(b"{label}" * (10 * 1024 * 1024 // {length}))

    def run_api(self, question: str) -> str:
        return self.model[:{length}].decode()
"""


def run(
    folder: Path, *, workers: int = 2, redeploys: int = 200, database_url: str | None = None
) -> dict[int, float]:
    """The memory of the workers, in MB, after so many redeploys."""
    memory: dict[int, float] = {}
    arguments = ("--workers", str(workers))
    with serving(folder, *arguments, database_url=database_url) as server:
        for number in range(redeploys + 1):
            label = f"r{number:05}"
            source = SOURCE.format(label=label, length=len(label))
            answer = server.deploy("it", {"pipeline_wrapper.py": source}, overwrite=True)
            assert answer.status_code == 200, answer.text
            with server.client() as client:
                said = client.post("/it/run", json={"question": "?"}).json()["result"]
            assert said == label, said
            if number in {5, redeploys} or number % 25 == 0:
                time.sleep(3)  # what is replaced is given back within a second or two
                memory[number] = server.rss()
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--redeploys", type=int, default=200)
    parser.add_argument("--database-url")
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        memory = run(Path(folder), **given)
    rows = [("redeploys", "MB", "times that after 5")]
    rows += [(str(n), f"{mb:.0f}", f"{mb / memory[5]:.2f}") for n, mb in memory.items()]
    print(table(rows))
    raise SystemExit(0 if memory[given["redeploys"]] <= 1.3 * memory[5] else 1)


if __name__ == "__main__":
    main()
