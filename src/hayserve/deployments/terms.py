"""What a command line says of the one deployment that it names."""

from dataclasses import dataclass

from hayserve.wrappers.run_limits import NO_LIMITS, RunLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which names something is served, and with which limits.

    Args:
        name: Its name; None for that of its folder or file.
        aliases: More names for it.
        limits: The limits of its runs; what is None is as the wrapper or the settings say.
    """

    name: str | None = None
    aliases: tuple[str, ...] = ()
    limits: RunLimits = NO_LIMITS


NO_TERMS = Terms()
