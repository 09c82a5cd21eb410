"""What the command line sends to deploy, and what it is told."""

import base64
import binascii
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from hayserve.deployments.bundle import Bundle
from hayserve.deployments.deploy import YAML_FILE, Order
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.errors import InvalidInput, Problem


def _content(value: Any) -> bytes:
    """A file's content: text, or `{"base64": ...}` for what is not text."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and set(value) == {"base64"}:  # pyright: ignore[reportUnknownArgumentType]
        try:
            return base64.b64decode(str(value["base64"]), validate=True)  # pyright: ignore[reportUnknownArgumentType]
        except binascii.Error as error:
            raise ValueError(f"is not base64: {error}") from None
    raise ValueError('a file is its text, or {"base64": "..."}')


Content = Annotated[bytes, BeforeValidator(_content)]


class DeployFiles(BaseModel):
    """The body of `POST /deploy_files`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    name: str
    files: dict[str, Content]
    overwrite: bool = False
    save_files: bool = True
    aliases: list[str] | None = None
    description: str | None = None

    def order(self) -> Order:
        return Order(
            name=self.name,
            bundle=Bundle(self.files),
            aliases=None if self.aliases is None else tuple(self.aliases),
            overwrite=self.overwrite,
            keep=self.save_files,
            description=self.description or "",
        )


class DeployYaml(BaseModel):
    """The body of `POST /deploy-yaml`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    name: str
    source_code: str
    overwrite: bool = False
    description: str | None = None
    skip_mcp: bool | None = None
    save_file: bool = True
    aliases: list[str] | None = None

    def order(self) -> Order:
        return Order(
            name=self.name,
            bundle=Bundle({YAML_FILE: self.source_code.encode()}),
            kind="yaml",
            aliases=None if self.aliases is None else tuple(self.aliases),
            overwrite=self.overwrite,
            keep=self.save_file,
            description=self.description or "",
            skip_mcp=bool(self.skip_mcp),
        )


def read_order(body: bytes, model: type[DeployFiles] | type[DeployYaml]) -> Order:
    """The order in a request's body.

    Raises:
        InvalidInput: The body is not one; the message never repeats what was sent.
    """
    try:
        return model.model_validate_json(body).order()
    except ValidationError as error:
        problems = [
            Problem(("body", *entry["loc"]), entry["msg"], entry["type"])
            for entry in error.errors(include_input=False, include_url=False)
        ]
        first = problems[0]
        raise InvalidInput(
            f"{'.'.join(map(str, first.loc))}: {first.msg}.", problems=problems
        ) from None


def deployed(deployment: Deployment) -> dict[str, Any]:
    """The answer to a deploy."""
    return {
        "name": deployment.name,
        "success": True,
        "endpoint": f"/{deployment.name}/run",
        "aliases": list(deployment.aliases),
        "revision": deployment.revision,
    }


def undeployed(removed: Deployment | FailedDeployment) -> dict[str, Any]:
    """The answer to an undeploy."""
    answer = {"success": True, "name": removed.name}
    if removed.origin == "deployed":
        return answer
    note = "Its files stay where they are, and a server that is started with them serves it again."
    return {**answer, "note": note}


def status_entry(deployment: Deployment) -> dict[str, Any]:
    """One deployment in `GET /status`, in Hayhooks' shape with aliases and error added."""
    capabilities = deployment.can.names()
    if deployment.can.api and not deployment.skip_mcp:
        capabilities.append("mcp_eligible")
    if deployment.can.chat and not deployment.wrapper.skip_a2a:
        capabilities.append("a2a_eligible")
    return {
        **_entry(deployment.name, capabilities),
        "type": deployment.kind,
        "description": deployment.description,
        "state": "Loaded",
        "aliases": list(deployment.aliases),
        "revision": deployment.revision or None,
        "origin": deployment.origin,
        "error": None,
    }


def failed_entry(failure: FailedDeployment) -> dict[str, Any]:
    """What could not be loaded, in `GET /status`: a deployment, or a newer version of one."""
    return {
        **_entry(failure.name, []),
        "state": "Failed",
        "aliases": [],
        "revision": None,
        "origin": failure.origin,
        "error": {
            "message": failure.error.message,
            "hint": failure.error.hint,
            "code": failure.error.code,
        },
    }


def _entry(name: str, capabilities: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "unknown",
        "execution_mode": "request-bound",
        "description": "",
        "capabilities": capabilities,
        "health": None,
        "worker_scope": "responding process",
        "store_scope": None,
        "execution_enumeration": False,
    }
