"""A worker: serves what its parent tells it to, until the parent says stop or is gone."""

import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

from hayserve.deployments.members import started_at
from hayserve.deployments.registry import Registry
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError, Misconfigured
from hayserve.server.app import create_app
from hayserve.server.drain import Server
from hayserve.server.local_key import LocalKey
from hayserve.server.logs import configure_logs
from hayserve.server.orders import Alive, Orders, Ready, Refused, encode
from hayserve.server.serve import run_until_stopped, targets_of
from hayserve.server.signals import FROM_TERMINAL, unheeded
from hayserve.server.welcome import welcome

logger = logging.getLogger("hayserve.server")

# What closing the application may take after the runs have been given their time.
CLOSING_SECONDS = 15.0


class Control:
    """The way to the parent.

    Args:
        connection: A stream socket whose other end the parent has.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def orders(self) -> Orders | None:
        """What the parent wants; None if it is gone before it says so."""
        with self._connection.makefile("rb") as lines:
            line = lines.readline()
        return Orders.decode(line) if line else None

    def say(self, sign: Ready | Refused) -> None:
        with suppress(OSError):  # the parent is gone, which `follow` notices
            self._connection.sendall(encode(sign))

    def beat(self) -> None:
        """Say that the event loop turns; a parent that is suspended must not keep it waiting."""
        with suppress(OSError):
            self._connection.send(encode(Alive()), socket.MSG_DONTWAIT)

    def follow(self, *, grace: float) -> None:
        """Wait until the parent is gone; then stop, and end although something hangs."""
        with suppress(OSError):
            while self._connection.recv(1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os._exit(1)


def main() -> None:
    """Work for the parent at the other end of the socket that the command line names."""
    faulthandler.register(signal.SIGUSR1)
    for number in FROM_TERMINAL:
        signal.signal(number, unheeded)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_TERMINAL)
    control = Control(socket.socket(fileno=int(sys.argv[1])))
    if orders := control.orders():
        try:
            work(orders, control)
        except HayserveError as error:
            control.say(Refused(error.message, hint=error.hint, param=error.param))
            sys.exit(1)


def work(orders: Orders, control: Control) -> None:
    """Serve until stopped.

    Raises:
        HayserveError: What the orders ask for cannot be served.
    """
    settings = orders.settings
    configure_logs(settings)
    grace = settings.drain_delay + settings.graceful_shutdown_timeout + CLOSING_SECONDS
    threading.Thread(target=control.follow, kwargs={"grace": grace}, daemon=True).start()
    sys.path[:] = orders.search_path

    def when_loaded(registry: Registry) -> None:
        control.say(Ready(welcome(registry, url=settings.server_url)))

    app = create_app(
        settings,
        targets=targets_in(orders),
        reload=orders.reload,
        when_loaded=when_loaded,
        role=replace(
            orders.role,
            key=LocalKey(orders.local_key) if orders.local_key else None,
            run=f"{os.getppid()}-{started_at(os.getppid())}",
        ),
    )
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket(fileno=number)) for number in orders.sockets]
        run_until_stopped(Server(app, settings, beat=control.beat, is_worker=True), sockets=sockets)


def targets_in(orders: Orders) -> list[Target] | None:
    """What the paths name; once it was declared, it is no failure when they are gone.

    Raises:
        Misconfigured: This worker is to declare it, and a path names nothing.
    """
    try:
        return targets_of(orders.paths, orders.terms)
    except Misconfigured as error:
        if orders.role.declares:
            raise
        logger.warning("paths_are_gone", extra={"because": error.message})
        return []


if __name__ == "__main__":
    main()
