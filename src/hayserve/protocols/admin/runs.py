"""Lists the runs that are alive, and stops one."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from hayserve.deployments.registry import Registry
from hayserve.errors import StorageUnavailable
from hayserve.protocols.admin.author import author_of
from hayserve.protocols.admin.objects import CancelledRun, RunList, RunsQuery
from hayserve.protocols.described import KEPT, Described, DescribedRoute, described_routes
from hayserve.protocols.json_answer import json_answer
from hayserve.runs.everywhere import RunsEverywhere

_LISTED = Described(query=RunsQuery, answers=RunList, errors=(StorageUnavailable,))
_CANCELLED = Described(answers=CancelledRun, errors=KEPT)

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

    def guarded_routes(self) -> list[DescribedRoute]:
        """The routes; a key is asked for on them: who calls what is not for everybody."""
        return described_routes(
            ("GET", "/runs", self.list_runs, _LISTED),
            ("DELETE", "/runs/{id}", self.cancel_run, _CANCELLED),
        )

    async def list_runs(self, request: Request) -> Response:
        """List the runs that are alive on all workers, the oldest first."""
        found = await self._runs.live(deployment=self._own_name(request))
        return json_answer(
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
        return json_answer({"id": run_id, "cancelled": True, "worker": worker.label})

    def _own_name(self, request: Request) -> str | None:
        """The deployment of the query; one that is not served any more may still have runs."""
        asked = request.query_params.get("deployment")
        found = self._registry.find(asked) if asked is not None else None
        return found.name if found is not None else asked
