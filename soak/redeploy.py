"""Redeploys, rolls back and undeploys under load: no request fails, none is answered too late.

python -m soak.redeploy --workers 4 --redeploys 100 --rollbacks 20 --undeploys 20
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from soak.server import Server, serving, table

CLIENTS = 10
STREAMS = 8
TOKENS, PAUSE = 40, 0.05

SOURCE = """
import time
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        self.label = "{label}"

    async def run_api_async(self) -> str:
        return self.label

    def run_chat_completion(self, model, messages, body):
        for _ in range({tokens}):
            time.sleep({pause})
            yield self.label + " "
"""


@dataclass
class Activation:
    """A label that is served from some moment between `begun` and `done` on; None for nothing."""

    label: str | None
    begun: float
    done: float


@dataclass
class Seen:
    """One answer: when the request began and ended, and the label; None for a 404."""

    begun: float
    ended: float
    label: str | None


@dataclass
class Log:
    """All that happened to one name."""

    name: str
    activations: list[Activation] = field(default_factory=list[Activation])
    seen: list[Seen] = field(default_factory=list[Seen])
    failed: list[str] = field(default_factory=list[str])
    streams: int = 0
    cut: list[str] = field(default_factory=list[str])

    def late(self) -> list[Seen]:
        """Answers that were not, or no longer, true when the request began.

        A request may be answered by what was served at any moment between its beginning and its
        end; once anybody has got an answer of a newer activation, an older one is late.
        """
        wrong: list[Seen] = []
        newest: list[tuple[float, int]] = []  # when an answer had come, and what it proves
        for one in sorted(self.seen, key=lambda seen: seen.begun):
            possible = [
                number
                for number, activation in enumerate(self.activations)
                if activation.label == one.label
                and activation.begun <= one.ended
                and self._replaced_at(number) >= one.begun
            ]
            known = max((number for ended, number in newest if ended < one.begun), default=0)
            if not possible or max(possible) < known:
                wrong.append(one)
                continue
            newest.append((one.ended, min(possible)))
            newest = newest[-400:]
        return wrong

    def _replaced_at(self, number: int) -> float:
        later = self.activations[number + 1 :]
        return later[0].done if later else float("inf")


class Load:
    """Clients that ask all the time, in a thread with an event loop of its own."""

    def __init__(self, url: str, logs: dict[str, Log]) -> None:
        self._url = url
        self._logs = logs
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=CLIENTS)
        async with httpx2.AsyncClient(base_url=self._url, timeout=60, limits=limits) as client:
            names = [*self._logs]
            asking = [self._ask(client, names[n % len(names)]) for n in range(CLIENTS)]
            streaming = [self._stream(client, names[0]) for _ in range(STREAMS)]
            await asyncio.gather(*asking, *streaming)

    async def _ask(self, client: httpx2.AsyncClient, name: str) -> None:
        log = self._logs[name]
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                answer = await client.post(f"/{name}/run", json={})
            except httpx2.HTTPError as error:
                log.failed.append(repr(error))
                continue
            ended = time.monotonic()
            if answer.status_code == 200:
                log.seen.append(Seen(begun, ended, answer.json()["result"]))
            elif answer.status_code == 404:
                log.seen.append(Seen(begun, ended, None))
            else:
                log.failed.append(f"{answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(0.01)

    async def _stream(self, client: httpx2.AsyncClient, name: str) -> None:
        log = self._logs[name]
        body = {"model": name, "messages": [{"role": "user", "content": "Go"}], "stream": True}
        while not self._stopping.is_set():
            log.streams += 1
            try:
                async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                    lines = [line async for line in answer.aiter_lines()]
            except httpx2.HTTPError as error:
                log.cut.append(repr(error))
                continue
            if problem := _problem_in(lines):
                log.cut.append(problem)


def _problem_in(lines: list[str]) -> str:
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    if not data or data[-1] != "[DONE]":
        return f"no end: {data[-1:]}"
    chunks = [json.loads(line) for line in data[:-1]]
    text = "".join(c["delta"].get("content") or "" for x in chunks for c in x.get("choices", []))
    labels = text.split()
    if len(labels) != TOKENS or len(set(labels)) != 1:
        return f"{len(labels)} tokens of {set(labels)}"
    return ""


class Driver:
    """Makes the changes and writes down when each was asked for and done."""

    def __init__(self, server: Server, logs: dict[str, Log]) -> None:
        self._server = server
        self._logs = logs
        self._number = 0
        self._labels: dict[str, list[str]] = {name: [] for name in logs}
        self.seconds: list[float] = []

    def deploy(self, name: str) -> None:
        self._number += 1
        label = f"r{self._number}"
        self._labels[name].append(label)
        source = SOURCE.format(label=label, tokens=TOKENS, pause=PAUSE)
        body = {"name": name, "files": {"pipeline_wrapper.py": source}, "overwrite": True}
        self._change(name, label, path="/deploy_files", body=body)

    def rollback(self, name: str) -> None:
        labels = self._labels[name]
        before = labels.index(self._logs[name].activations[-1].label or "") - 1
        self._change(name, labels[before], path=f"/deployments/{name}/rollback", body={})

    def undeploy(self, name: str) -> None:
        self._change(name, None, path=f"/undeploy/{name}", body={})

    def _change(
        self, name: str, label: str | None, *, path: str, body: Mapping[str, object]
    ) -> None:
        activation = Activation(label, time.monotonic(), float("inf"))
        self._logs[name].activations.append(activation)
        with self._server.client() as client:
            answer = client.post(path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        activation.done = time.monotonic()
        self.seconds.append(activation.done - activation.begun)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    requests: int
    failed: list[str]
    late: list[Seen]
    streams: int
    cut: list[str]
    seconds: list[float]

    def __str__(self) -> str:
        times = sorted(self.seconds)
        return table(
            [
                ("requests", self.requests),
                ("failed", f"{len(self.failed)} {self.failed[:3]}"),
                ("answered by what was not active", f"{len(self.late)} {self.late[:3]}"),
                ("streams", self.streams),
                ("streams cut", f"{len(self.cut)} {self.cut[:3]}"),
                ("changes", len(times)),
                ("seconds per change, median", f"{times[len(times) // 2]:.2f}"),
                ("seconds per change, longest", f"{times[-1]:.2f}"),
            ]
        )

    @property
    def is_clean(self) -> bool:
        return not (self.failed or self.late or self.cut)


def run(
    folder: Path,
    *,
    workers: int = 4,
    redeploys: int = 100,
    rollbacks: int = 20,
    undeploys: int = 20,
    database_url: str | None = None,
) -> Result:
    """Change what is served while clients ask for it.

    `stays` is redeployed and rolled back, `goes` is undeployed and deployed again.
    """
    logs = {name: Log(name) for name in ("stays", "goes")}
    with serving(folder, "--workers", str(workers), database_url=database_url) as server:
        driver = Driver(server, logs)
        driver.deploy("goes")
        for _ in range(3):
            driver.deploy("stays")
        with Load(server.url, logs):
            time.sleep(1)
            for number in range(max(redeploys, rollbacks, undeploys)):
                if number < redeploys:
                    driver.deploy("stays")
                if number < rollbacks:
                    driver.rollback("stays")
                    driver.deploy("stays")
                if number < undeploys:
                    driver.undeploy("goes")
                    driver.deploy("goes")
            time.sleep(1)
    everything = logs.values()
    return Result(
        requests=sum(len(log.seen) + len(log.failed) for log in everything),
        failed=[text for log in everything for text in log.failed],
        late=[seen for log in everything for seen in log.late()],
        streams=sum(log.streams for log in everything),
        cut=[text for log in everything for text in log.cut],
        seconds=driver.seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--redeploys", type=int, default=100)
    parser.add_argument("--rollbacks", type=int, default=20)
    parser.add_argument("--undeploys", type=int, default=20)
    parser.add_argument("--database-url")
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), **given)
    print(result)
    raise SystemExit(0 if result.is_clean else 1)


if __name__ == "__main__":
    main()
