"""Tries one deployment out in this process, tells what came of it, and ends the process."""

import faulthandler
import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import IO, Any, NoReturn

import anyio

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.load import load
from hayserve.deployments.proof import Job, Proof, error_to_json, line_of
from hayserve.errors import DeployRefused, HayserveError
from hayserve.runs.execute import Executor
from hayserve.server.proof_limits import confine, die_with_parent, machine_bytes
from hayserve.server.smoke_call import answer_of
from hayserve.wrappers.failure import explain

Tell = Callable[..., None]

logger = logging.getLogger("hayserve.deployments")

_DUMP_BEFORE_SECONDS = 0.5
_SOON_SECONDS = 0.01
_MEGABYTE = 1024 * 1024


def run_job(
    connection: socket.socket,
    trace: IO[bytes],
    *,
    parent: int,
    deadline: float,
    streaming_components: str,
) -> NoReturn:
    """Do the job that comes over `connection`; does not return.

    Args:
        connection: Where the job comes from and what came of it goes to.
        trace: Where the stacks go if this process crashes or takes too long.
        deadline: When that is, in seconds as `time.monotonic` counts them for all processes.
        parent: The process whose child this is; it does not outlive it.
        streaming_components: As `Executor` has it.
    """
    try:
        die_with_parent()
        assert os.getppid() == parent  # it may have been gone before that
        job = Job.from_line(connection.makefile("rb").readline())
        confine(job.limits.memory_bytes)
        faulthandler.enable(trace)
        _note_exits(trace)
        margin = min(_DUMP_BEFORE_SECONDS, job.limits.seconds / 5)
        seconds = max(deadline - margin - monotonic(), _SOON_SECONDS)
        faulthandler.dump_traceback_later(seconds, file=trace)
        sys.path[:] = job.search_path
        tell = partial(_tell, connection)
        executor = Executor(streaming_components=streaming_components)
        anyio.run(_run, job, executor, tell)
    finally:  # something is wrong, and not with the deployment
        traceback.print_exc()
        _leave(1)


async def _run(job: Job, executor: Executor, tell: Tell) -> NoReturn:
    """Ends the process from within the event loop: closing the loop would wait for users' code."""
    try:
        proof = await _proof_of(job, executor, tell)
        tell(proof=proof.to_json())
    finally:
        error = sys.exc_info()[1]
        if error is not None:
            refusal = _refusal_of(error, job)
            tell(refusal=error_to_json(refusal))
            logger.error(
                "not_proven",
                extra={"deployment": job.target.name, "why": refusal.message},
                exc_info=refusal.__cause__,
            )
        _leave(0)


async def _proof_of(job: Job, executor: Executor, tell: Tell) -> Proof:
    began = monotonic()
    deployment = await load(job.target)
    tell(phase="describe")
    proof = _described(deployment)
    tell(good=deployment.name)
    for other in job.others:
        await load(other)
        tell(good=other.name)
    if job.check is not None:
        tell(phase="check")
        answer = await answer_of(deployment, job.check, executor=executor)
        proof = replace(proof, answer=answer)
    return replace(proof, seconds=round(monotonic() - began, 3))


def _described(deployment: Deployment) -> Proof:
    can = deployment.can
    return Proof(
        name=deployment.name,
        kind=deployment.kind,
        description=deployment.description,
        capabilities=can.names(),
        request_schema=can.signature.request_schema() if can.signature else None,
    )


def _refusal_of(error: BaseException, job: Job) -> HayserveError:
    refusal = error
    if not isinstance(refusal, HayserveError):
        refusal = DeployRefused(
            f"{job.target.name!r} failed when it was tried out: {explain(error)}",
            hint="The server's log has the traceback.",
        )
        refusal.__cause__ = error
    if any(isinstance(link, MemoryError) for link in _causes(refusal)):
        refusal.hint = _hint_about_memory(job.limits.memory_bytes)
    return refusal


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _hint_about_memory(limit: int) -> str:
    if limit:
        return (
            f"It may take {limit // _MEGABYTE} MB while it is tried out: let it take less, or "
            "set HAYSERVE_SETUP_MEMORY_MB to more."
        )
    return f"This machine has {machine_bytes() // _MEGABYTE} MB: let it take less."


def _note_exits(trace: IO[bytes]) -> None:
    """Write down who ends this process, which nothing else tells."""
    leave, own = os._exit, os.getpid()

    def noted(status: int) -> NoReturn:
        if os.getpid() == own:
            faulthandler.dump_traceback(trace)
        leave(status)

    os._exit = noted


def _tell(connection: socket.socket, **said: Any) -> None:
    connection.sendall(line_of(**said))


def _leave(exit_code: int) -> NoReturn:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(exit_code)
