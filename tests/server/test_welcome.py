import json
import shlex
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile

from hayserve import BasePipelineWrapper
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.registry import Registry
from hayserve.errors import DeployRefused
from hayserve.server.welcome import welcome
from hayserve.wrappers.capabilities import capabilities_of


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...


class Agent(Wrapper):
    def run_api(self, question: str, times: int, thing: Any, *, stream: bool = False) -> str:
        return question

    def run_chat_completion(self, model: str, messages: object, body: object) -> str:
        return ""


class Point(BaseModel):
    x: int


class Various(Wrapper):
    def run_api(self, messages: list[int] | str, point: Point, either: Point | None) -> str:
        return ""


class Exemplary(Wrapper):
    def run_api(
        self,
        city: Annotated[str, Field(examples=["It's Oslo", "Rome"])],
        day: Annotated[str, Field(json_schema_extra={"examples": {"one": "Monday"}})],
        odd: Annotated[str, Field(examples=cast(Any, [{1}]))],
    ) -> str:
        return city


class Uploads(Wrapper):
    def run_api(self, files: list[UploadFile]) -> str:
        return ""


def registry_of(**wrappers: BasePipelineWrapper) -> Registry:
    registry = Registry()
    for name, wrapper in wrappers.items():
        can = capabilities_of(wrapper, name=name)
        registry.put(
            Deployment(name, wrapper, can, aliases=(f"{name}-alias",), origin="command line")
        )
    return registry


def sent_by(line: str) -> Any:
    return json.loads(shlex.split(line)[-1])


def test_an_empty_server_says_how_to_begin() -> None:
    assert welcome(Registry(), url="http://localhost:1416") == (
        "\nhayserve listens at http://localhost:1416\n"
        "  Nothing is deployed yet: `hayserve deploy FOLDER`.\n"
    )


def test_what_is_served_and_what_is_not_is_listed() -> None:
    registry = registry_of(one=Uploads(), two=Uploads())
    registry.fail([FailedDeployment("bad", DeployRefused("No.", hint="Try."), "command line")])
    lines = welcome(registry, url="http://localhost:1416").splitlines()
    assert lines[2:5] == [
        "  one = one-alias",
        "  two = two-alias",
        "  bad failed to load: No. Try.",
    ]


def test_the_first_deployment_can_be_tried_at_once() -> None:
    lines = welcome(registry_of(agent=Agent()), url="http://localhost:1416").splitlines()
    tried = lines[lines.index("Try it:") + 1 :]
    assert [line.split()[0:2] for line in tried] == [
        ["curl", word]
        for word in (
            "http://localhost:1416/agent/run",
            "-N",
            "http://localhost:1416/v1/chat/completions",
            "-N",
        )
    ]
    assert [sent_by(line) for line in tried] == [
        {"question": "Hello!", "times": 1, "thing": "Hello!"},
        {"question": "Hello!", "times": 1, "thing": "Hello!", "stream": True},
        {"model": "agent-alias", "messages": [{"role": "user", "content": "Hello!"}]},
        {
            "model": "agent-alias",
            "messages": [{"role": "user", "content": "Hello!"}],
            "stream": True,
        },
    ]


def test_examples_are_taken_from_the_wrapper() -> None:
    lines = welcome(registry_of(it=Exemplary()), url="http://localhost:1416").splitlines()
    assert sent_by(lines[-1]) == {"city": "It's Oslo", "day": "Hello!", "odd": [1]}


def test_what_has_several_forms_is_shown_in_the_simplest() -> None:
    lines = welcome(registry_of(it=Various()), url="http://localhost:1416").splitlines()
    assert sent_by(lines[-1]) == {"messages": "Hello!", "point": {}, "either": {}}


def test_where_all_failed_nothing_is_offered_to_try() -> None:
    registry = Registry()
    registry.fail([FailedDeployment("bad", DeployRefused("No.", hint="Try."), "command line")])
    assert welcome(registry, url="http://localhost:1416") == (
        "\nhayserve listens at http://localhost:1416\n  bad failed to load: No. Try.\n"
    )


def test_what_was_deployed_earlier_is_marked() -> None:
    registry = Registry()
    wrapper = Uploads()
    registry.put(Deployment("old", wrapper, capabilities_of(wrapper, name="old")))
    assert "  old (deployed earlier)" in welcome(registry, url="http://localhost:1416")
