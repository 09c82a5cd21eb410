"""Lists the runs that are alive, and stops one."""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hayserve.access.identity import identity_in
from hayserve.access.rules import Rule
from hayserve.deployments.registry import Registry
from hayserve.errors import StorageUnavailable
from hayserve.protocols.admin.author import author_of
from hayserve.protocols.admin.objects import CancelledRun, RunList, RunsQuery
from hayserve.protocols.described import KEPT, Described, DescribedRoute, described_routes
from hayserve.protocols.json_answer import json_answer
from hayserve.runs.everywhere import RunsEverywhere
from hayserve.runs.state import RunState

_LISTED = Described(
    allows=Rule.RUNS, query=RunsQuery, answers=RunList, errors=(StorageUnavailable,)
)
_CANCELLED = Described(allows=Rule.RUNS, answers=CancelledRun, errors=KEPT)

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

    def routes(self) -> list[DescribedRoute]:
        return described_routes(
            ("GET", "/runs", self.list_runs, _LISTED),
            ("DELETE", "/runs/{id}", self.cancel_run, _CANCELLED),
        )

    async def list_runs(self, request: Request) -> Response:
        """List the runs that are alive on all workers, the oldest first; to a key its own."""
        deployment, owner = self._own_name(request), _owner(request)
        found = await self._runs.live(deployment=deployment, owner=owner)
        return json_answer(
            {
                "runs": [_shown(run) for run in found.runs],
                "silent_workers": [worker.label for worker in found.silent],
            }
        )

    async def cancel_run(self, request: Request) -> Response:
        """Stop a run, whichever worker has it."""
        run_id: str = request.path_params["id"]
        owner = _owner(request)
        who = "an operator" if owner is None else "its caller"
        worker = await self._runs.cancel(run_id, reason=f"{who} cancelled it", owner=owner)
        author = author_of(request)
        known = {"run_id": run_id, "by": author.by, "from": author.where}
        logger.info("run_cancelled", extra=known)
        return json_answer({"id": run_id, "cancelled": True, "worker": worker.label})

    def _own_name(self, request: Request) -> str | None:
        """The deployment of the query; one that is not served any more may still have runs."""
        asked = request.query_params.get("deployment")
        found = self._registry.find(asked) if asked is not None else None
        return found.name if found is not None else asked


def _owner(request: Request) -> str | None:
    """Whose runs whoever asks may know of; None for everybody's."""
    identity = identity_in(request.scope)
    return None if identity.scopes.is_admin else identity.owner


def _shown(run: RunState) -> dict[str, Any]:
    fields = run.as_fields()
    del fields["owner"]  # it has a meaning for the server alone
    return fields
