"""The endpoints of files that are kept: `/v1/files` and what is below it.

Source: https://platform.openai.com/docs/api-reference/files
"""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.errors import InvalidRequest
from hayserve.kept.files import File
from hayserve.protocols.described import (
    KEPT,
    Deleted,
    Described,
    DescribedRoute,
    openai_routes,
)
from hayserve.protocols.json_answer import json_answer
from hayserve.protocols.openai_responses.objects import (
    MOST_FILES,
    FileObject,
    FilePage,
    FileQuery,
)
from hayserve.protocols.openai_responses.shelf import Shelf
from hayserve.protocols.pages import page

_LISTED = Described(
    allows=Rule.RUN, query=FileQuery, answers=FilePage, errors=(InvalidRequest, *KEPT)
)
_GIVEN = Described(allows=Rule.RUN, answers=FileObject, errors=KEPT)
_DELETED = Described(allows=Rule.RUN, answers=Deleted, errors=KEPT)
_CONTENT = Described(allows=Rule.RUN, answers_as=("*/*",), errors=KEPT)


class FileRoutes:
    """Gives clients their files again.

    Args:
        shelf: Has them.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self) -> list[DescribedRoute]:
        one = "/files/{file_id}"
        return openai_routes(
            ("GET", "/files", self.list_files, _LISTED),
            ("GET", one, self.retrieve_file, _GIVEN),
            ("DELETE", one, self.delete_file, _DELETED),
            ("GET", f"{one}/content", self.retrieve_file_content, _CONTENT),
        )

    async def list_files(self, request: Request) -> Response:
        """List the files, the newest first."""
        files = await self._shelf.owned(owner_of(request.scope))
        purpose = request.query_params.get("purpose")
        wanted = [file_object(file) for file in files if purpose in (None, file.purpose)]
        return json_answer(
            page(wanted[::-1], request.query_params, most=MOST_FILES, usual=MOST_FILES)
        )

    async def retrieve_file(self, request: Request) -> Response:
        """Give what is known of a file."""
        return json_answer(file_object(await self._found(request)))

    async def delete_file(self, request: Request) -> Response:
        """Delete a file."""
        id_ = request.path_params["file_id"]
        await self._shelf.delete(id_, owner=owner_of(request.scope))
        return json_answer({"id": id_, "object": "file", "deleted": True})

    async def retrieve_file_content(self, request: Request) -> Response:
        """Give a file's content."""
        file = await self._found(request)
        # It is the client's word for what it is: no browser may show it as a page of this server.
        headers = {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
            "content-length": str(file.size),
            "x-content-type-options": "nosniff",
        }
        content = self._shelf.content(file)
        return StreamingResponse(content, media_type=file.media_type, headers=headers)

    async def _found(self, request: Request) -> File:
        return await self._shelf.find(request.path_params["file_id"], owner=owner_of(request.scope))


def file_object(file: File) -> dict[str, Any]:
    """OpenAI's object for a file."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }
