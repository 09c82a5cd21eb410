"""Who asks for a change is kept."""

import pytest
from starlette.requests import Request

from hayserve.access.identity import IDENTITY, Identity
from hayserve.deployments.revision import Author
from hayserve.protocols.admin.author import author_of
from hayserve.wrappers.caller import Caller


def request(said: str | None = None, **scope: object) -> Request:
    headers = [] if said is None else [(b"x-hayserve-from", said.encode("latin-1"))]
    return Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 5), **scope})


def test_it_is_the_key_and_where_it_says_to_be() -> None:
    ann = Identity(Caller("key", "ann"))
    asked = request("ann@here:/x", state={IDENTITY: ann})
    assert author_of(asked) == Author("key ann", "ann@here:/x")


@pytest.mark.parametrize("said", [None, "", "two\nlines"])
def test_whoever_says_nothing_of_use_is_known_by_the_address(said: str | None) -> None:
    author = author_of(request(said))
    assert (author.by, author.where) == ("nobody's key", "10.0.0.1")


def test_there_may_be_no_address() -> None:
    assert author_of(request(client=None)).where == ""


def test_long_stories_are_cut() -> None:
    assert len(author_of(request("x" * 1000)).where) == 300
