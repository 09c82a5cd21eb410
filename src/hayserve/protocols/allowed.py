"""What of all that is served a caller may run."""

from collections.abc import MutableMapping
from typing import Any

from hayserve.access.identity import identity_in
from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.deployments.registry import Registry
from hayserve.errors import Forbidden, NotFound

Scope = MutableMapping[str, Any]


async def deployment_for(scope: Scope, registry: Registry, name: str) -> Deployment:
    """The deployment of that name or alias, for whoever has sent the request of an ASGI scope.

    Raises:
        Forbidden: That one may not run it, whether it is there or not.
        NotFound: There is none.
        NotReady: It is being loaded or changed.
    """
    scopes = identity_in(scope).scopes
    if scopes.runs_all:
        return await registry.for_run(name)
    _check(scope, registry, name)
    try:
        return await registry.for_run(name)
    except NotFound as error:  # what else there is does not concern this caller
        raise NotFound(error.message) from None


def served_for(scope: Scope, registry: Registry, name: str) -> Deployment:
    """The deployment of that name or alias, for one who wants to know of it.

    Raises:
        Forbidden: That one may neither run nor deploy it, whether it is there or not.
        NotFound: There is none.
        NotReady: It is being loaded.
    """
    if _sees_all(scope):
        return registry.get(name)
    _check(scope, registry, name)
    try:
        return registry.get(name)
    except NotFound as error:
        raise NotFound(error.message) from None


def deployments_for(scope: Scope, registry: Registry) -> list[Deployment]:
    """All that is served and that whoever has sent the request may run, or may deploy."""
    served, scopes = registry.deployments(), identity_in(scope).scopes
    if _sees_all(scope):
        return served
    return [deployment for deployment in served if scopes.may_run(deployment.names)]


def failures_for(scope: Scope, registry: Registry) -> list[FailedDeployment]:
    """The same of what should be served and could not be loaded."""
    failed, scopes = registry.failed(), identity_in(scope).scopes
    if _sees_all(scope):
        return failed
    return [failure for failure in failed if scopes.may_run([failure.name])]


def may_know(scope: Scope, name: str) -> bool:
    """Whether whoever has sent the request may know what becomes of the deployment of that name."""
    return _sees_all(scope) or identity_in(scope).scopes.may_run([name])


def _sees_all(scope: Scope) -> bool:
    scopes = identity_in(scope).scopes
    return scopes.runs_all or scopes.may_deploy


def _check(scope: Scope, registry: Registry, name: str) -> None:
    identity, found = identity_in(scope), registry.find(name)
    if not identity.scopes.may_run([name] if found is None else found.names):
        raise Forbidden(
            f"The {identity.label} may not run {name!r}.",
            hint=f"It has {identity.scopes or 'no scope'}. `hayserve keys create NAME "
            f"--scope run:{name}` makes a key that may.",
        )
