"""The servers that are measured: hayserve, Hayhooks, and the floor."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.cores import server_core, started_on
from soak.server import descendants, free_port
from soak.start import HAYHOOKS, install

ROOT = Path(__file__).parent.parent
WRAPPERS = Path(__file__).parent / "wrappers"
START_SECONDS = 120


class Failed(Exception):
    """Something cannot be measured, and why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What differs between the servers.

    Args:
        label: What the tables call it.
        command: How it is started; its port and its folder are put after it.
        options: The options for those two.
        ready: The path that answers 200 when all is loaded.
        health: The path that load balancers ask for.
        ending: What is in the end of every stream.
        sources: Where Python looks first for what it imports.
    """

    label: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ("--pipelines-dir",)
    ready: str = "/readyz"
    health: str = "/healthz"
    ending: str = "data: [DONE]"
    sources: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """The variables that its commands get: no settings but those of the benchmark."""
        known = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HAYSERVE_", "HAYHOOKS_"))
        }
        path = os.pathsep.join(map(str, (*self.sources, ROOT)))
        return {**known, "PYTHONPATH": path, "HAYSTACK_TELEMETRY_ENABLED": "False"}


def hayserve(source: Path | None = None) -> Kind:
    """The one that is installed, or another one whose `src` is there."""
    command = (sys.executable, "-m", "hayserve", "run")
    return Kind("hayserve", command, sources=(source.resolve() / "src",) if source else ())


def hayhooks(program: Path) -> Kind:
    return Kind(
        "hayhooks",
        (str(program), "run"),
        ready="/status",
        health="/status",
        ending='"finish_reason":"stop"',
    )


_UVICORN = "--loop uvloop --http httptools --no-access-log --lifespan off --factory"
FLOOR = Kind(
    "floor",
    (sys.executable, "-m", "uvicorn", *_UVICORN.split(), "benchmarks.floor:create_app"),
    options=(),
    ready="/",
)


class Server:
    """A server in a process of its own that serves some of the wrappers.

    Args:
        kind: Which.
        folder: Where its files are.
        arguments: More arguments of its command.
        cores: Where it runs.
    """

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        *,
        arguments: Sequence[str] = (),
        cores: frozenset[int] | None = None,
    ) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._cores = cores or server_core()
        self.variables: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def deploy(self, wrapper: str, *, names: Sequence[str] = ()) -> None:
        """Put a wrapper into the folder that is served, perhaps several times."""
        for name in names or (wrapper,):
            shutil.copytree(WRAPPERS / wrapper, self.folder / "pipelines" / name)

    def start(self) -> float:
        """Start it and wait until it is ready; gives the seconds that took."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "pipelines").mkdir(exist_ok=True)
        environment = {
            **self.kind.environment(),
            "HAYSERVE_DATA_DIR": str(self.folder / "data"),
            "HAYSERVE_KEY_FILE": str(self.folder / "key"),
            **self.variables,
        }
        places = [word for option in self.kind.options for word in (option, "pipelines")]
        command = [*self.kind.command, "--port", str(self.port), *places, *self._arguments]
        begun = time.monotonic()
        with (self.folder / "server.log").open("ab") as log, started_on(self._cores):
            self._process = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - begun

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ready():
                return
            time.sleep(0.01)
        said = (self.folder / "server.log").read_text().strip().splitlines()
        code = self._process.poll()
        how = f"not ready in {START_SECONDS} s" if code is None else f"ended with {code}"
        raise Failed(f"did not start: {how}: {said[-1] if said else 'it said nothing'}")

    def _is_ready(self) -> bool:
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", self.kind.ready)
            return connection.getresponse().status == 200
        return False

    def pids(self) -> tuple[int, ...]:
        """All its processes."""
        assert self._process is not None
        return (self._process.pid, *descendants(self._process.pid))

    def memory(self) -> float:
        """The memory of all its processes, in MB; what they share counts once."""
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                found = re.search(r"Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())
                total += int(found[1]) if found else 0
        return total / 1024

    def stop(self) -> None:
        """End it in good order, or else as it comes."""
        assert self._process is not None
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=15)
        self.kill()

    def kill(self) -> None:
        assert self._process is not None
        everyone = self.pids()[1:]
        self._process.kill()
        self._process.wait()
        for pid in everyone:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


@contextmanager
def running(server: Server) -> Generator[Server]:
    """It runs for as long as the block lasts."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


def installed_hayhooks() -> Path:
    """The program of Hayhooks, installed once into a folder of its own; gives its path."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hayserve-benchmarks" / HAYHOOKS.replace("==", "-")
    done = folder / "installed"
    if not done.exists():
        print(f"Installing {HAYHOOKS} into {folder} …", flush=True)
        install(folder)
        done.touch()
    return folder / "bin" / "hayhooks"
