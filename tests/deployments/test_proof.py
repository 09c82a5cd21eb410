"""Jobs and proofs are the same on both ends of a connection."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from hayserve.deployments.proof import Job, Limits, Proof, error_from_json, error_to_json
from hayserve.deployments.target import Target
from hayserve.errors import (
    DeployRefused,
    HayserveError,
    InvalidInput,
    InvalidRequest,
    Problem,
    RunFailed,
    WrapperRefused,
)
from hayserve.wrappers.run_limits import RunLimits


class OfAUser(DeployRefused):
    """As a wrapper may have it."""


def test_a_job_is_the_same_on_the_other_end() -> None:
    parameters = MappingProxyType({"top_k": 3, "path": Path("data"), "texts": ["ä\udc80"]})
    target = Target("x", "object", Path("/a/b.py"), "make", aliases=("y",), parameters=parameters)
    target = replace(target, limits=RunLimits(max_runs=4))
    job = Job(target, Limits(2.5, 1024), check="Who?", search_path=("/lib",))
    read = Job.from_line(job.to_line())
    assert read == Job(
        Target(
            "x",
            "object",
            Path("/a/b.py"),
            "make",
            aliases=("y",),
            parameters={"top_k": 3, "path": "data", "texts": ["ä\udc80"]},
            limits=RunLimits(max_runs=4),
        ),
        Limits(2.5, 1024),
        check="Who?",
        search_path=("/lib",),
    )


def test_a_proof_is_the_same_on_the_other_end() -> None:
    proof = Proof("x", "agent", "One.", ["run_api"], request_schema={"type": "object"}, seconds=1)
    assert Proof.from_json(proof.to_json()) == proof


def errors() -> Iterator[tuple[HayserveError, type[HayserveError]]]:
    yield DeployRefused("No.", hint="Do.", param="p"), DeployRefused
    yield OfAUser("No.", hint="Do.", param="p"), DeployRefused
    yield InvalidInput("No.", hint="Do.", problems=[Problem(("p",), "", "")]), InvalidRequest


@pytest.mark.parametrize(("error", "kind"), list(errors()))
def test_an_error_stays_of_its_kind(error: HayserveError, kind: type[HayserveError]) -> None:
    read = error_from_json(error_to_json(error))
    assert type(read) is kind
    assert (read.message, read.hint, read.param) == ("No.", "Do.", "p")


def test_an_answer_of_a_wrapper_is_only_a_failure_elsewhere() -> None:
    assert type(error_from_json(error_to_json(WrapperRefused(404, {"a": 1})))) is RunFailed
