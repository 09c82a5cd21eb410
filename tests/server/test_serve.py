"""What keeps a server from starting; that it serves and stops is told in e2e/test_process."""

import os
import signal
import threading
from pathlib import Path

import pytest

from hayserve import create_app, run_app
from hayserve.deployments.terms import Terms
from hayserve.errors import Misconfigured
from hayserve.server.drain import Server
from hayserve.server.serve import leave, let_go, serve
from hayserve.server.sockets import listen, listening, port_of
from hayserve.wrappers.run_limits import RunLimits
from server.serving import make_key, put, settings_in


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "example.org"])
def test_an_address_that_others_reach_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        serve(settings_in(tmp_path, host=host, insecure=False))
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        run_app(create_app(settings_in(tmp_path)), host=host)


def test_with_a_key_only_the_address_itself_can_be_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, host="192.0.2.1", insecure=False)
    make_key(settings)
    with pytest.raises(Misconfigured, match="cannot be listened on"):
        serve(settings)
    with pytest.raises(Misconfigured, match="cannot be listened on"):
        run_app(create_app(settings), host="192.0.2.1")


def test_a_path_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="There is nothing at"):
        serve(settings_in(tmp_path), [str(tmp_path / "nowhere")])


def test_one_name_for_several_is_refused(tmp_path: Path) -> None:
    paths = [str(put(tmp_path / name)) for name in ("a", "b")]
    with pytest.raises(Misconfigured, match="2 are named here"):
        serve(settings_in(tmp_path), paths, terms=Terms(name="x"))
    with pytest.raises(Misconfigured, match="0 are named here"):
        serve(settings_in(tmp_path), terms=Terms(limits=RunLimits(max_runs=4)))


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    taken = listen("localhost", 0)
    try:
        with pytest.raises(Misconfigured, match="is taken"):
            serve(settings_in(tmp_path, port=port_of(taken)))
        with pytest.raises(Misconfigured, match="is taken"):
            run_app(create_app(settings_in(tmp_path)), port=port_of(taken))
    finally:
        for opened in taken:
            opened.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_a_wrapper_forks_keeps_no_port_taken() -> None:
    with listening("localhost", 0) as sockets:
        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        try:
            let_go(sockets)
            let_go(sockets)
            now = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        finally:
            for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(number, handler)
    assert now == [signal.SIG_DFL] * 2
    assert all(one.fileno() == -1 for one in sockets)


def test_a_server_that_could_not_start_ends_its_process_with_the_code_for_it(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)
    server = Server(create_app(settings), settings)
    leave(server, threading.enumerate())
    server.has_failed = True
    with pytest.raises(SystemExit, match="1"):
        leave(server, threading.enumerate())
    server.serving.failure = Misconfigured("It cannot start.")
    with pytest.raises(Misconfigured, match="It cannot start"):
        leave(server, threading.enumerate())
