"""The process that tries deployments out: it waits for jobs and makes a child for each of them.

`hayserve.deployments.prove` starts it. It imports what every deployment needs once, has one thread
only and runs no code of users: its children do. It ends when nobody holds the other end of its
control socket any more, and when it has had nothing to do for a while.

`python -m hayserve.server.proof_process CONTROL IDLE_SECONDS SECONDS forks|spawns`, or, for a
child that was not forked, `… child CONNECTION TRACE PARENT DEADLINE`.
"""

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from time import monotonic
from typing import IO, Protocol

from hayserve.compat.hayhooks import install_hayhooks_names
from hayserve.deployments.proof import line_of
from hayserve.server.logs import configure_logs
from hayserve.server.proof_job import run_job
from hayserve.server.proof_limits import adopt_orphans, children
from hayserve.settings import load

_LONGEST_TRACE = 200_000
_LAST_WORDS_SECONDS = 5.0
_THIS_PROGRAM = (sys.executable, "-P", "-m", "hayserve.server.proof_process")


class Child(Protocol):
    """What the helper needs of a child; `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


class Forked:
    """A child that was forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


@dataclass(frozen=True, slots=True)
class Work:
    """A job that is under way."""

    child: Child
    connection: socket.socket
    trace: IO[bytes]
    deadline: float


class Helper:
    """Makes children, and ends each with all that it started when its time has come.

    Args:
        control: Where connections for jobs come from; it is closed when nobody wants any more.
        idle_seconds: How long to wait for one when there is nothing to do.
        seconds: How long a job may take.
        forks: Whether a child is forked or a new interpreter.
        streaming_components: As `Executor` has it.
    """

    def __init__(
        self,
        control: socket.socket,
        *,
        idle_seconds: float,
        seconds: float,
        forks: bool,
        streaming_components: str,
    ) -> None:
        self._control = control
        self._idle_seconds = idle_seconds
        self._seconds = seconds
        self._forks = forks
        self._streaming = streaming_components
        self._works: list[Work] = []
        self._woken, self._wakes = socket.socketpair()

    def serve(self) -> None:
        """Work until there is nobody left to work for."""
        adopt_orphans()
        for end in (self._woken, self._wakes):
            end.settimeout(0)
        # A child that ends makes `poll` return.
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _do_nothing)
        try:
            while self._is_wanted():
                pass
        finally:
            # Without a word: the server, if it is there, sees the end of file.
            for work in self._works.copy():
                self._kill(work)

    def _is_wanted(self) -> bool:
        """Wait until something happens and deal with it; say whether to go on."""
        was_idle = not self._works
        events = dict(self._poll())
        with suppress(BlockingIOError):
            self._woken.recv(1024)
        for work in self._works.copy():
            exit_code = work.child.poll()
            is_late = exit_code is None and monotonic() >= work.deadline
            # The other end is closed when nobody waits for what comes of it any more.
            if exit_code is not None or is_late or work.connection.fileno() in events:
                self._end(work, exit_code=exit_code, is_late=is_late)
        if self._control.fileno() in events:
            return self._take()
        return bool(events) or not was_idle

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        for work in self._works:
            poll.register(work.connection, 0)
        deadlines = [work.deadline - monotonic() for work in self._works] or [self._idle_seconds]
        return poll.poll(max(min(deadlines), 0) * 1000 + 1)

    def _take(self) -> bool:
        """Take a job and begin it; say whether there was one."""
        _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not descriptors:
            return False
        with ExitStack() as undoing:
            connection = undoing.enter_context(socket.socket(fileno=descriptors[0]))
            connection.set_inheritable(False)
            trace = undoing.enter_context(tempfile.TemporaryFile(buffering=0))
            deadline = monotonic() + self._seconds
            # If the machine has no room for it, this process ends, and the server makes another.
            child = self._child(connection, trace, deadline)
            self._works.append(Work(child, connection, trace, deadline))
            undoing.pop_all()
            with suppress(OSError):  # nobody waits for it any more, which `poll` will say, too
                # Without `settimeout`, which would hold for the child's end as well.
                connection.send(line_of(child=child.pid), socket.MSG_DONTWAIT)
        return True

    def _child(self, connection: socket.socket, trace: IO[bytes], deadline: float) -> Child:
        if self._forks:
            return self._forked(connection, trace, deadline)
        descriptors = [connection.fileno(), trace.fileno()]
        return subprocess.Popen(  # noqa: S603 - this program again
            [*_THIS_PROGRAM, "child", *map(str, [*descriptors, os.getpid(), deadline])],
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            process_group=0,
        )

    def _forked(self, connection: socket.socket, trace: IO[bytes], deadline: float) -> Forked:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            with ExitStack() as leaving:
                leaving.callback(os._exit, 1)  # whatever happens: it must not go on as a helper
                self._forget_all()
                run_job(
                    connection,
                    trace,
                    parent=parent,
                    deadline=deadline,
                    streaming_components=self._streaming,
                )
        with suppress(ProcessLookupError, PermissionError):  # it has done so itself
            os.setpgid(pid, pid)
        return Forked(pid)

    def _forget_all(self) -> None:
        """In the child: give back what is the helper's."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for inherited in (self._control, self._woken, self._wakes):
            inherited.close()
        for work in self._works:
            work.connection.close()
            work.trace.close()

    def _end(self, work: Work, *, exit_code: int | None, is_late: bool) -> None:
        """End a job, and tell the server how it ended."""
        exit_code = self._kill(work, exit_code)
        stacks = os.pread(work.trace.fileno(), _LONGEST_TRACE, 0).decode("ascii", errors="replace")
        with work.connection as connection, work.trace, suppress(OSError):  # nobody listens
            connection.settimeout(_LAST_WORDS_SECONDS)
            ending = {"exit_code": exit_code, "is_late": is_late, "trace": stacks}
            connection.sendall(line_of(ending=ending))

    def _kill(self, work: Work, exit_code: int | None = None) -> int:
        """End what is left of a child and of all that it started."""
        self._works.remove(work)
        with suppress(ProcessLookupError, PermissionError):  # nothing is left
            os.killpg(work.child.pid, signal.SIGKILL)
        if exit_code is None:
            exit_code = work.child.wait()
        with suppress(ChildProcessError):  # until all are gone
            while True:
                os.waitpid(-work.child.pid, 0)
        if not self._works:
            _end_orphans()
        return exit_code


def _end_orphans() -> None:
    """End what was started by a child that is gone, and is in no process group that is known."""
    while pids := children():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _do_nothing(*_: object) -> None: ...


def main() -> None:
    """What the process does: serve jobs, or do one."""
    os.dup2(2, 1)  # what is printed goes where the server's log goes
    settings = load()
    configure_logs(settings)
    install_hayhooks_names(settings.model_dump())
    streaming = settings.streaming_components
    match sys.argv[1:]:
        case ["child", connection, trace, parent, deadline]:
            run_job(
                socket.socket(fileno=int(connection)),
                os.fdopen(int(trace), "wb", buffering=0),
                parent=int(parent),
                deadline=float(deadline),
                streaming_components=streaming,
            )
        case [control, idle_seconds, seconds, way]:
            if way == "forks":
                _warm_up()
            helper = Helper(
                socket.socket(fileno=int(control)),
                idle_seconds=float(idle_seconds),
                seconds=float(seconds),
                forks=way == "forks",
                streaming_components=streaming,
            )
            helper.serve()
        case _:
            raise SystemExit(__doc__)


def _warm_up() -> None:
    """Import what nearly every deployment imports, which children then have without a delay."""
    with suppress(ImportError):
        import_module("haystack.components.generators.chat.openai")
    # What is there now is never collected, so that children share its memory.
    gc.freeze()


if __name__ == "__main__":
    main()
