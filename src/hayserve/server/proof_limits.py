"""Keeps processes that try deployments out within the machine, and in the family."""

import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Source: https://man7.org/linux/man-pages/man2/prctl.2.html
_PARENT_DEATH_SIGNAL = 1
_CHILD_SUBREAPER = 36
_LIMIT_FILES = ("memory.max", "memory.limit_in_bytes")


def confine(memory_bytes: int) -> None:
    """Limit what this process may take beyond what it has now.

    Args:
        memory_bytes: How much memory it may take; 0 for what the machine has.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = data_bytes() + (memory_bytes or machine_bytes())
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with suppress(OSError):  # not on Linux
        # If memory runs out after all, this is the one to go.
        Path("/proc/self/oom_score_adj").write_text("1000")


def die_with_parent() -> None:
    """Have this process killed when the one that made it ends, where the system can do that."""
    _set(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what this process's children leave behind, where the system can."""
    _set(_CHILD_SUBREAPER, 1)


def children(proc: Path = Path("/proc")) -> list[int]:
    """The processes whose parent this one is; none where the system does not say."""
    pid = str(os.getpid())
    with suppress(OSError):
        return [
            int(child) for child in (proc / pid / "task" / pid / "children").read_text().split()
        ]
    return []


def _set(option: int, value: int) -> None:
    with suppress(AttributeError):  # not on Linux
        ctypes.CDLL(None).prctl(option, value)


def data_bytes(status: Path = Path("/proc/self/status")) -> int:
    """How much memory this process counts as its data; 0 where the system does not say."""
    with suppress(OSError):
        for line in status.read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def machine_bytes(proc: Path = Path("/proc"), control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """How much memory there is for this process: the machine's, or its control group's if less."""
    page_size, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    return min([page_size * pages, *_group_limits(proc, control_groups)])


def _group_limits(proc: Path, control_groups: Path) -> Iterator[int]:
    for folder in _groups(proc, control_groups):
        for name in _LIMIT_FILES:
            with suppress(OSError, ValueError):  # not there, or "max"
                yield int((folder / name).read_text())


def _groups(proc: Path, control_groups: Path) -> Iterator[Path]:
    """The folders of the control groups that count this process's memory, of both versions."""
    lines: list[str] = []
    with suppress(OSError):  # not on Linux
        lines = (proc / "self/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "memory"}:
            continue
        top = control_groups / controllers
        # In a container, the group's own path may not be there, but the top is the container's.
        group = top / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))
