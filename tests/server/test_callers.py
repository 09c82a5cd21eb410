"""Who shows nothing is a guest on this machine, and nowhere else."""

import pytest

from hayserve.access.identity import GUEST
from hayserve.server.callers import Arrived, Callers, Door


@pytest.mark.parametrize(
    ("arrived", "is_guest"),
    [
        (Arrived("localhost:1416", ("127.0.0.1", 1416), ("127.0.0.1", 5)), True),
        (Arrived("localhost", ("::1", 1416), ("::1", 5)), True),
        (Arrived("localhost", ("/run/hayserve.sock", None)), True),
        (Arrived("localhost", None), True),
        (Arrived("localhost", ("192.168.1.5", 1416), ("127.0.0.1", 5)), False),
        (Arrived("localhost", ("127.0.0.1", 1416), ("192.168.1.7", 5)), False),
        (Arrived("192.168.1.5", ("192.168.1.5", 1416)), False),
        (Arrived("", ("127.0.0.1", 1416)), False),
    ],
)
def test_who_is_here_is_a_guest(*, arrived: Arrived, is_guest: bool) -> None:
    callers = Callers(lambda _: GUEST, door=Door())
    found = callers.find("", arrived)
    assert found is not None
    assert (found.refusal is None) is is_guest
