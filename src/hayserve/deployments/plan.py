"""A change that is to be made, as it was decided on."""

from collections.abc import Sequence
from dataclasses import dataclass

from hayserve.deployments.change import Action, Active
from hayserve.deployments.deployment import Origin
from hayserve.deployments.order import Order
from hayserve.deployments.revision import NOBODY, Author, Content
from hayserve.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that is to be made.

    Args:
        name: The deployment's name.
        action: What was asked for.
        seen: What was served when it was decided; None for nothing.
        content: What is to be served, if it is to become a new revision.
        number: Which revision is to be served, if it is there already.
        origin: Where new content comes from.
        aliases: More names for it.
        keep: Whether it is there again after a start of the server.
        author: Who asks for it.
    """

    name: str
    action: Action
    seen: Active | None
    content: Content | None = None
    number: int | None = None
    origin: Origin = "deployed"
    aliases: tuple[str, ...] = ()
    keep: bool = True
    author: Author = NOBODY

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


def deploy_plan(order: Order, seen: Active | None, *, aliases: Sequence[str]) -> Plan:
    """Serve a new revision."""
    return Plan(
        order.name,
        "deploy",
        seen,
        content=order.content,
        origin=order.origin,
        aliases=distinct(order.name, aliases),
        keep=order.keep,
        author=order.author,
    )


def alias_plan(active: Active, aliases: Sequence[str], *, author: Author) -> Plan:
    """Serve the same revision under other names."""
    return Plan(
        active.name,
        "alias",
        active,
        number=active.revision.number,
        aliases=distinct(active.name, aliases),
        keep=active.keep,
        author=author,
    )


def distinct(name: str, aliases: Sequence[str]) -> tuple[str, ...]:
    """The aliases that say more than `name`, each once."""
    return tuple(alias for alias in dict.fromkeys(aliases) if alias != name)


def with_aliases(active: Active, *, add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """The aliases of a deployment with some more and some fewer.

    Raises:
        InvalidRequest: One that is to go is not there.
    """
    unknown = [alias for alias in remove if alias not in active.aliases]
    if unknown:
        raise InvalidRequest(
            f"{unknown[0]!r} is not an alias of {active.name!r}.",
            hint=f"Its aliases: {', '.join(active.aliases) or 'none'}.",
            param="remove",
        )
    wanted = dict.fromkeys((*active.aliases, *add))
    return tuple(alias for alias in wanted if alias not in {active.name, *remove})


def note_on_loss(order: Order, active: Active | None) -> str:
    """What to say if a deploy takes parameters of `setup()` or limits away."""
    if active is None:
        return ""
    had, has = active.revision.content, order.content
    parameters = [name for name in had.parameters if name not in has.parameters]
    limits = [name for name in had.limits.as_fields() if name not in has.limits.as_fields()]
    notes = {
        "It is set up without the parameters": parameters,
        "It is served without the limits": limits,
    }
    return " ".join(
        f"{what} {', '.join(lost)}: each deploy gives its own."
        for what, lost in notes.items()
        if lost
    )
