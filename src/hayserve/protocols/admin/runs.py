"""Lists the runs that are alive, and stops one."""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hayserve.deployments.registry import Registry
from hayserve.protocols.admin.author import author_of
from hayserve.protocols.json_bytes import to_json
from hayserve.runs.everywhere import RunsEverywhere

logger = logging.getLogger("hayserve.runs")


class LiveRuns:
    """The face of the runs for the people who run the server.

    Args:
        runs: Those of all workers.
        registry: What is served, and under which other names.
    """

    def __init__(self, runs: RunsEverywhere, registry: Registry) -> None:
        self._runs = runs
        self._registry = registry

    def guarded_routes(self) -> list[Route]:
        """The routes; a key is asked for on them: who calls what is not for everybody."""
        return [
            Route("/runs", self.list_runs, methods=["GET"]),
            Route("/runs/{id}", self.cancel_run, methods=["DELETE"]),
        ]

    async def list_runs(self, request: Request) -> Response:
        """List the runs that are alive on all workers, the oldest first."""
        found = await self._runs.live(deployment=self._own_name(request))
        return _answer(
            {
                "runs": [run.as_fields() for run in found.runs],
                "silent_workers": [worker.label for worker in found.silent],
            }
        )

    async def cancel_run(self, request: Request) -> Response:
        """Stop a run, whichever worker has it."""
        run_id: str = request.path_params["id"]
        worker = await self._runs.cancel(run_id, reason="an operator cancelled it")
        author = author_of(request)
        known = {"run_id": run_id, "by": author.by, "from": author.where}
        logger.info("run_cancelled", extra=known)
        return _answer({"id": run_id, "cancelled": True, "worker": worker.label})

    def _own_name(self, request: Request) -> str | None:
        """The deployment of the query; one that is not served any more may still have runs."""
        asked = request.query_params.get("deployment")
        found = self._registry.find(asked) if asked is not None else None
        return found.name if found is not None else asked


def _answer(content: Any) -> Response:
    return Response(to_json(content), media_type="application/json")
