"""Says who asks for a change."""

from starlette.requests import Request

from hayserve.access.identity import identity_in
from hayserve.deployments.revision import Author

_LONGEST_WHERE = 300


def author_of(request: Request) -> Author:
    """Who asks: the key that was shown, and where it says, or seems, to come from."""
    said = request.headers.get("x-hayserve-from", "")[:_LONGEST_WHERE]
    address = request.client.host if request.client else ""
    key = identity_in(request.scope).label or "nobody's key"
    return Author(key, said if said and said.isprintable() else address)
