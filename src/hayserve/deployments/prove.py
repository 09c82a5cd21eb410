"""Proves deployments: each is loaded once in a process of its own before it is loaded in a server.

The processes are children of one helper process, which has imported what every deployment needs
and waits for jobs. `hayserve.server.proof_process` is what runs in it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process, UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from hayserve.deployments.proof import Job, Limits, Phase, Proof, error_from_json
from hayserve.deployments.proof_ending import Ending, refusal_of
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError, NotReady

HELPER = "hayserve.server.proof_process"  # by its name: it is in a room above
_LONGEST_LINE = 64 * 1024 * 1024
_TRIES = 3
_ENDING_SECONDS = 5.0


class Prover:
    """Finds out whether deployments can be served, at no risk for the process that asks.

    Args:
        limits: What one proof may cost.
        python_path: Folders that deployments may import shared modules from.
        idle_seconds: How long the helper process waits for another job before it ends.
        grace_seconds: How long the helper process may take to begin a job, and to end what is
            late, before it is ended itself.
        forks: Whether the helper forks a child for each job, which takes some hundredths of a
            second; otherwise it starts a new interpreter, which takes a second. By default it
            forks where that is safe, which is on Linux.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        python_path: Sequence[str] = (),
        idle_seconds: float = 60,
        grace_seconds: float = 60,
        forks: bool = sys.platform == "linux",
    ) -> None:
        self._limits = limits
        shared = [str(Path(folder).resolve()) for folder in python_path]
        self._search_path = tuple(dict.fromkeys([*sys.path, *shared]))
        self._options = (str(idle_seconds), str(limits.seconds), "forks" if forks else "spawns")
        self._grace = grace_seconds
        self._changing = anyio.Lock()
        self._helper: _Helper | None = None
        self._is_closed = False

    async def prove(self, target: Target, *, check: str | None = None) -> Proof:
        """Load `target` in a process of its own, which has ended when this returns.

        Several may be under way at once. Cancelling one ends its process.

        Args:
            target: What to load: a folder, a YAML file or an object in a file.
            check: A question to ask it once.

        Raises:
            ValueError: The target is a thing in memory, which is in no other process.
            DeployRefused: It cannot be served; the message says why, and where in its own code.
            HayserveError: Its own code raised this one.
            NotReady: The helper process does not work, or `aclose` was called.
        """
        if target.kind == "thing":
            raise ValueError(f"{target.name!r} is a thing in memory: no other process has it.")
        job = Job(target, self._limits, check=check, search_path=self._search_path)
        for _ in range(_TRIES):
            helper = await self._ready_helper()
            account = await self._account_of(job, helper)
            if account.is_settled:
                return account.conclusion(job)
        raise NotReady(
            "The process that tries deployments out does not work.",
            hint="The server's log says why.",
        )

    async def prove_together(self, targets: Sequence[Target]) -> set[str]:
        """Load `targets` one after the other in one process, which is quick for many.

        Returns:
            The names of those that can be served. It stops at the first that cannot, whose reason
            only `prove` tells.
        """
        first, *others = targets
        search_path, limits = self._search_path, self._limits
        job = Job(first, limits, check=None, search_path=search_path, others=tuple(others))
        helper = await self._ready_helper()
        return (await self._account_of(job, helper)).good

    async def aclose(self) -> None:
        """End the helper process and with it every proof that is under way."""
        self._is_closed = True
        with anyio.CancelScope(shield=True):
            async with self._changing:
                await self._end_helper(_ENDING_SECONDS)

    async def _ready_helper(self) -> "_Helper":
        async with self._changing:
            if self._is_closed:
                raise NotReady("The server is stopping.", hint="Try again in a moment.")
            if self._helper is None:
                self._helper = await _Helper.started(self._options)
            return self._helper

    async def _give_up(self, helper: "_Helper", *, hangs: bool) -> None:
        with anyio.CancelScope(shield=True):
            async with self._changing:
                if self._helper is helper:
                    await self._end_helper(0 if hangs else _ENDING_SECONDS)

    async def _end_helper(self, grace: float) -> None:
        helper, self._helper = self._helper, None
        if helper is not None:
            await helper.aclose(grace)

    async def _account_of(self, job: Job, helper: "_Helper") -> "_Account":
        account = _Account()
        with (
            anyio.move_on_after(self._grace) as patience,
            # It ends when everybody on the other side has closed it, or was killed.
            suppress(anyio.BrokenResourceError, anyio.IncompleteRead, anyio.DelimiterNotFound),
        ):
            async with await helper.connected() as connection:
                lines = BufferedByteReceiveStream(connection)
                account.add(await lines.receive_until(b"\n", _LONGEST_LINE))
                patience.deadline = anyio.current_time() + job.limits.seconds + self._grace
                with suppress(anyio.BrokenResourceError):  # it may have left some words
                    await connection.send(job.to_line())
                while account.ending is None:
                    account.add(await lines.receive_until(b"\n", _LONGEST_LINE))
        account.is_late = patience.cancelled_caught
        if account.ending is None:  # the helper has ended, or hangs
            await self._give_up(helper, hangs=account.is_late)
            account.clean_up()
        return account


class _Account:
    """What the helper and its child have said of one job."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.is_late = False
        self.good: set[str] = set()
        self._verdict: Proof | HayserveError | None = None
        self._phase: Phase = "load"
        self._child: int | None = None

    def add(self, line: bytes) -> None:
        said: Any = None
        with suppress(ValueError):  # code that writes into files that it did not open
            said = json.loads(line)
        match said:
            case {"child": int(child)}:
                self._child = child
            case {"good": str(name)}:
                self.good.add(name)
            case {"phase": phase}:
                self._phase = phase
            case {"proof": proof}:
                self._verdict = Proof.from_json(proof)
            case {"refusal": refusal}:
                self._verdict = error_from_json(refusal)
            case {"ending": ending}:
                self.ending = Ending(**ending)
            case _:
                pass

    @property
    def is_settled(self) -> bool:
        hangs = self.is_late and self._child is not None
        return self._verdict is not None or self.ending is not None or hangs

    def conclusion(self, job: Job) -> Proof:
        if isinstance(self._verdict, Proof):
            return self._verdict
        if self._verdict is not None:
            raise self._verdict
        ending = self.ending or Ending(-signal.SIGKILL, is_late=True)
        raise refusal_of(ending, job, phase=self._phase)

    def clean_up(self) -> None:
        """End what a helper that ended itself may have left."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child, signal.SIGKILL)


class _Helper:
    """The helper process, as the server sees it."""

    def __init__(self, process: Process, control: socket.socket) -> None:
        self._process = process
        self._control = control

    @classmethod
    async def started(cls, options: Sequence[str]) -> "_Helper":
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as undoing:
            undoing.enter_context(ours)
            descriptor = theirs.fileno()
            process = await anyio.open_process(
                # Without the working directory as the first place to import from.
                [sys.executable, "-P", "-m", HELPER, str(descriptor), *options],
                stdin=subprocess.DEVNULL,
                stdout=None,
                stderr=None,
                start_new_session=True,
                pass_fds=[descriptor],
            )
            undoing.pop_all()
        return cls(process, ours)

    async def connected(self) -> UNIXSocketStream:
        """A connection to a new child."""
        ours, theirs = socket.socketpair()
        with theirs, suppress(OSError):  # the helper has ended: reading will tell
            socket.send_fds(self._control, [b"."], [theirs.fileno()])
        return await UNIXSocketStream.from_socket(ours)

    async def aclose(self, grace: float) -> None:
        """End it and all its children; after `grace` seconds it is not asked any more."""
        self._control.close()
        with anyio.move_on_after(grace) as patience:
            await self._process.wait()
        if patience.cancelled_caught:
            self._process.kill()
            await self._process.wait()
