"""A deployment is tried out in a process of its own, and whatever it does costs only that one."""

import os
import select
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from textwrap import dedent, indent

import anyio
import pytest

from hayserve.deployments.proof import Limits, Proof
from hayserve.deployments.prove import Prover
from hayserve.deployments.target import Target, targets_at
from hayserve.errors import DeployRefused, HayserveError, InvalidRequest, NotReady

pytestmark = pytest.mark.anyio

HEAD = "from hayserve import BasePipelineWrapper\n"
HELLO = "    def run_api(self, name: str) -> str:\n        return f'Hello, {name}!'\n"
BUSY = "import time\nwhile True: time.sleep(9)"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def prover() -> AsyncGenerator[Prover]:
    prover = Prover(Limits(20))
    yield prover
    await prover.aclose()


@pytest.fixture(scope="module")
async def hasty() -> AsyncGenerator[Prover]:
    prover = Prover(Limits(2))
    yield prover
    await prover.aclose()


def wrapper(folder: Path, *, at_import: str = "", setup: str = "pass", name: str = "x") -> Target:
    code = [
        HEAD + dedent(at_import),
        "class PipelineWrapper(BasePipelineWrapper):",
        "    def setup(self):",
        indent(dedent(setup).strip(), " " * 8),
        HELLO,
    ]
    (folder / "pipeline_wrapper.py").write_text("\n".join(code))
    return Target(name, "folder", folder)


def line_with(text: str, target: Target) -> str:
    lines = (target.path / "pipeline_wrapper.py").read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if text in line)
    return rf"pipeline_wrapper\.py line {number}\b"


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def exists(pid: str) -> bool:
    return Path("/proc", pid).exists()


async def told_through(pipe: Path) -> "anyio.AsyncFile[bytes]":
    """The reading end of a pipe, when somebody has opened the other one."""
    return await anyio.open_file(pipe, "rb", buffering=0)


def pipe_in(folder: Path) -> Path:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    return pipe


def telling(pipe: Path, what: str = "'begun'") -> str:
    """Code that says something and waits; the pipe ends when the process does."""
    return f"pipe = open({str(pipe)!r}, 'w'); print({what}, file=pipe, flush=True)\n{BUSY}"


async def test_a_wrapper_is_described(prover: Prover, tmp_path: Path) -> None:
    proof = await prover.prove(wrapper(tmp_path, name="hello"))
    assert proof.seconds > 0
    assert proof == Proof(
        name="hello",
        kind="unknown",
        description="",
        capabilities=["run_api"],
        request_schema={
            "type": "object",
            "title": "helloRunRequest",
            "properties": {
                "name": {"type": "string", "title": "Name", "description": "Parameter 'name'"}
            },
            "required": ["name"],
        },
        seconds=proof.seconds,
    )


async def test_a_file_and_an_object_are_described_too(prover: Prover, tmp_path: Path) -> None:
    (tmp_path / "objects.py").write_text(
        "from haystack import Pipeline\n"
        "from haystack.components.builders import PromptBuilder\n"
        "def make():\n    pipeline = Pipeline()\n"
        "    pipeline.add_component('prompt', PromptBuilder(template='Hi {{ name }}'))\n"
        "    return pipeline\n"
    )
    (tmp_path / "p.yml").write_text(
        "components:\n  prompt:\n"
        "    type: haystack.components.builders.prompt_builder.PromptBuilder\n"
        "    init_parameters: {template: 'Hi {{ name }}'}\nconnections: []\n"
    )
    [made] = targets_at(f"{tmp_path / 'objects.py'}:make")
    [read] = targets_at(str(tmp_path / "p.yml"))
    assert (await prover.prove(made)).kind == "pipeline"
    assert (await prover.prove(read)).capabilities == ["run_api"]


async def test_a_thing_in_memory_is_in_no_other_process(prover: Prover) -> None:
    with pytest.raises(ValueError, match="'x' is a thing in memory"):
        await prover.prove(Target("x", "thing", Path(), thing=object()))


async def test_a_question_is_answered(prover: Prover, tmp_path: Path) -> None:
    proof = await prover.prove(wrapper(tmp_path), check="Ann")
    assert proof.answer == "Hello, Ann!"


async def test_a_wrong_answer_is_a_refusal(prover: Prover, tmp_path: Path) -> None:
    target = wrapper(tmp_path)
    code = (tmp_path / "pipeline_wrapper.py").read_text().replace("return f", "raise KeyError(1)#")
    (tmp_path / "pipeline_wrapper.py").write_text(code)
    with pytest.raises(DeployRefused) as refusal:
        await prover.prove(target, check="Ann")
    message = rf"The check 'Ann' failed: 'x' failed in run_api at {line_with('raise', target)}"
    assert refusal.match(message)


async def test_an_answer_that_breaks_off_is_a_refusal(prover: Prover, tmp_path: Path) -> None:
    code = """
    from starlette.responses import StreamingResponse
    def pieces():
        yield "Hel"
        raise LookupError("no more")
    """
    target = wrapper(tmp_path, at_import=code)
    file = tmp_path / "pipeline_wrapper.py"
    file.write_text(file.read_text().replace("f'Hello, {name}!'", "StreamingResponse(pieces())"))
    with pytest.raises(DeployRefused, match="'x' failed when it was tried out: LookupError: no mo"):
        await prover.prove(target, check="Ann")


async def test_what_cannot_be_loaded_is_refused_as_at_load(prover: Prover, tmp_path: Path) -> None:
    target = wrapper(tmp_path, setup="import sys; sys.exit(4)")
    with pytest.raises(DeployRefused, match=r"^setup\(\) of 'x' failed at .*: SystemExit: 4"):
        await prover.prove(target)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('no')", "SystemExit: no"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        (
            "class Odd(BaseException):\n    def __str__(self): raise SystemExit\nraise Odd",
            "'x'",
        ),
        ("raise ValueError('\\udc80')", "ValueError"),
    ],
)
async def test_what_comes_out_of_setup_is_told(
    prover: Prover, tmp_path: Path, *, code: str, message: str
) -> None:
    with pytest.raises(DeployRefused, match=message):
        await prover.prove(wrapper(tmp_path, setup=code))


async def test_an_error_of_ours_stays_what_it_is(prover: Prover, tmp_path: Path) -> None:
    code = """
    from hayserve.errors import InvalidRequest
    raise InvalidRequest("Wrong.", hint="Right it.", param="model")
    """
    with pytest.raises(HayserveError) as error:
        await prover.prove(wrapper(tmp_path, setup=code))
    raised = error.value
    assert type(raised) is InvalidRequest
    assert (raised.message, raised.hint, raised.param) == ("Wrong.", "Right it.", "model")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(3) # here", r"ended the process with exit code 3"),
        ("import ctypes; ctypes.string_at(0) # here", "crashed with SIGSEGV"),
        ("import os; os.abort() # here", "crashed with SIGABRT"),
    ],
)
async def test_whatever_ends_the_process_is_told_with_its_place(
    prover: Prover, tmp_path: Path, *, code: str, message: str
) -> None:
    target = wrapper(tmp_path, setup=code)
    with pytest.raises(DeployRefused) as in_setup:
        await prover.prove(target)
    place = rf" \({line_with('# here', target)}\)\."
    assert in_setup.match(rf"^setup\(\) of 'x' {message}{place}")
    with pytest.raises(DeployRefused) as at_import:
        await prover.prove(wrapper(tmp_path, at_import=code))
    assert at_import.match(rf"^Importing 'x' {message} \({line_with('# here', target)}\)\.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SIGKILL", r"Loading 'x' was killed \(SIGKILL\), as the system does when memory runs out"),
        ("SIGTERM", "Loading 'x' was ended by SIGTERM"),
    ],
)
async def test_a_process_that_is_killed_is_told(
    prover: Prover, tmp_path: Path, *, name: str, message: str
) -> None:
    code = f"import os, signal; os.kill(os.getpid(), signal.{name}); import time; time.sleep(9)"
    with pytest.raises(DeployRefused, match=message):
        await prover.prove(wrapper(tmp_path, setup=code))


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass # here",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b') # here",
        "import threading; threading.Event().wait() # here",
    ],
)
async def test_code_that_does_not_end_is_ended(hasty: Prover, tmp_path: Path, code: str) -> None:
    target = wrapper(tmp_path, setup=code)
    with pytest.raises(DeployRefused) as refusal:
        await hasty.prove(target)
    place = line_with("# here", target)
    assert refusal.match(rf"^setup\(\) of 'x' took longer than 2 s \({place}\)\.")
    assert "HAYSERVE_SETUP_TIMEOUT" in refusal.value.hint


async def test_a_check_that_does_not_end_is_ended(hasty: Prover, tmp_path: Path) -> None:
    target = wrapper(tmp_path)
    code = (tmp_path / "pipeline_wrapper.py").read_text().replace("return", "while True: pass #")
    (tmp_path / "pipeline_wrapper.py").write_text(code)
    with pytest.raises(DeployRefused) as refusal:
        await hasty.prove(target, check="Ann")
    place = line_with("while", target)
    assert refusal.match(rf"^The check 'Ann' of 'x' took longer than 2 s \({place}\)\.")


async def test_memory_has_an_end(prover: Prover, tmp_path: Path) -> None:
    target = wrapper(tmp_path, setup="bytearray(10**14)")
    with pytest.raises(DeployRefused, match="MemoryError") as refusal:
        await prover.prove(target)
    assert "This machine has" in refusal.value.hint
    modest = Prover(Limits(20, memory_bytes=200 * 1024 * 1024))
    with pytest.raises(DeployRefused, match="MemoryError") as refusal:
        await modest.prove(wrapper(tmp_path, setup="bytearray(300 * 1024 * 1024)"))
    assert "200 MB" in refusal.value.hint
    assert "HAYSERVE_SETUP_MEMORY_MB" in refusal.value.hint
    assert await modest.prove(wrapper(tmp_path, setup="bytearray(100 * 1024 * 1024)"))
    await modest.aclose()


async def test_what_is_printed_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import os\nprint('a word')\nfor _ in range(2000): os.write(1, b'flood ' * 100)"
    prover = Prover(Limits(20))
    await prover.prove(wrapper(tmp_path, setup=code))
    with pytest.raises(DeployRefused):
        await prover.prove(wrapper(tmp_path, setup="raise ValueError('for the log')"))
    await prover.aclose()
    out, err = capfd.readouterr()
    assert out == ""
    assert "a word" in err
    assert err.count("flood ") == 200_000
    assert "not_proven deployment=x" in err
    assert "ValueError: for the log" in err


async def test_code_that_writes_everywhere_does_not_forge_a_proof(
    prover: Prover, tmp_path: Path
) -> None:
    code = """
    import os, stat
    for number in range(3, 40):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b'nonsense\\n[]\\n')
        except OSError:
            pass
    """
    assert await prover.prove(wrapper(tmp_path, setup=code))


async def test_what_setup_started_ends_with_it(prover: Prover, tmp_path: Path) -> None:
    code = f"""
    import os, subprocess
    near = subprocess.Popen(["sleep", "100"])
    far = subprocess.Popen(["sh", "-c", "sleep 100 & wait"], start_new_session=True)
    if not (own := os.fork()):
        os._exit(0)
    os.waitpid(own, 0)
    print(near.pid, far.pid, file=open({str(tmp_path / "pids")!r}, "w"))
    """
    await prover.prove(wrapper(tmp_path, setup=code))
    assert [pid for pid in (tmp_path / "pids").read_text().split() if exists(pid)] == []


async def test_several_are_proven_at_once(prover: Prover, tmp_path: Path) -> None:
    names = [f"w{number}" for number in range(6)]
    proofs: dict[str, Proof] = {}

    async def prove(name: str) -> None:
        (tmp_path / name).mkdir()
        proofs[name] = await prover.prove(wrapper(tmp_path / name, name=name), check=name)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(prove, name)
    assert [proofs[name].answer for name in names] == [f"Hello, {name}!" for name in names]


async def test_proofs_leave_nothing_behind(prover: Prover, tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    code = f"""
    import os
    from pathlib import Path
    helper = Path("/proc", str(os.getppid()))
    counts = [len([*folder.iterdir()]) for folder in (helper / "fd", helper / "task")]
    children = (helper / "task" / helper.name / "children").read_text().split()
    print(*counts, len(children), file=open({str(counted)!r}, "a"))
    """
    target = wrapper(tmp_path, setup=code)
    await prover.prove(target)
    before = open_files()
    for _ in range(20):
        await prover.prove(target)
    assert open_files() == before
    lines = counted.read_text().splitlines()
    assert len(lines) == 21
    assert len(set(lines)) == 1
    assert lines[0].endswith(" 1")


async def test_a_proof_that_is_cancelled_ends_its_process(prover: Prover, tmp_path: Path) -> None:
    pipe = pipe_in(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prover.prove, wrapper(tmp_path, setup=telling(pipe)))
        async with await told_through(pipe) as told:
            assert await told.read(100) == b"begun\n"
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await told.read() == b""


async def test_a_server_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    pipe = pipe_in(tmp_path)
    wrapper(tmp_path, setup=telling(pipe, "__import__('os').getppid()"))
    code = f"""
    import anyio
    from pathlib import Path
    from hayserve.deployments.proof import Limits
    from hayserve.deployments.prove import Prover
    from hayserve.deployments.target import Target
    anyio.run(Prover(Limits(20)).prove, Target("x", "folder", Path({str(tmp_path)!r})))
    """
    command = [sys.executable, "-c", dedent(code)]
    async with (
        await anyio.open_process(command, stdout=None, stderr=None) as server,
        await told_through(pipe) as told,
    ):
        helper = os.pidfd_open(int(await told.read(100)))
        server.kill()
        with anyio.fail_after(10):
            assert await told.read() == b""
            await anyio.wait_readable(helper)
    os.close(helper)


async def test_a_proof_begins_anew_if_its_helper_is_killed(tmp_path: Path) -> None:
    pipe = pipe_in(tmp_path)
    marker = tmp_path / "second"
    code = f"if not open({str(marker)!r}, 'a+').tell():\n" + indent(
        f"open({str(marker)!r}, 'w').write('x')\n" + telling(pipe, "__import__('os').getppid()"),
        "    ",
    )
    prover = Prover(Limits(20))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prover.prove, wrapper(tmp_path, setup=code))
        async with await told_through(pipe) as told:
            os.kill(int(await told.read(100)), signal.SIGKILL)
            assert await told.read() == b""
    await prover.aclose()


async def test_a_helper_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipe_in(tmp_path)
    prover = Prover(Limits(2))
    (tmp_path / "a").mkdir()
    await prover.prove(wrapper(tmp_path / "a"))
    monkeypatch.setattr(prover, "_grace", 0.2)
    async with anyio.create_task_group() as tasks:

        async def prove() -> None:
            with pytest.raises(DeployRefused, match=r"took longer than 2 s"):
                await prover.prove(
                    wrapper(tmp_path, setup=telling(pipe, "__import__('os').getppid()"))
                )

        tasks.start_soon(prove)
        async with await told_through(pipe) as told:
            os.kill(int(await told.read(100)), signal.SIGSTOP)
            assert await told.read() == b""
    await prover.aclose()


async def test_a_helper_that_does_not_begin_is_told(tmp_path: Path) -> None:
    prover = Prover(Limits(20), grace_seconds=0.01)
    with pytest.raises(NotReady, match="The process that tries deployments out does not work"):
        await prover.prove(wrapper(tmp_path))
    await prover.aclose()


async def test_a_helper_without_work_goes_away_and_another_comes(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    target = wrapper(tmp_path, setup=f"import os; open({str(pid)!r}, 'w').write(str(os.getppid()))")
    prover = Prover(Limits(20), idle_seconds=0.1)
    await prover.prove(target)
    first = int(pid.read_text())
    with anyio.fail_after(10):
        descriptor = os.pidfd_open(first)
        await anyio.wait_readable(descriptor)
        os.close(descriptor)
    await prover.prove(target)
    assert int(pid.read_text()) != first
    await prover.aclose()


async def test_closing_ends_everything(tmp_path: Path) -> None:
    pipe = pipe_in(tmp_path)
    prover = Prover(Limits(20))
    async with anyio.create_task_group() as tasks:

        async def prove() -> None:
            with pytest.raises(NotReady, match="stopping"):
                await prover.prove(wrapper(tmp_path, setup=telling(pipe)))

        tasks.start_soon(prove)
        async with await told_through(pipe) as told:
            assert await told.read(100) == b"begun\n"
            await prover.aclose()
            assert select.select([told.wrapped], [], [], 0)[0]
            assert await told.read() == b""
    await prover.aclose()


async def test_without_forking_it_is_the_same_but_slower(tmp_path: Path) -> None:
    prover = Prover(Limits(20), forks=False, python_path=[str(tmp_path / "shared")])
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "shared_by_all.py").write_text("")
    target = wrapper(tmp_path, at_import="import shared_by_all, hayhooks")
    proof = await prover.prove(target, check="Ann")
    assert proof.answer == "Hello, Ann!"
    with pytest.raises(DeployRefused, match=r"^setup\(\) of 'x' crashed with SIGSEGV"):
        await prover.prove(wrapper(tmp_path, setup="import ctypes; ctypes.string_at(0)"))
    await prover.aclose()


async def test_many_are_tried_out_in_one_process_until_one_fails(
    prover: Prover, tmp_path: Path
) -> None:
    targets: list[Target] = []
    for name, setup in (("a", "pass"), ("b", "pass"), ("c", "1 / 0"), ("d", "pass")):
        folder = tmp_path / name
        folder.mkdir()
        targets.append(wrapper(folder, setup=setup, name=name))
    assert await prover.prove_together(targets[:2]) == {"a", "b"}
    assert await prover.prove_together(targets) == {"a", "b"}
