"""What the command line is told of what is served and what was changed."""

from typing import Any

from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.history import Past
from hayserve.deployments.order import Outcome


def result(outcome: Outcome) -> dict[str, Any]:
    """The answer to a change."""
    return {
        "name": outcome.name,
        "success": True,
        "changed": outcome.changed,
        "aliases": list(outcome.aliases),
        "revision": outcome.revision,
        "digest": outcome.digest,
        "workers": outcome.workers,
        "note": outcome.note,
        "answer": outcome.answer,
    }


def undeployed(outcome: Outcome) -> dict[str, Any]:
    """The answer to an undeploy."""
    answer = {"success": True, "name": outcome.name, "workers": outcome.workers}
    return {**answer, "note": outcome.note} if outcome.note else answer


def past(one: Past) -> dict[str, Any]:
    """One revision in `GET /deployments/{name}/history`."""
    revision = one.revision
    return {
        "revision": revision.number,
        "active": one.is_active,
        "digest": revision.content.digest,
        "kind": revision.content.kind,
        "parameters": dict(revision.content.parameters),
        "limits": revision.content.limits.as_fields(),
        "description": revision.content.description,
        "origin": revision.origin,
        "deployed_by": revision.author.by,
        "deployed_from": revision.author.where,
        "deployed_at": revision.deployed_at.isoformat(timespec="seconds"),
        "served_at": one.served_at.isoformat(timespec="seconds") if one.served_at else None,
    }


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
        "limits": deployment.limits.as_fields(),
        "own_loop": deployment.loop is not None,
        "blocked": {
            "count": deployment.blocked.count,
            "longest_seconds": round(deployment.blocked.longest, 2),
        },
        "revision": deployment.number or None,
        "digest": deployment.revision or None,
        "origin": deployment.origin,
        "error": None,
    }


def failed_entry(failure: FailedDeployment) -> dict[str, Any]:
    """What could not be loaded, in `GET /status`: a deployment, or a newer version of one."""
    return {
        **_entry(failure.name, []),
        "state": "Failed",
        "aliases": [],
        "limits": {},
        "own_loop": False,
        "blocked": {"count": 0, "longest_seconds": 0.0},
        "revision": None,
        "digest": None,
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
        "worker_scope": "all workers",
        "store_scope": None,
        "execution_enumeration": False,
    }
