"""Lists what is served, deploys and undeploys: what the command line calls."""

from typing import Any

import anyio.to_thread
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from hayserve.access.rules import Rule
from hayserve.deployments.archive import unpack
from hayserve.deployments.bundle import too_big
from hayserve.deployments.deploy import Deployer
from hayserve.deployments.history import History
from hayserve.deployments.members import Members, Worker
from hayserve.deployments.order import Order
from hayserve.deployments.registry import Registry
from hayserve.deployments.rules import Rules
from hayserve.errors import (
    DeployRefused,
    InvalidRequest,
    NameTaken,
    NotFound,
    StorageUnavailable,
    TooBusy,
    TooLarge,
)
from hayserve.protocols.admin.answers import failed_entry, past, result, status_entry, undeployed
from hayserve.protocols.admin.author import author_of
from hayserve.protocols.admin.body import read_body, spool, spool_body
from hayserve.protocols.admin.objects import (
    ArchiveQuery,
    Change,
    DiffQuery,
    Past,
    StatusList,
    StatusOfOne,
    UndeployQuery,
)
from hayserve.protocols.admin.schema import (
    Aliases,
    DeployFiles,
    DeployYaml,
    Rollback,
    archive_order,
    flag,
    number,
    read,
)
from hayserve.protocols.allowed import deployments_for, failures_for, may_know, served_for
from hayserve.protocols.described import BODY, KEPT, Described, DescribedRoute, described_routes

_CHANGES = (*BODY, *KEPT, NameTaken, DeployRefused, TooBusy)
_STATUS = Described(allows=Rule.SEE, answers=StatusList, errors=(StorageUnavailable,))
_STATUS_OF_ONE = Described(allows=Rule.SEE, answers=StatusOfOne, errors=(NotFound,))
_UNDEPLOYED = Described(allows=Rule.DEPLOY, query=UndeployQuery, answers=Change, errors=_CHANGES)
_ARCHIVE = Described(
    allows=Rule.DEPLOY,
    takes=bytes,
    takes_as="*/*",
    query=ArchiveQuery,
    answers=Change,
    errors=_CHANGES,
)
_HISTORY = Described(allows=Rule.DEPLOY, answers=Past, errors=KEPT)
_DIFF = Described(
    allows=Rule.DEPLOY, query=DiffQuery, answers_as=("text/x-diff",), errors=(InvalidRequest, *KEPT)
)
_SLACK = 1024 * 1024
_LARGEST_BODY = 65_536


class Admin:
    """The face of the server for the people who run it.

    Args:
        registry: What this process serves.
        deployer: What changes what is served.
        history: What was served.
        members: The workers.
        rules: What may be deployed.
    """

    def __init__(
        self,
        registry: Registry,
        deployer: Deployer,
        *,
        history: History,
        members: Members,
        rules: Rules,
    ) -> None:
        self._registry = registry
        self._deployer = deployer
        self._history = history
        self._members = members
        self._rules = rules

    def routes(self) -> list[DescribedRoute]:
        named = "/deployments/{name}"
        return described_routes(
            ("GET", "/status", self.status, _STATUS),
            ("GET", "/status/{name}", self.status_of, _STATUS_OF_ONE),
            ("POST", "/deploy_files", self.deploy_files, _of(DeployFiles)),
            ("POST", "/deploy-yaml", self.deploy_yaml, _of(DeployYaml)),
            ("POST", "/undeploy/{name}", self.undeploy, _UNDEPLOYED),
            ("PUT", named, self.deploy_archive, _ARCHIVE),
            ("POST", f"{named}/rollback", self.rollback, _of(Rollback, is_optional=True)),
            ("POST", f"{named}/aliases", self.alias, _of(Aliases)),
            ("GET", f"{named}/history", self.history, _HISTORY),
            ("GET", f"{named}/diff", self.diff, _DIFF),
        )

    async def status(self, request: Request) -> Response:
        """List what is served, what could not be loaded with the reason, and the workers.

        A key that may not run everything is told of what it may run.
        """
        served = deployments_for(request.scope, self._registry)
        failed = failures_for(request.scope, self._registry)
        workers = await anyio.to_thread.run_sync(self._members.live)
        return JSONResponse(
            {
                "status": "Degraded" if failed else "Up!",
                "pipelines": [deployment.name for deployment in served],
                "durable_mode": False,
                "durable": {"healthy": True, "deployments": {}},
                "deployments": [
                    *map(status_entry, served),
                    *map(failed_entry, failed),
                ],
                "capabilities": {"execution_enumeration": False},
                "workers": [_worker(one, request) for one in workers.values()],
            }
        )

    async def status_of(self, request: Request) -> Response:
        """Say whether a deployment is served."""
        deployment = served_for(request.scope, self._registry, _name(request))
        return JSONResponse(
            {
                "status": "Up!",
                "pipeline": _name(request),
                "deployment": status_entry(deployment),
            }
        )

    async def deploy_files(self, request: Request) -> Response:
        """Deploy a wrapper from its files."""
        return await self._deploy(read(await self._body(request), DeployFiles).order(), request)

    async def deploy_yaml(self, request: Request) -> Response:
        """Deploy a pipeline from its YAML."""
        return await self._deploy(read(await self._body(request), DeployYaml).order(), request)

    async def deploy_archive(self, request: Request) -> Response:
        """Deploy a wrapper from a tar or zip archive; the query says what JSON would."""
        most, most_files = self._rules.most_bytes, self._rules.most_files
        with spool() as file:
            await spool_body(request, file, most=most + _SLACK, refusal=too_big(most))
            files = await anyio.to_thread.run_sync(
                lambda: unpack(file, most_bytes=most, most_files=most_files)
            )
        order = archive_order(_name(request), files, request.query_params)
        return await self._deploy(order, request)

    async def undeploy(self, request: Request) -> Response:
        """Stop to serve a deployment; with `purge=true` forget its past, too."""
        outcome = await self._deployer.undeploy(
            _name(request),
            author=author_of(request),
            purge=flag(request.query_params, "purge"),
        )
        return JSONResponse(undeployed(outcome))

    async def rollback(self, request: Request) -> Response:
        """Serve an earlier revision again."""
        asked = read(await _small_body(request) or b"{}", Rollback)
        name = _name(request)
        outcome = await self._deployer.rollback(name, to=asked.to, author=author_of(request))
        return JSONResponse(result(outcome))

    async def alias(self, request: Request) -> Response:
        """Give a deployment other names, or take some away."""
        asked = read(await _small_body(request), Aliases)
        outcome = await self._deployer.alias(
            _name(request),
            add=asked.add,
            remove=asked.remove,
            author=author_of(request),
        )
        return JSONResponse(result(outcome))

    async def history(self, request: Request) -> Response:
        """List the revisions of a deployment, the newest first."""
        name = _name(request)
        found = await anyio.to_thread.run_sync(self._history.of, name)
        return JSONResponse({"name": name, "revisions": [*map(past, found)]})

    async def diff(self, request: Request) -> Response:
        """Show what differs between two revisions, as `patch` understands it."""
        name, query = _name(request), request.query_params
        old, new = number(query, "old"), number(query, "new")
        text = await anyio.to_thread.run_sync(lambda: self._history.diff(name, old=old, new=new))
        return PlainTextResponse(text, media_type="text/x-diff")

    async def _deploy(self, order: Order, request: Request) -> Response:
        outcome = await self._deployer.deploy(order.of(author_of(request)))
        answer: dict[str, Any] = result(outcome)
        return JSONResponse({**answer, "endpoint": f"/{outcome.name}/run"})

    async def _body(self, request: Request) -> bytes:
        # As JSON, bytes may take four thirds of their number, and text with escapes more.
        most = self._rules.most_bytes
        return await read_body(request, most=2 * most + _SLACK, refusal=too_big(most))


def _of(body: type[BaseModel], *, is_optional: bool = False) -> Described:
    return Described(
        allows=Rule.DEPLOY, takes=body, is_optional=is_optional, answers=Change, errors=_CHANGES
    )


async def _small_body(request: Request) -> bytes:
    refusal = TooLarge(f"The body is larger than {_LARGEST_BODY} bytes.")
    return await read_body(request, most=_LARGEST_BODY, refusal=refusal)


def _worker(worker: Worker, request: Request) -> dict[str, Any]:
    failed = {name: why for name, why in worker.failed.items() if may_know(request.scope, name)}
    return {"node": worker.node, "pid": worker.pid, "failed": failed}


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if "\0" in name:  # which no database takes
        raise NotFound(f"No deployment is named {name!r}.")
    return name
