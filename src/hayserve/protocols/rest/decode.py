"""Reads a request to `/{name}/run` into the run that it asks for."""

from typing import Any

from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method
from hayserve.wrappers.signature import Signature

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


async def read_arguments(request: Request, signature: Signature) -> dict[str, Any]:
    """The keyword arguments in a request's body.

    Raises:
        InvalidRequest: The body is not what the deployment takes.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not signature.uploads:
        # Only what a page of another origin cannot send without asking first; see the guard.
        if media_type and not _is_json(media_type):
            raise InvalidRequest(
                f"The body is {media_type!r}, and this deployment takes JSON.",
                hint="Send the parameters as a JSON object, with content-type application/json.",
            )
        return signature.arguments(await request.body())
    if media_type in _FORMS:
        form = await _form_of(request)
        return signature.arguments_from_form(form.multi_items())
    if not media_type and not await request.body():
        return signature.arguments_from_form([])
    raise InvalidRequest(
        f"The body is {media_type or 'of no stated type'!r}, and this deployment takes files.",
        hint="Send a form, with content-type multipart/form-data: "
        f"a file in {next(iter(signature.uploads))!r}, every other parameter in a field.",
    )


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


async def _form_of(request: Request) -> FormData:
    try:
        return await request.form()
    except HTTPException as error:
        raise InvalidRequest(
            f"The form cannot be read: {str(error.detail).rstrip('.')}.",
            hint="Let the HTTP client write the form, and its content-type with the boundary.",
        ) from error


def run_of(
    deployment: Deployment, arguments: dict[str, Any], *, headers: Headers, run_id: str
) -> Run:
    """The run of `deployment`'s `run_api` with `arguments`."""
    method, signature = served_by(deployment)
    if signature.wants_headers:
        arguments = {**arguments, "headers": headers}
    return Run(run_id, deployment.name, method, arguments)


def served_by(deployment: Deployment) -> tuple[Method, Signature]:
    """The method behind `/{name}/run` and its signature.

    Raises:
        NotCapable: The wrapper defines none.
    """
    if deployment.can.api is None or deployment.can.signature is None:
        raise NotCapable(
            f"{deployment.name!r} defines no `run_api`, so it has no /{deployment.name}/run.",
            hint=f"It can: {', '.join(deployment.can.names())}.",
        )
    return deployment.can.api, deployment.can.signature
