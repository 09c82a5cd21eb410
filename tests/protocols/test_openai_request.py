"""The model that a request of OpenAI's clients names, and how it is told what is wrong."""

import pytest
from pydantic import BaseModel, ValidationError

from hayserve.deployments.deployment import FailedDeployment
from hayserve.errors import DeployRefused, InvalidInput, InvalidRequest, NotFound
from hayserve.protocols.openai_request import answers_instead, model_named, refusal
from protocols.openai_chat.served import Wrapper, deployed, registered


class Chat(Wrapper):
    def run_chat_completion(self, model: str, messages: object, body: object) -> str:
        return "Hi"


class Embeds(Wrapper):
    def run_embedding(self, model: str, texts: object, body: object) -> list[list[float]]:
        return []


class Body(BaseModel):
    model: str
    numbers: list[int]


def test_what_cannot_chat_is_told_what_it_answers_instead() -> None:
    assert answers_instead(deployed("it", Embeds())) == "It answers POST /v1/embeddings instead."


def refused(body: str) -> InvalidRequest:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate_json(body)
    return refusal(caught.value, hint="Send one.")


@pytest.mark.anyio
async def test_a_model_is_found_by_name_and_by_alias() -> None:
    chat = deployed("it", Chat(), "gpt-4o")
    assert await model_named({}, registered(chat), "it") is chat
    assert await model_named({}, registered(chat), "gpt-4o") is chat


@pytest.mark.anyio
async def test_an_unknown_model_is_the_models_fault() -> None:
    with pytest.raises(NotFound, match="No deployment is named 'no'") as missing:
        await model_named({}, registered(deployed("it", Chat())), "no")
    assert missing.value.param == "model"
    assert missing.value.hint == "Deployed: it."


@pytest.mark.anyio
async def test_a_model_that_failed_to_load_says_why() -> None:
    registry = registered()
    registry.fail([FailedDeployment("it", DeployRefused("No setup.", hint="Add it."), "deployed")])
    with pytest.raises(NotFound, match="failed to load: No setup") as missing:
        await model_named({}, registry, "it")
    assert (missing.value.param, missing.value.hint) == ("model", "Add it.")


def test_all_fields_that_are_wrong_are_named() -> None:
    error = refused('{"numbers": [1, "a"]}')
    assert isinstance(error, InvalidInput)
    assert error.param == "model"
    assert error.message == (
        "The request cannot be used: 'model': Field required; 'numbers.1': Input should be a "
        "valid integer, unable to parse string as an integer."
    )


@pytest.mark.parametrize("body", ["", "[]", "{"])
def test_a_body_that_is_no_object_is_told_what_to_be(body: str) -> None:
    error = refused(body)
    assert error.message.startswith("The body is not a JSON object: ")
    assert (error.hint, error.param) == ("Send one.", None)
