"""A process that tries something out is limited to what the machine, or its control group, has."""

import subprocess
import sys
from pathlib import Path

import pytest

from hayserve.server.proof_limits import children, data_bytes, machine_bytes

CONFINED = """
import resource
from hayserve.server.proof_limits import confine, data_bytes
if HARD:
    resource.setrlimit(resource.RLIMIT_DATA, (HARD, HARD))
confine(2**28)
soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
assert soft == hard
print(soft - data_bytes(), soft, resource.getrlimit(resource.RLIMIT_CORE))
print(open("/proc/self/oom_score_adj").read())
"""


def confined(hard: int) -> list[str]:
    command = [sys.executable, "-c", CONFINED.replace("HARD", str(hard))]
    return subprocess.check_output(command, text=True).split()


def test_a_process_is_confined_to_what_it_has_and_the_limit() -> None:
    beyond, _, *rest = confined(0)
    assert int(beyond) == pytest.approx(2**28, abs=2**23)
    assert rest == ["(0,", "0)", "1000"]


def test_a_harder_limit_stays() -> None:
    assert confined(2**28)[1] == str(2**28)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/system.slice/x.service", "system.slice/x.service/memory.max"),
        ("0::/system.slice/x.service", "system.slice/memory.max"),
        ("0::/elsewhere", "memory.max"),
        ("4:memory:/docker/1", "memory/docker/1/memory.limit_in_bytes"),
    ],
)
def test_a_control_groups_limit_counts(tmp_path: Path, line: str, file: str) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text(f"8:pids:/\n{line}\n")
    limit = tmp_path / "groups" / file
    limit.parent.mkdir(parents=True)
    limit.write_text("1000\n")
    assert machine_bytes(tmp_path, tmp_path / "groups") == 1000
    limit.write_text("max\n")
    assert machine_bytes(tmp_path, tmp_path / "groups") > 10**8


def test_what_the_system_does_not_say_limits_nothing(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name: x\n")
    assert data_bytes(tmp_path / "status") == 0
    assert data_bytes(tmp_path / "absent") == 0
    assert machine_bytes(tmp_path, tmp_path) > 10**8
    assert children(tmp_path) == []
