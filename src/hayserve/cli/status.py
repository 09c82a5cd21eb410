"""The command `hayserve status`."""

from hayserve.cli import show
from hayserve.cli.connect import connect
from hayserve.cli.flags import Reach


def status(given: Reach) -> None:
    with connect(given) as client:
        answer = client.status()
        if given.as_json:
            show.as_json(answer)
        else:
            show.status(client.url, answer)
