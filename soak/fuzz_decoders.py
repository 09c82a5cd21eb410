"""Gives millions of broken inputs to everything that reads bytes of strangers.

    python -m soak.fuzz_decoders --inputs 600000 --seed 1
    python -m soak.fuzz_decoders --inputs 50000 --only archive

Each has to be read, or refused with a `HayserveError`, within a second; and memory has to stay
flat. Each decoder has a process of its own, where atheris looks for inputs that reach what none
has reached before. One input in ten is made from the seeds in `soak/corpus` alone, in another
process, whose memory is the decoder's and not what atheris knows; so are all without atheris, which
not every platform has. What went wrong lies in the folder `crashes` afterwards.
"""

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from soak.fuzz_mutations import Mutator
from soak.server import rss, table

LONGEST = 65_536  # bytes of an input
MOST_GROWTH = 1.2  # of memory, from a tenth of the inputs on
HANGS_AFTER = 30  # seconds
MOST_MB = 4096  # of memory, before it is stopped
CORPUS = Path(__file__).parent / "corpus"
READERS = ("hayserve", "python_multipart", "starlette.formparsers", "uvicorn.protocols")


@dataclass
class Seen:
    """What came of the inputs to one decoder.

    Args:
        decoder: Its name.
        inputs: How many there were.
        accepted: How many of them were read to their end.
        wrong: How often each exception came out that should not, by where it was raised.
        slow: How many took longer than they may.
        slowest: The longest time, in seconds of the processor.
        rss: The memory after a tenth of the inputs and after all, in MB.
        seconds: How long all took.
        died: Whether the process came to an end of its own.
    """

    decoder: str
    inputs: int = 0
    accepted: int = 0
    wrong: dict[str, int] = field(default_factory=dict[str, int])
    slow: int = 0
    slowest: float = 0.0
    rss: list[float] = field(default_factory=list[float])
    seconds: float = 0.0
    died: bool = False

    def with_(self, other: "Seen") -> "Seen":
        """Both together; the memory is that of the other."""
        places = [*self.wrong, *other.wrong]
        return Seen(
            self.decoder,
            inputs=self.inputs + other.inputs,
            accepted=self.accepted + other.accepted,
            wrong={place: self.wrong.get(place, 0) + other.wrong.get(place, 0) for place in places},
            slow=self.slow + other.slow,
            slowest=max(self.slowest, other.slowest),
            rss=other.rss,
            seconds=self.seconds + other.seconds,
            died=self.died or other.died,
        )

    @property
    def has_grown(self) -> bool:
        return len(self.rss) > 1 and self.rss[-1] > MOST_GROWTH * self.rss[0]

    @property
    def is_good(self) -> bool:
        return not (self.wrong or self.slow or self.died or self.has_grown)

    def row(self) -> Sequence[object]:
        begin, end = (f"{self.rss[0]:.0f}", f"{self.rss[-1]:.0f}") if self.rss else ("", "")
        wrong = sum(self.wrong.values())
        slowest = f"{self.slowest * 1000:.0f}"
        seconds = f"{self.seconds:.0f}"
        return (self.decoder, self.inputs, self.accepted, wrong + self.died, self.slow, slowest,
                begin, end, seconds)  # fmt: skip


TITLES = ("decoder", "inputs", "accepted", "wrong", "slow", "slowest ms", "MB", "MB then", "s")


class Watch:
    """Gives inputs to a decoder, and notes what comes of them.

    Args:
        target: The decoder, a `soak.fuzz_targets.Target`.
        refusal: The exception that it may raise.
        inputs: How many it will get.
        crashes: The folder for inputs that should be looked at.
    """

    def __init__(
        self, target: Any, *, refusal: type[Exception], inputs: int, crashes: Path
    ) -> None:
        self.seen = Seen(target.name)
        self._read: Callable[[bytes], object] = target.read
        self._seconds: float = target.seconds
        self._refusal = refusal
        self._first = max(1, inputs // 10)
        self._crashes = crashes
        self._begun = time.monotonic()

    def look_at(self, data: bytes) -> None:
        """Give it one input."""
        seen = self.seen
        seen.inputs += 1
        begun = time.thread_time()
        try:
            self._read(data)
            seen.accepted += 1
        except self._refusal:
            pass
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self._note(_place_of(error), data)
        took = time.thread_time() - begun
        seen.slowest = max(seen.slowest, took)
        if took > self._seconds:
            seen.slow += 1
            self._keep("slow", data)
        if seen.inputs == self._first:
            seen.rss.append(rss(os.getpid()))

    def end(self) -> Seen:
        """What came of all."""
        self.seen.rss.append(rss(os.getpid()))
        self.seen.seconds = time.monotonic() - self._begun
        return self.seen

    def _note(self, place: str, data: bytes) -> None:
        if place not in self.seen.wrong:
            self._keep(place, data)
        self.seen.wrong[place] = self.seen.wrong.get(place, 0) + 1

    def _keep(self, why: str, data: bytes) -> None:
        self._crashes.mkdir(parents=True, exist_ok=True)
        name = f"{self.seen.decoder}-{hashlib.sha256(data).hexdigest()[:12]}"
        (self._crashes / name).write_bytes(data)
        print(f"{self.seen.decoder}: {why}: {self._crashes / name}", file=sys.stderr, flush=True)


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "hayserve" in frame.filename] or frames
    last = ours[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {str(error)[:80]}"


def run(target: Any, *, refusal: type[Exception], inputs: int, seed: int, crashes: Path) -> Seen:
    """Give inputs to a decoder that are made from its seeds, the same ones for the same number."""
    watch = Watch(target, refusal=refusal, inputs=inputs, crashes=crashes)
    seeds = [*target.seeds.values()]
    mutator, chance = Mutator(target.kind, seeds, most=LONGEST), Random(seed)
    pool = [*seeds]
    for _ in range(inputs):
        data = mutator.changed(chance.choice(pool), chance)
        accepted = watch.seen.accepted
        watch.look_at(data)
        if watch.seen.accepted > accepted and chance.random() < 0.1:
            pool[len(seeds) :] = [*pool[len(seeds) :][-20:], data]
    return watch.end()


def _explore(name: str, *, inputs: int, seed: int, crashes: Path, report: Path) -> None:
    """The same, with what atheris finds; it does not return."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=READERS):
        target, refusal = _target(name)
    watch = Watch(target, refusal=refusal, inputs=inputs, crashes=crashes)

    def look_at(data: bytes) -> None:
        watch.look_at(data)
        if watch.seen.inputs >= inputs:
            _write(watch.end(), report)
            os._exit(0)  # libFuzzer knows no other end

    found = report.with_name("found")
    found.mkdir()
    options = (
        *(name, f"-seed={seed}", f"-max_len={LONGEST}", "-len_control=0"),
        *(f"-timeout={HANGS_AFTER}", f"-rss_limit_mb={MOST_MB}"),
        *(f"-artifact_prefix={crashes.resolve()}/{name}-", str(found), str(CORPUS / name)),
    )
    atheris.Setup([*options], look_at, custom_mutator=_change(target, atheris))
    atheris.Fuzz()


def _change(target: Any, atheris: Any) -> Callable[[bytes, int, int], bytes]:
    mutator = Mutator(target.kind, [*target.seeds.values()], most=LONGEST)

    def change(data: bytes, most: int, number: int) -> bytes:
        changed = mutator.changed(
            data, Random(number), by_bytes=partial(_by_atheris, atheris, most)
        )
        return changed[:most]

    return change


def _by_atheris(atheris: Any, most: int, data: bytes) -> bytes:
    changed: bytes = atheris.Mutate(data, most)
    return changed


def _target(name: str) -> tuple[Any, type[Exception]]:
    # Late, so that it is counted which lines are reached.
    targets = importlib.import_module("soak.fuzz_targets")
    [target] = [target for target in targets.TARGETS if target.name == name]
    return target, targets.HayserveError


def _write(seen: Seen, report: Path) -> None:
    report.write_text(json.dumps(asdict(seen)))


def _both(name: str, *, inputs: int, seed: int, crashes: Path) -> Seen:
    """What comes of inputs that are found and of those that are made."""
    found = 0 if find_spec("atheris") is None else inputs - inputs // 10
    made = _in_a_process(name, inputs - found, seed, crashes=crashes, mode="made")
    if not found:
        return made
    return _in_a_process(name, found, seed, crashes=crashes, mode="found").with_(made)


def _in_a_process(name: str, inputs: int, seed: int, *, crashes: Path, mode: str) -> Seen:
    crashes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "report"), Path(folder, "log")
        command = [sys.executable, "-m", "soak.fuzz_decoders", "--only", name, "--mode", mode]
        known = ["--inputs", inputs, "--seed", seed, "--crashes", crashes, "--report", report]
        with log.open("wb") as out:
            subprocess.run([*command, *map(str, known)], stdout=out, stderr=out, check=False)
        said = log.read_text(errors="replace")
        notes = [line for line in said.splitlines() if line.startswith(f"{name}: ")]
        print("\n".join(notes), end="\n" if notes else "", flush=True)
        if report.exists():
            return Seen(**json.loads(report.read_text()))
        print(said[-3000:], flush=True)
        return Seen(name, died=True)


def _be_the_process(given: argparse.Namespace) -> None:
    known = {"inputs": given.inputs, "seed": given.seed, "crashes": given.crashes}
    if given.mode == "found":
        _explore(given.only, report=given.report, **known)
    target, refusal = _target(given.only)
    _write(run(target, refusal=refusal, **known), given.report)


def main() -> None:
    names = sorted(entry.name for entry in CORPUS.iterdir())
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=600_000, help="for all decoders together")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=names)
    parser.add_argument("--crashes", type=Path, default=Path("crashes"))
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=("found", "made"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report:
        _be_the_process(given)
        return
    chosen = [given.only] if given.only else names
    each = -(-given.inputs // len(chosen))
    seen: list[Seen] = []
    for name in chosen:
        seen.append(_both(name, inputs=each, seed=given.seed, crashes=given.crashes))
        print(table([TITLES, seen[-1].row()]), flush=True)
    problems = [f"{n} times {one.decoder}: {what}" for one in seen for what, n in one.wrong.items()]
    print("\n".join([table([TITLES, *(one.row() for one in seen)]), *problems]))
    failed = [one.decoder for one in seen if not one.is_good]
    print(f"seed {given.seed}: {sum(one.inputs for one in seen)} inputs, failed: {failed}")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
