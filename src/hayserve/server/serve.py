"""Runs the server in this process until it is told to stop."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Collection, Sequence
from functools import partial

from starlette.applications import Starlette

from hayserve.deployments.registry import Registry
from hayserve.deployments.retire import spare_libraries
from hayserve.deployments.target import Target, on_terms, targets_at
from hayserve.deployments.terms import NO_TERMS, Terms
from hayserve.server.app import create_app
from hayserve.server.drain import Server
from hayserve.server.first_key import check_address
from hayserve.server.folder_lock import own_folder
from hayserve.server.logs import configure_logs
from hayserve.server.sockets import listening, port_of
from hayserve.server.welcome import welcome
from hayserve.settings import Settings, load

logger = logging.getLogger("hayserve.server")

HUNG_AFTER_SECONDS = 1.0
_ENDING = (signal.SIGTERM, signal.SIGINT)


def serve(
    settings: Settings,
    paths: Sequence[str] = (),
    *,
    terms: Terms = NO_TERMS,
    reload: bool = False,
) -> None:
    """Serve what `paths` name, or without any what the pipelines folder holds, until stopped.

    Args:
        settings: The settings.
        paths: Folders, YAML files and `file.py:object`s.
        terms: What is said of the one deployment that `paths` names.
        reload: Load a deployment again when its files change.

    Raises:
        Misconfigured: A path names nothing, the address cannot or may not be listened on, or
            another server has the data folder.
    """
    check_address(settings.host, insecure=settings.insecure, settings=settings)
    targets = targets_of(paths, terms)
    with listening(settings.host, settings.port) as sockets:
        settings = settings.model_copy(update={"port": port_of(sockets)})
        with own_folder(settings):
            configure_logs(settings)

            def when_loaded(registry: Registry) -> None:
                print(welcome(registry, url=settings.server_url), file=sys.stderr, flush=True)  # noqa: T201 - for whoever started it

            app = create_app(settings, targets=targets, reload=reload, when_loaded=when_loaded)
            run_until_stopped(Server(app, settings), sockets=sockets)


def run_app(app: Starlette, *, host: str | None = None, port: int | None = None) -> None:
    """Serve an application that `create_app()` made.

    Args:
        app: The application.
        host: The address; by default the setting.
        port: The port; by default the setting.

    Raises:
        Misconfigured: A setting cannot be used, the address cannot or may not be listened on, or
            another server has the data folder.
    """
    settings = load(host=host, port=port)
    own: Settings = getattr(app.state, "settings", settings)
    check_address(settings.host, insecure=settings.insecure, settings=own)
    with listening(settings.host, settings.port) as sockets:
        app.state.port = port_of(sockets)  # for the name of the file with the local key
        with own_folder(own.model_copy(update={"port": app.state.port})):
            configure_logs(settings)
            run_until_stopped(Server(app, settings), sockets=sockets)


def targets_of(paths: Sequence[str], terms: Terms) -> list[Target] | None:
    """What `paths` name; None without any, which means what the pipelines folder holds.

    Raises:
        Misconfigured: A path names nothing, or the terms are for one and there is not one.
    """
    if not paths and terms == NO_TERMS:
        return None
    found = [target for path in paths for target in targets_at(path)]
    return on_terms(found, terms)


def run_until_stopped(server: Server, *, sockets: list[socket.socket]) -> None:
    """Run a server to its end, whatever the wrappers' threads still do.

    Raises:
        HayserveError: The application cannot start.
    """
    spare_libraries()
    others = frozenset(threading.enumerate())
    if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
        os.register_at_fork(after_in_child=partial(let_go, list(sockets)))
    server.run(sockets=sockets)
    leave(server, others)


def leave(server: Server, others: Collection[threading.Thread]) -> None:
    """After a server's end: say what it failed of, and wait for no thread but `others`.

    Raises:
        HayserveError: The application could not start.
        SystemExit: The server could not start.
    """
    if server.serving.failure and server.has_failed:
        raise server.serving.failure
    _leave_hung_threads(others, code=int(server.has_failed))
    if server.has_failed:
        sys.exit(1)


def let_go(sockets: Sequence[socket.socket]) -> None:
    """In a process that a wrapper has forked: keep no port taken, and end when told to."""
    for opened in sockets:
        if opened.fileno() >= 0:
            opened.close()
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)


def _leave_hung_threads(others: Collection[threading.Thread], *, code: int) -> None:
    """End the process although a wrapper's code still runs in a thread that nothing can stop.

    Threads that there were before are those of the program, which ends them.
    """
    hung = [
        thread for thread in threading.enumerate() if thread not in others and not thread.daemon
    ]
    for thread in hung:
        thread.join(HUNG_AFTER_SECONDS / len(hung))
    if any(thread.is_alive() for thread in hung):
        logger.warning("left_hung_threads", extra={"threads": len(hung)})
        logging.shutdown()
        os._exit(code)
