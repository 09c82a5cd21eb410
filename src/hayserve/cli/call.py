"""The commands that run a deployment."""

import typer

from hayserve.cli import show
from hayserve.cli.client import Answer, Client, Input, as_text
from hayserve.cli.connect import connect
from hayserve.cli.endpoint import endpoint_in
from hayserve.cli.flags import Call, CallOrChat
from hayserve.cli.inputs import Typed, typed_in


def call(given: Call) -> None:
    """Run a deployment with parameters and files, print its answer."""
    typed = typed_in(given)
    with connect(given) as client:
        sent = _fitted(typed, client, given.name)
        if given.stream and not given.as_json:
            show.pieces(client.stream(given.name, sent))
        else:
            with show.waiting(f"Running {given.name} ..."):
                answer = client.run(given.name, sent)
            _print(answer, as_json=given.as_json)
    if not given.as_json:
        show.remark(f"Pipeline {given.name} executed successfully!")


def chat(given: CallOrChat, text: str) -> None:
    """Say something to a deployment, print its answer."""
    if given.params or given.files or given.dirs:
        raise typer.BadParameter("It goes without parameters and files.", param_hint="--chat")
    with connect(given) as client:
        if given.as_json:
            show.as_json(client.complete(given.name, text))
        else:
            show.pieces(client.chat(given.name, text))


def _fitted(typed: Typed, client: Client, name: str) -> Input:
    endpoint = endpoint_in(client.openapi(), name)
    for problem in typed.unknown_to(endpoint):
        show.warning(problem)
    return typed.for_endpoint(endpoint)


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        show.as_json(answer)
    else:
        show.text(as_text(answer.get("result", answer)))
