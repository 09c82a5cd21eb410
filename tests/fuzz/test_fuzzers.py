"""A little of what `make fuzz` does at length."""

from pathlib import Path

import pytest

from soak import fuzz_http
from soak.fuzz_decoders import run
from soak.fuzz_targets import TARGETS, HayserveError, Target

SEED = 6
INPUTS = {"archive": 100, "client_schema": 100, "yaml": 50}


# Starlette leaves the files of a form that ends in the middle to the garbage collector.
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_strangers_send_is_read_or_refused(target: Target, tmp_path: Path) -> None:
    inputs = INPUTS.get(target.name, 300)

    seen = run(target, refusal=HayserveError, inputs=inputs, seed=SEED, crashes=tmp_path)

    assert (seen.wrong, seen.slow) == ({}, 0)
    assert seen.accepted > 0


@pytest.mark.e2e
def test_broken_http_is_answered_or_refused(tmp_path: Path) -> None:
    seen = fuzz_http.run(tmp_path, inputs=300, seed=SEED, is_judged_by_size=False)

    assert seen.wrong == {}, str(seen)
    assert seen.statuses[200] > 0
