import errno
import socket
from contextlib import closing
from typing import Any

import pytest

from hayserve.errors import Misconfigured
from hayserve.server.sockets import is_loopback, listen, port_of


def close(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


def test_a_free_port_is_the_same_for_every_address() -> None:
    sockets = listen("localhost", 0)
    port = port_of(sockets)
    assert port > 0
    assert {opened.getsockname()[1] for opened in sockets} == {port}
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)):
        close(sockets)


def test_a_port_that_is_taken_is_said() -> None:
    sockets = listen("127.0.0.1", 0)
    port = port_of(sockets)
    with pytest.raises(Misconfigured) as refused:
        listen("localhost", port)
    close(sockets)
    assert refused.value.message == f"Port {port} of 'localhost' is taken."
    assert refused.value.param == "port"


def test_when_one_address_is_taken_the_others_are_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = listen("127.0.0.1", 0)
    port = port_of(taken)
    found: list[Any] = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in ("127.0.0.2", "127.0.0.1")
    ]

    def with_two(*_: object, **__: object) -> list[Any]:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", with_two)
    with pytest.raises(Misconfigured, match="is taken"):
        listen("localhost", port)
    found.pop()
    close(listen("localhost", port))
    close(taken)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_an_address_of_another_machine_is_said(host: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be listened on at port 0"):
        listen(host, 0)


def test_a_machine_without_ipv6_listens_in_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, kind)

    found: list[Any] = [
        (family, socket.SOCK_STREAM, 6, "", address)
        for family, address in (
            (socket.AF_INET6, ("::1", 0, 0, 0)),
            (socket.AF_INET, ("127.0.0.1", 0)),
        )
    ]

    def with_both(*_: object, **__: object) -> list[Any]:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", with_both)
    monkeypatch.setattr(socket, "socket", without_ipv6)
    sockets = listen("localhost", 0)
    assert [opened.family for opened in sockets] == [socket.AF_INET]
    close(sockets)


def test_ipv6_leaves_ipv4_alone() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    sockets = listen("::1", 0)
    assert sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    close(sockets)


@pytest.mark.parametrize(
    "host", ["localhost", "Localhost", "127.0.0.1", "127.0.0.2", "::1", "[::1]"]
)
def test_only_this_machine_reaches_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.1", "my-laptop", "localhost.x"])
def test_others_may_reach_any_other_address(host: str) -> None:
    assert not is_loopback(host)
