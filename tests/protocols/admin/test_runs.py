"""Runs are listed and stopped over HTTP."""

import logging
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.members import Members
from hayserve.deployments.pulse import Pulse
from hayserve.deployments.registry import Registry
from hayserve.protocols.admin.runs import LiveRuns
from hayserve.runs.everywhere import RunsEverywhere
from hayserve.server.error_responses import handlers
from hayserve.server.middleware import RunIds
from hayserve.storage.database import Database
from hayserve.wrappers.capabilities import capabilities_of
from runs.company import Made, state


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self) -> str:
        return ""


@pytest.fixture
def made() -> Made:
    return Made(
        state("b", age=2.0, stage="tool: \ud83d"),
        state("a", age=3.0, deadline_in_seconds=7.0),
        state("c", deployment="gone"),
    )


@pytest.fixture
def http(made: Made) -> Iterator[TestClient]:
    wrapper, registry = Wrapper(), Registry()
    can = capabilities_of(wrapper, name="greeter")
    registry.put(Deployment("greeter", wrapper, can, aliases=("hi",)))
    database = Database("sqlite://")
    everywhere = RunsEverywhere(
        made, database=database, members=Members(database), pulse=Pulse(database)
    )
    routes = LiveRuns(everywhere, registry).routes()
    middleware = [Middleware(RunIds)]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers())
    with TestClient(app, "http://localhost") as client:
        yield client


def ids(http: TestClient, path: str) -> list[str]:
    return [run["id"] for run in http.get(path).json()["runs"]]


def test_what_runs_is_listed_the_oldest_first(http: TestClient) -> None:
    answer = http.get("/runs")
    assert answer.status_code == 200
    [first, second, third] = answer.json()["runs"]
    worker = first.pop("worker")
    assert worker.startswith("process ")
    assert first == {
        "id": "a",
        "deployment": "greeter",
        "revision": 3,
        "method": "run_api",
        "streamed": False,
        "caller": "local key",
        "stage": "running",
        "age_seconds": 3.0,
        "deadline_in_seconds": 7.0,
        "cancelled": False,
    }
    assert (second["id"], second["stage"], third["id"]) == ("b", "tool: \ud83d", "c")
    assert answer.json()["silent_workers"] == []


def test_those_of_one_deployment_are_listed(http: TestClient) -> None:
    assert ids(http, "/runs?deployment=greeter") == ["a", "b"]
    assert ids(http, "/runs?deployment=hi") == ["a", "b"]
    assert ids(http, "/runs?deployment=gone") == ["c"]  # it is not served any more
    assert ids(http, "/runs?deployment=other") == []


def test_a_run_is_stopped(http: TestClient, made: Made, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hayserve.runs"):
        answer = http.delete("/runs/a", headers={"X-Hayserve-From": "ann@here"})
    assert answer.status_code == 200
    worker = answer.json().pop("worker")
    assert answer.json() == {"id": "a", "cancelled": True, "worker": worker}
    assert made.told == [("a", "an operator cancelled it")]
    [logged] = caplog.records
    assert (logged.message, vars(logged)["run_id"]) == ("run_cancelled", "a")
    assert (vars(logged)["by"], vars(logged)["from"]) == ("nobody's key", "ann@here")


def test_a_run_that_is_not_there_is_not_found(http: TestClient) -> None:
    answer = http.delete("/runs/x%00y")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "No run that is alive has the id 'x\\x00y'."
    assert answer.json()["hint"] == "It may have ended already."
