"""Reads a request to `/{name}/run` into the arguments of the method that answers it."""

from typing import Any

from starlette.requests import Request

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable
from hayserve.protocols.form import form_in
from hayserve.protocols.json_body import media_type_of
from hayserve.wrappers.capabilities import Method
from hayserve.wrappers.signature import Signature

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


async def read_form(request: Request, signature: Signature) -> dict[str, Any]:
    """The keyword arguments in a form with files.

    Raises:
        InvalidRequest: The body is not what the deployment takes.
    """
    media_type = media_type_of(request.headers)
    if media_type in _FORMS:
        form = await form_in(request)
        return signature.arguments_from_form(form.multi_items())
    if not media_type and not await request.body():
        return signature.arguments_from_form([])
    stated = repr(media_type) if media_type else "of no stated type"
    raise InvalidRequest(
        f"The body is {stated}, and this deployment takes files.",
        hint="Send a form, with content-type multipart/form-data: "
        f"a file in {next(iter(signature.uploads))!r}, every other parameter in a field.",
    )


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
