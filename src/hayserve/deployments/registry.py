"""The table of what is served: read by every request, swapped as a whole by a deploy."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hayserve.deployments.deployment import Deployment, FailedDeployment, Origin
from hayserve.errors import NameTaken, NotFound, NotReady


class Registry:
    """Finds deployments by name or alias.

    `loading` holds the names that the server is loading for the first time.

    Changes make a new table and then put it in place with one assignment, so that a reader, in
    any thread, sees the old one or the new one.
    """

    def __init__(self) -> None:
        self._by_name: Mapping[str, Deployment] = MappingProxyType({})
        self._failed: Mapping[str, FailedDeployment] = MappingProxyType({})
        self.loading: frozenset[str] = frozenset()

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

    def own_name(self, name: str) -> str:
        """The own name of what is served as `name`, or failed to load under it.

        Raises:
            NotReady: It is being loaded for the first time.
            NotFound: There is none.
        """
        return name if name in self._failed else self.get(name).name

    def deployments(self) -> list[Deployment]:
        """All that is served, in the order of deployment, each once."""
        return list({id(entry): entry for entry in self._by_name.values()}.values())

    def failed(self) -> list[FailedDeployment]:
        """What should be served and could not be loaded."""
        return list(self._failed.values())

    def check_free(self, deployment_name: str, names: tuple[str, ...], *, overwrite: bool) -> None:
        """Refuse names that another deployment has, and an own name that is not to be replaced.

        Raises:
            NameTaken: One of the names is taken.
        """
        for name in names:
            taken_by = self._by_name.get(name)
            if taken_by is None:
                continue
            if taken_by.name != deployment_name:
                raise NameTaken(
                    f"The name {name!r} belongs to the deployment {taken_by.name!r}.",
                    hint="Choose another name, or undeploy that one first.",
                )
            if not overwrite:
                raise NameTaken(
                    f"Pipeline '{name}' already exists.",
                    hint="Deploy with `--overwrite` to replace it.",
                )

    def put(self, deployment: Deployment) -> Deployment | None:
        """Serve `deployment` from now on; gives the one that it replaces."""
        before = self._by_name.get(deployment.name)
        table = {name: entry for name, entry in self._by_name.items() if entry is not before}
        self._by_name = MappingProxyType({**table, **dict.fromkeys(deployment.names, deployment)})
        self._forget_failure(deployment.name)
        return before

    def arrange(self, names: Sequence[str]) -> None:
        """List the deployments that have `names` before all others, in that order."""
        first = {
            key: entry
            for name in names
            if (entry := self._by_name.get(name)) is not None
            for key in entry.names
        }
        self._by_name = MappingProxyType({**first, **self._by_name})

    def fail(self, failure: FailedDeployment) -> None:
        """Remember that something could not be loaded; what is served stays as it is."""
        self._failed = MappingProxyType({**self._failed, failure.name: failure})

    def is_from(self, origin: Origin, name: str) -> bool:
        """Whether what is served as `name`, or failed to be, was named by `origin`."""
        known = self._by_name.get(name) or self._failed.get(name)
        return known is not None and known.origin == origin

    def remove(self, name: str) -> Deployment | FailedDeployment:
        """Stop to serve the deployment with that name or alias, or forget that it failed.

        Raises:
            NotFound: There is none.
        """
        own = self.own_name(name)
        found = self._by_name.get(own)
        removed = found or self._failed[own]
        self._by_name = MappingProxyType(
            {key: entry for key, entry in self._by_name.items() if entry is not found}
        )
        self._forget_failure(own)
        return removed

    def _forget_failure(self, name: str) -> None:
        self._failed = MappingProxyType(
            {key: failure for key, failure in self._failed.items() if key != name}
        )
