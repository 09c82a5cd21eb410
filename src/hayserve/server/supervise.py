"""Serves with several processes that share one address, under a parent that watches them."""

import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from hayserve.deployments.terms import NO_TERMS, Terms
from hayserve.errors import Misconfigured
from hayserve.server.first_key import check_address
from hayserve.server.folder_lock import own_folder
from hayserve.server.local_key import LocalKey
from hayserve.server.logs import configure_logs
from hayserve.server.orders import Orders
from hayserve.server.role import Role
from hayserve.server.seats import Patience
from hayserve.server.signals import Signals
from hayserve.server.sockets import listening, port_of
from hayserve.server.supervisor import Supervisor
from hayserve.server.worker_process import COMMAND, WorkerProcess
from hayserve.settings import Settings, local_key_file

START_SECONDS = 60.0
# What closing an application may take after its runs have been given their time.
CLOSING_SECONDS = 20.0


def supervise(
    settings: Settings,
    paths: Sequence[str] = (),
    *,
    workers: int,
    terms: Terms = NO_TERMS,
    reload: bool = False,
) -> None:
    """Serve with so many workers until stopped; the other arguments are those of `serve`.

    Raises:
        Misconfigured: Workers cannot serve this, the address cannot or may not be listened on,
            another server has the data folder, or this system cannot share sockets.
    """
    if not hasattr(signal, "SIGHUP"):
        raise Misconfigured("This system has no --workers.", hint="Leave it out.", param="workers")
    check_address(settings.host, insecure=settings.insecure, settings=settings)
    with ExitStack() as held:
        sockets = held.enter_context(listening(settings.host, settings.port))
        settings = settings.model_copy(update={"port": port_of(sockets)})
        held.enter_context(own_folder(settings))
        configure_logs(settings)
        key = None if settings.insecure else LocalKey()
        if key is not None:
            held.enter_context(key.kept_at(settings.key_file or local_key_file(settings.port)))
        orders = Orders(
            settings=settings,
            paths=tuple(paths),
            terms=terms,
            reload=reload,
            local_key=key.value if key else None,
            sockets=tuple(one.fileno() for one in sockets),
            search_path=tuple(sys.path),
        )
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        Supervisor(
            partial(_hire, orders),
            seats=workers,
            signals=held.enter_context(Signals(numbers)),
            patience=_patience(settings),
            when_ready=lambda welcome: print(welcome, file=sys.stderr, flush=True),  # noqa: T201 - for whoever started it
            when_stopping=partial(_close, sockets),
        ).run()


def _hire(orders: Orders, role: Role) -> WorkerProcess:
    return WorkerProcess(replace(orders, role=role), now=time.monotonic(), command=COMMAND)


def _patience(settings: Settings) -> Patience:
    runs = settings.drain_delay + settings.graceful_shutdown_timeout
    return Patience(
        silence=settings.worker_timeout,
        start=max(START_SECONDS, settings.worker_timeout),
        ready=settings.setup_timeout,
        stop=runs + CLOSING_SECONDS,
    )


def _close(sockets: Sequence[socket.socket]) -> None:
    """The workers decide from here on when listening ends."""
    for one in sockets:
        one.close()
