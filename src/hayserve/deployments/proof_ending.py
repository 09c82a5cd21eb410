"""Why a process that should prove a deployment ended without a word, as a refusal."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from hayserve.deployments.proof import Job, Phase
from hayserve.deployments.target import Target
from hayserve.errors import DeployRefused

_CRASHES = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"})
# As `faulthandler` writes them.
_THREAD = re.compile(r"^(?=(?:Current thread|Thread) 0x)", re.MULTILINE)
_FRAME = re.compile(
    r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)$', re.MULTILINE
)
_OWN = str(Path(__file__).parents[1]) + os.sep


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended.

    Args:
        exit_code: What it ended with; a signal as a negative number.
        is_late: Whether it was ended because its time was up.
        trace: Where its threads were, as `faulthandler` says it; empty if that is not known.
    """

    exit_code: int
    is_late: bool = False
    trace: str = ""


def refusal_of(ending: Ending, job: Job, *, phase: Phase) -> DeployRefused:
    """What to tell whoever deploys.

    Args:
        ending: How the process ended.
        job: What it was to prove.
        phase: What it did at the time.
    """
    if phase == "load":
        phase = _phase_in(ending.trace)
    doing = _doing(phase, job)
    place = place_in(ending.trace, job.target)
    where = f" ({place})" if place else ""
    if ending.is_late:
        return DeployRefused(
            f"{doing} took longer than {job.limits.seconds:g} s{where}.",
            hint="Make it faster, or give it more time: HAYSERVE_SETUP_TIMEOUT, in seconds.",
        )
    if ending.exit_code >= 0:
        return DeployRefused(
            f"{doing} ended the process with exit code {ending.exit_code}{where}.",
            hint="A wrapper must not end the process: raise an exception instead.",
        )
    name = _signal_name(-ending.exit_code)
    if name == "SIGKILL":
        return DeployRefused(
            f"{doing} was killed (SIGKILL), as the system does when memory runs out{where}.",
            hint="Let it take less memory. With HAYSERVE_SETUP_MEMORY_MB below what is free it "
            "fails where its memory ends, which names the line.",
        )
    if name in _CRASHES:
        return DeployRefused(
            f"{doing} crashed with {name}{where}.",
            hint="It happened in compiled code that it uses: try another version of that package. "
            "Where HAYSERVE_SETUP_MEMORY_MB is set, it may have been too little.",
        )
    return DeployRefused(
        f"{doing} was ended by {name}{where}.", hint="A wrapper must not end the process."
    )


def place_in(trace: str, target: Target) -> str:
    """The innermost line of the deployment's own files, such as `pipeline_wrapper.py line 12`."""
    folder = target.path if target.kind == "folder" else target.path.parent
    root = _as_written(os.path.realpath(folder) + os.sep)
    for thread in _threads(trace):
        for frame in _FRAME.finditer(thread):
            inside = frame["file"].removeprefix(root)
            if inside != frame["file"] and "site-packages" not in inside:
                return f"{inside.replace(os.sep, '/')} line {frame['line']}"
    return ""


def _threads(trace: str) -> Iterator[str]:
    """The threads, those first that the server's own code called."""
    yield from sorted(_THREAD.split(trace), key=lambda thread: _as_written(_OWN) not in thread)


def _phase_in(trace: str) -> Phase:
    """Which part of loading was under way: only the threads that do it know."""
    functions = {frame["function"] for frame in _FRAME.finditer(trace)}
    if not functions:
        return "load"
    if "_wrapper_in" in functions:
        return "import"
    return "describe" if "_deployment_of" in functions else "setup"


def _doing(phase: Phase, job: Job) -> str:
    name = job.target.name
    match phase:
        case "load":
            return f"Loading {name!r}"
        case "import":
            return f"Importing {name!r}"
        case "setup":
            return f"setup() of {name!r}"
        case "describe":
            return f"Reading what {name!r} can do"
        case "check":
            return f"The check {job.check!r} of {name!r}"
        case _:
            assert_never(phase)


def _signal_name(number: int) -> str:
    with suppress(ValueError):  # one of those that have only numbers
        return signal.Signals(number).name
    return f"signal {number}"


def _as_written(path: str) -> str:
    return path.encode("ascii", errors="backslashreplace").decode()
