"""What keeps a parent from starting; that it works is told in e2e/test_workers."""

import signal
from pathlib import Path

import pytest

from hayserve.errors import Misconfigured
from hayserve.server.folder_lock import locked
from hayserve.server.sockets import listening, port_of
from hayserve.server.supervise import supervise
from server.serving import put, settings_in


def test_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="nobody has a key yet"):
        supervise(settings_in(tmp_path, host="0.0.0.0", insecure=False), workers=1)


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with (
        listening("localhost", 0) as taken,
        pytest.raises(Misconfigured, match="is taken"),
    ):
        supervise(settings_in(tmp_path, port=port_of(taken)), workers=1)


def test_a_folder_that_another_server_has_is_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, port=0)
    with (
        locked(settings.data_dir, port=1416),
        pytest.raises(Misconfigured, match="port 1416"),
    ):
        supervise(settings, workers=1)


def test_a_system_without_hangups_has_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    with pytest.raises(Misconfigured, match="no --workers"):
        supervise(settings_in(tmp_path), workers=1)


@pytest.mark.parametrize("insecure", [True, False])
def test_what_no_worker_can_serve_ends_it_and_leaves_nothing(
    tmp_path: Path, *, insecure: bool
) -> None:
    put(tmp_path / "one")
    settings = settings_in(tmp_path, port=0, insecure=insecure)
    paths = [str(tmp_path / "nowhere")]
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(Misconfigured, match="There is nothing at"):
        supervise(settings, paths, workers=1)
    assert not (tmp_path / "key").exists()
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)] == handlers
