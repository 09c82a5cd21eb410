"""Lets go of the Haystack components that a wrapper's own code defined."""

import sys


def forget_components(package: str) -> None:
    """Take the components that modules of `package` defined out of Haystack's registry.

    Haystack keeps every component class for ever, and through it all that the class's module
    holds, so that each redeploy would leave the code before it in memory.
    """
    haystack = sys.modules.get("haystack")
    if haystack is None:
        return
    registry: dict[str, type] = haystack.component.registry
    for name in [name for name in list(registry) if name.startswith(f"{package}.")]:
        registry.pop(name, None)
