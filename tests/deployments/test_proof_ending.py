"""How a process ended says why a deployment is refused, and where in its code."""

import os
from pathlib import Path

import pytest

import hayserve
from hayserve.deployments.proof import Job, Limits, Phase
from hayserve.deployments.proof_ending import Ending, place_in, refusal_of
from hayserve.deployments.target import Target

OURS = Path(hayserve.__file__).parent / "deployments" / "load.py"


def target_in(folder: Path) -> Target:
    return Target("x", "folder", folder)


def thread(*frames: tuple[Path | str, int, str], current: bool = False) -> str:
    head = "Current thread" if current else "Thread"
    lines = [f'  File "{file}", line {line} in {function}' for file, line, function in frames]
    return "\n".join([f"{head} 0x00007f (most recent call first):", *lines, ""])


@pytest.mark.parametrize(
    ("frames", "doing"),
    [
        ([(OURS, 3, "_wrapper_in")], "Importing 'x'"),
        ([(OURS, 3, "_deployment_of")], "Reading what 'x' can do"),
        ([(OURS, 3, "anything")], r"setup\(\) of 'x'"),
        ([], "Loading 'x'"),
    ],
)
def test_a_stack_says_what_part_of_loading_it_was(
    tmp_path: Path, frames: list[tuple[Path, int, str]], doing: str
) -> None:
    job = Job(target_in(tmp_path), Limits(30), check=None, search_path=())
    ending = Ending(-9, is_late=True, trace=thread(*frames))
    assert refusal_of(ending, job, phase="load").message.startswith(doing.replace("\\", ""))


@pytest.mark.parametrize(
    ("phase", "doing"),
    [("describe", "Reading what 'x' can do"), ("check", "The check 'Who?' of 'x'")],
)
def test_what_was_said_needs_no_stack(tmp_path: Path, phase: Phase, doing: str) -> None:
    job = Job(target_in(tmp_path), Limits(30), check="Who?", search_path=())
    refusal = refusal_of(Ending(0), job, phase=phase)
    assert refusal.message == f"{doing} ended the process with exit code 0."


def test_a_signal_without_a_name_has_its_number(tmp_path: Path) -> None:
    job = Job(target_in(tmp_path), Limits(30), check=None, search_path=())
    assert "was ended by signal 40" in refusal_of(Ending(-40), job, phase="load").message


def test_the_innermost_line_of_the_own_files_is_the_place(tmp_path: Path) -> None:
    trace = thread(
        ("/usr/lib/re.py", 1, "match"),
        (tmp_path / "lib" / "site-packages" / "a.py", 2, "f"),
        (tmp_path / "sub" / "b.py", 3, "g"),
        (tmp_path / "pipeline_wrapper.py", 4, "setup"),
    )
    assert place_in(trace, target_in(tmp_path)) == f"sub{os.sep}b.py line 3".replace(os.sep, "/")


def test_the_thread_that_the_server_made_comes_before_those_of_the_wrapper(tmp_path: Path) -> None:
    own = tmp_path / "pipeline_wrapper.py"
    trace = thread((own, 1, "background")) + thread((own, 2, "setup"), (OURS, 3, "call"))
    assert place_in(trace, target_in(tmp_path)) == "pipeline_wrapper.py line 2"


def test_a_folder_with_any_name_is_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "schön"
    folder.mkdir()
    written = str(folder / "a.py").encode("ascii", "backslashreplace").decode()
    target = Target("x", "object", folder / "a.py")
    assert place_in(thread((written, 7, "f"), current=True), target) == "a.py line 7"
    assert not place_in(thread(("/elsewhere/a.py", 7, "f")), target)
