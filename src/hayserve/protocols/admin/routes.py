"""Lists what is served, deploys and undeploys: what the command line calls."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hayserve.deployments.deploy import Deployer
from hayserve.deployments.registry import Registry
from hayserve.protocols.admin.schema import (
    DeployFiles,
    DeployYaml,
    deployed,
    failed_entry,
    read_order,
    status_entry,
    undeployed,
)


class Admin:
    """The face of the server for the people who run it.

    Args:
        registry: What is served.
        deployer: What changes it.
    """

    def __init__(self, registry: Registry, deployer: Deployer) -> None:
        self._registry = registry
        self._deployer = deployer

    def routes(self) -> list[Route]:
        return [
            Route("/status", self.status, methods=["GET"]),
            Route("/status/{name}", self.status_of, methods=["GET"]),
        ]

    def guarded_routes(self) -> list[Route]:
        """The routes that change what is served; the server asks for a key on them."""
        return [
            Route("/deploy_files", self.deploy_files, methods=["POST"]),
            Route("/deploy-yaml", self.deploy_yaml, methods=["POST"]),
            Route("/undeploy/{name}", self.undeploy, methods=["POST"]),
        ]

    async def status(self, _: Request) -> Response:
        """List what is served, and what could not be loaded with the reason."""
        served = self._registry.deployments()
        failed = self._registry.failed()
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
            }
        )

    async def status_of(self, request: Request) -> Response:
        """Say whether a deployment is served."""
        deployment = self._registry.get(request.path_params["name"])
        return JSONResponse(
            {
                "status": "Up!",
                "pipeline": request.path_params["name"],
                "deployment": status_entry(deployment),
            }
        )

    async def deploy_files(self, request: Request) -> Response:
        """Deploy a wrapper from its files."""
        order = read_order(await request.body(), DeployFiles)
        return JSONResponse(deployed(await self._deployer.deploy(order)))

    async def deploy_yaml(self, request: Request) -> Response:
        """Deploy a pipeline from its YAML."""
        order = read_order(await request.body(), DeployYaml)
        return JSONResponse(deployed(await self._deployer.deploy(order)))

    async def undeploy(self, request: Request) -> Response:
        """Stop to serve a deployment."""
        removed = await self._deployer.undeploy(request.path_params["name"])
        return JSONResponse(undeployed(removed))
