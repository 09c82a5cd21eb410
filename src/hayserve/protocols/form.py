"""Reads a form with files, which may have many parts but not any number of them."""

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from hayserve.errors import InvalidRequest

MOST_PARTS = 1000
MOST_FIELD_BYTES = 1024 * 1024  # of a field that is no file


async def form_in(request: Request) -> FormData:
    """The form in the body of a request; its files are there until the request is closed.

    Raises:
        InvalidRequest: It is no form, has too many parts, or names a charset that it cannot be in.
    """
    try:
        return await request.form(
            max_files=MOST_PARTS, max_fields=MOST_PARTS, max_part_size=MOST_FIELD_BYTES
        )
    except HTTPException as error:
        raise InvalidRequest(
            f"The form cannot be read: {str(error.detail).rstrip('.')}.",
            hint="Let the HTTP client write the form, and its content-type with the boundary.",
        ) from error
    except (UnicodeError, LookupError) as error:
        raise InvalidRequest(
            f"The form cannot be read in the charset that it names: {error}.",
            hint="Leave `charset` out of its content-type, and send the form in UTF-8.",
        ) from error
