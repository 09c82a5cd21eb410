"""The table of what is served: read by every request, swapped as a whole by a change."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

import anyio

from hayserve.deployments.deployment import Deployment, FailedDeployment
from hayserve.errors import NotFound, NotReady

# A change that cannot be ended, because the database is gone, holds nobody back for longer.
_LONGEST_HOLD_SECONDS = 8.0


class Registry:
    """Finds deployments by name or alias.

    `loading` holds the names that the server is loading for the first time.

    Changes make a new table and then put it in place with one assignment, so that a reader, in
    any thread, sees the old one or the new one.
    """

    def __init__(self) -> None:
        self._by_name: Mapping[str, Deployment] = MappingProxyType({})
        self._failed: Mapping[str, FailedDeployment] = MappingProxyType({})
        self._held: Mapping[str, asyncio.Event] = MappingProxyType({})
        self.loading: frozenset[str] = frozenset()
        # Where a request has to be read before it is known whom it is for; None for the server's.
        self.most_body_mb: float | None = None
        self.most_upload_mb: float | None = None

    async def for_run(self, name: str) -> Deployment:
        """As `get`; waits while requests for `name` are held back, which takes milliseconds.

        Raises:
            NotReady: As `get`, or it is being changed for too long.
            NotFound: As `get`.
        """
        if name in self._held:
            await self._released(name)
        return self.get(name)

    async def _released(self, name: str) -> None:
        with anyio.move_on_after(_LONGEST_HOLD_SECONDS) as patience:
            while (held := self._held.get(name)) is not None:
                await held.wait()
        if patience.cancelled_caught:
            raise NotReady(f"{name!r} is being changed.", hint="Try again in a moment.")

    def get(self, name: str) -> Deployment:
        """The deployment that has `name` as its name or an alias.

        Raises:
            NotReady: It is being loaded for the first time.
            NotFound: There is none; the message says why if it failed to load.
        """
        found = self._by_name.get(name)
        if found is not None:
            return found
        if name in self.loading:
            raise NotReady(f"{name!r} is being loaded.", hint="Try again in a moment.")
        failed = self._failed.get(name)
        if failed is not None:
            raise NotFound(
                f"{name!r} is not served because it failed to load: {failed.error.message}",
                hint=failed.error.hint,
            )
        raise NotFound(
            f"No deployment is named {name!r}.",
            hint=f"Deployed: {', '.join(self._by_name) or 'nothing yet'}.",
        )

    def find(self, name: str) -> Deployment | None:
        """As `get`, with None where there is none."""
        return self._by_name.get(name)

    def deployments(self) -> list[Deployment]:
        """All that is served, in the order of deployment, each once."""
        return list({id(entry): entry for entry in self._by_name.values()}.values())

    def failed(self) -> list[FailedDeployment]:
        """What should be served and could not be loaded."""
        return list(self._failed.values())

    def put(self, deployment: Deployment) -> Deployment | None:
        """Serve `deployment` from now on; gives the one that it replaces."""
        before = self._own(deployment.name)
        self._set({**self._without(before), **dict.fromkeys(deployment.names, deployment)})
        return before

    def remove(self, name: str) -> Deployment | None:
        """Stop to serve the deployment of that own name; gives what it was."""
        before = self._own(name)
        self._set(self._without(before))
        return before

    def arrange(self, names: Sequence[str]) -> None:
        """List the deployments that have `names` before all others, in that order."""
        first = {
            key: entry
            for name in names
            if (entry := self._by_name.get(name)) is not None
            for key in entry.names
        }
        self._set({**first, **self._by_name})

    def fail(self, failures: Sequence[FailedDeployment]) -> None:
        """Say what could not be loaded, in place of what was said before."""
        self._failed = MappingProxyType({failure.name: failure for failure in failures})

    def hold(self, names: Collection[str]) -> None:
        """Hold requests for exactly these names back; those for others go on."""
        held = {name: self._held.get(name) or asyncio.Event() for name in names}
        released = [event for name, event in self._held.items() if name not in held]
        self._held = MappingProxyType(held)
        for event in released:
            event.set()

    def _set(self, by_name: Mapping[str, Deployment]) -> None:
        self._by_name = MappingProxyType(by_name)
        limits = [deployment.limits for deployment in by_name.values()]
        self.most_body_mb = _most(one.max_body_mb for one in limits)
        self.most_upload_mb = _most(one.max_upload_mb for one in limits)

    def _own(self, name: str) -> Deployment | None:
        found = self._by_name.get(name)
        return found if found is not None and found.name == name else None

    def _without(self, gone: Deployment | None) -> dict[str, Deployment]:
        return {name: entry for name, entry in self._by_name.items() if entry is not gone}


def _most(sizes: Iterable[float | None]) -> float | None:
    return max((size for size in sizes if size is not None), default=None)
