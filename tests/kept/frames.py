"""The events of a response that are kept."""

from hayserve.kept.responses import Responses

_END = b"\n\n"


def frames_of(responses: Responses, id_: str, *, start: int = 0) -> list[bytes]:
    """Those from the one with the number `start` on."""
    place = responses.pages.place(id_, start)
    if place is None:
        return []
    number, data = place.number, b""
    while (page := responses.pages.page(id_, place)) is not None:
        data += page.data
        place = page.after
    return [frame + _END for frame in data.split(_END)[:-1]][start - number :]
