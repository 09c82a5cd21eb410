"""A revision is loaded when the database gives it; the rest of loading is told in test_follow."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from hayserve import BasePipelineWrapper
from hayserve.deployments import loads
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.loads import Load
from hayserve.deployments.revision import NOBODY, Content, Revision
from hayserve.deployments.source import Source
from hayserve.deployments.target import Target
from hayserve.errors import StorageUnavailable

REVISION = Revision("it", 3, Content("thing", ""), "deployed", NOBODY, datetime.now(UTC))


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self) -> str:
        return ""


class Wavering:
    """A source whose database does not answer at first."""

    def __init__(self) -> None:
        self.asked = 0

    def mark(self, *_: object) -> Any:
        return nullcontext()

    def target(self, revision: Revision) -> Target:
        self.asked += 1
        if self.asked < 3:
            raise StorageUnavailable("Not now")
        return Target(revision.name, "thing", Path(), thing=Wrapper())


@pytest.mark.anyio
async def test_a_database_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loads, "PAUSE_SECONDS", 0.001)
    one, source = Load(REVISION), Wavering()
    await one.carry_out(cast(Source, source), seconds=10)
    assert isinstance(one.result, Deployment)
    assert (one.result.number, source.asked) == (3, 3)


@pytest.mark.anyio
async def test_a_load_that_is_given_up_holds_no_files() -> None:
    one, source, given_back = Load(REVISION), Wavering(), list[str]()
    one.files.callback(given_back.append, "files")
    with anyio.move_on_after(0.01):
        await one.carry_out(cast(Source, source), seconds=10)
    assert one.result is None
    assert given_back == ["files"]
