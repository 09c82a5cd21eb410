"""Makes code that imports `hayhooks` run unchanged: its names resolve to hayserve's."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from hayserve.compat.hayhooks_names import HOMES, SETTINGS, explain_missing

_ROOT = "hayhooks"


def install_hayhooks_names(settings: Mapping[str, Any] | None = None) -> None:
    """Let `import hayhooks`, and what is below it, mean hayserve in this process.

    It holds whatever else is installed: a Hayhooks that was imported before is set aside, and none
    is imported after. A second call changes nothing but the settings, if it is given any.

    Args:
        settings: The settings that wrappers see as `hayhooks.settings.settings`, by name.
    """
    names = next((finder for finder in sys.meta_path if isinstance(finder, HayhooksNames)), None)
    if names is None:
        names = HayhooksNames()
        sys.meta_path.insert(0, names)
    names.settings.show(settings or {})
    for name, module in sys.modules.copy().items():
        if _is_ours(name) and not isinstance(module, Alias):
            del sys.modules[name]


class SettingsView:
    """The settings that Hayhooks has too; they can be read and not changed."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self) -> None:
        object.__setattr__(self, "_values", {})

    def show(self, values: Mapping[str, Any]) -> None:
        """Show what `values` has, and go on showing what it has not."""
        for name in SETTINGS.intersection(values):
            value = values[name]
            # Hayhooks has paths as strings.
            self._values[name] = str(value) if isinstance(value, Path) else value

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"hayserve shows wrappers no setting {name!r}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A wrapper cannot change the server's setting {name!r}.")

    def __dir__(self) -> list[str]:
        return sorted(self._values)


class Alias(ModuleType):
    """A module of Hayhooks; its names are looked up in hayserve when they are first used."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"Stands for Hayhooks' module {name!r}.")
        self.__all__ = sorted(HOMES[name])

    def __getattr__(self, name: str) -> Any:
        full_name = f"{self.__name__}.{name}"
        if home := HOMES[self.__name__].get(name):
            return getattr(import_module(home), name)
        if full_name in HOMES:
            return import_module(full_name)
        if name.startswith("__"):  # what the import machinery and others only look for
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise AttributeError(explain_missing(full_name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})


class HayhooksNames(MetaPathFinder, Loader):
    """Finds everything that is called `hayhooks` or lies below it, before anybody else does."""

    def __init__(self) -> None:
        self.settings = SettingsView()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # import machinery passes it
        target: ModuleType | None = None,  # noqa: ARG002  # as above
    ) -> ModuleSpec | None:
        if not _is_ours(fullname):
            return None
        if fullname not in HOMES:
            # Without `name=`: `from hayhooks import x` would swallow the error for a better known
            # but emptier one of its own.
            raise ModuleNotFoundError(explain_missing(fullname))
        is_package = any(name.startswith(f"{fullname}.") for name in HOMES)
        return ModuleSpec(fullname, self, origin=__file__, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Alias(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == f"{_ROOT}.settings":
            vars(module)["settings"] = self.settings


def _is_ours(name: str) -> bool:
    return name == _ROOT or name.startswith(f"{_ROOT}.")
