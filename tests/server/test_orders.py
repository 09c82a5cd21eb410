from pathlib import Path

import pytest

from hayserve.deployments.terms import Terms
from hayserve.errors import Misconfigured
from hayserve.server.orders import Alive, Orders, Ready, Refused, Sign, decode, encode
from hayserve.server.role import Role
from hayserve.wrappers.run_limits import RunLimits
from server.serving import settings_in


def test_a_worker_is_told_everything_secrets_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path, database_url="postgresql://u:secret@h/d", port=1500)
    orders = Orders(
        settings=settings,
        paths=("a", "b.yml"),
        terms=Terms(name="n", aliases=("x",), limits=RunLimits(max_runs=4)),
        reload=True,
        local_key="key",
        role=Role(2, declares=False, watches=False),
        sockets=(3, 4),
        search_path=("/a", "/b"),
    )
    line = orders.encode()
    assert line.count(b"\n") == 1
    monkeypatch.setenv("HAYSERVE_PORT", "9000")
    assert Orders.decode(line) == orders


@pytest.mark.parametrize(
    "sign",
    [Alive(), Ready("\nHello\n"), Refused("No.", hint="Try.", param="port"), Refused("No.")],
)
def test_a_sign_arrives_as_it_was_sent(sign: Sign) -> None:
    line = encode(sign)
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert decode(line) == sign


def test_a_refusal_is_the_error_that_the_worker_had() -> None:
    error = Refused("No.", hint="Try.", param="port").error()
    assert isinstance(error, Misconfigured)
    assert (error.message, error.hint, error.param) == ("No.", "Try.", "port")
