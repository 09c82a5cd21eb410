"""The imports of deployments: each one's modules are its own and nobody else's.

A folder is loaded as a package whose name nobody uses, `_hayserve_<n>_<name>`. What its files
import by the names that their author gave them is looked up in the folder first:

- `from .helper import x` is an ordinary relative import in the private package;
- `import helper`, for a file or package `helper` in the folder, is the private package's module,
  and so is one in a folder that the code put on `sys.path` (`src/helper.py`);
- `from weather.helper import x`, in a deployment named `weather`, likewise;
- a name of the standard library is always the standard library's;
- a module never means itself: `openai.py` that says `from openai import OpenAI` gets the installed
  one. The installed one is also taken where the folder's own has not what was asked for, and where
  the folder's own is only a folder of data.

All else is imported as usual. The rules hold for import statements and `__import__` in the
deployment's own files, at any time. They do not hold for `importlib.import_module("helper")`,
which does not know who asks; `importlib.import_module(".helper", __package__)` works.
"""

import builtins
import importlib.util
import itertools
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal

from hayserve.deployments.search_path import SearchPath, is_inside
from hayserve.wrappers.failure import PRIVATE_PREFIX

Names = tuple[str, ...]
_SUFFIXES = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
_INSTALLING = threading.Lock()


class PrivateImports(MetaPathFinder):
    """Finds the modules of private packages, and only those."""

    def __init__(self) -> None:
        self.search_path = SearchPath()
        self._packages: dict[str, PrivatePackage] = {}
        self._numbers = itertools.count(1)

    @classmethod
    def installed(cls) -> "PrivateImports":
        """The one of this process, put in place if this is the first call."""
        with _INSTALLING:
            for finder in sys.meta_path:
                if isinstance(finder, cls):
                    return finder
            finder = cls()
            sys.meta_path.insert(0, finder)
            sys.path_hooks.insert(0, finder.search_path.hook)
            return finder

    def add(self, folder: str, *, deployment: str) -> str:
        """Make `folder`, a real path, importable under a new name, and give that name."""
        readable = re.sub(r"\W", "_", deployment)
        package = f"{PRIVATE_PREFIX}{next(self._numbers)}_{readable}"
        self.search_path.hide(folder)
        self._packages[package] = PrivatePackage(
            package, folder, deployment=deployment, is_own=self.search_path.hides
        )
        return package

    def remove(self, package: str) -> None:
        """Forget a package and its modules; what still uses them keeps them alive."""
        removed = self._packages.pop(package, None)
        if removed is None:
            return
        for name in list(sys.modules):
            if _is_below(name, package):
                sys.modules.pop(name, None)
        self.search_path.show(removed.folder)

    def deployment_of(self, module: str) -> str | None:
        """The deployment whose code a module of that full name is."""
        package = self._packages.get(module.partition(".")[0])
        return None if package is None else package.deployment

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002  # import machinery passes it
    ) -> ModuleSpec | None:
        package = self._packages.get(fullname.partition(".")[0])
        return None if package is None else package.find_spec(fullname, path or ())


class PrivatePackage:
    """One folder as a package, and what an import in its files means."""

    def __init__(
        self, name: str, folder: str, *, deployment: str, is_own: Callable[[str], bool]
    ) -> None:
        self.name = name
        self.folder = folder
        self.deployment = deployment
        self._is_own = is_own
        self._builtins = {**vars(builtins), "__import__": self.import_}
        self._roots: list[Names] = [()]
        self._entries_seen: set[str] = set()

    def find_spec(self, fullname: str, path: Sequence[str]) -> ModuleSpec | None:
        if fullname == self.name:
            return self._spec_of_package()
        for directory in path:
            # A new one each time: it must not remember what was in the folder a moment ago.
            finder = FileFinder(
                directory,
                (ExtensionFileLoader, EXTENSION_SUFFIXES),
                (SourceFileLoader, SOURCE_SUFFIXES),
            )
            spec = finder.find_spec(fullname)
            if spec is not None:
                if isinstance(spec.loader, SourceFileLoader):
                    spec.loader = _SourceLoader(fullname, spec.loader.path, self._builtins)
                return spec
        return None

    def import_(  # noqa: PLR0917  # the signature of the builtin
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # as above
        locals: Mapping[str, Any] | None = None,  # noqa: A002  # as above
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What stands for `__import__` in the package's files."""
        wanted = tuple(fromlist or ())
        importer = str((globals or {}).get("__name__", ""))
        own = None if level else self._own_name(name, importer=importer, wanted=wanted)
        if own is None:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(own, None, None, wanted, 0)
        if not wanted:
            return sys.modules[own.rsplit(".", name.count("."))[0]]
        has_all = all(item == "*" or hasattr(module, item) for item in wanted)
        if has_all or not self._is_elsewhere(name.partition(".")[0]):
            return module
        return builtins.__import__(name, globals, locals, wanted, 0)

    def _spec_of_package(self) -> ModuleSpec:
        init = Path(self.folder, "__init__.py")
        if not init.is_file():
            spec = ModuleSpec(self.name, None, is_package=True)
            spec.submodule_search_locations = [self.folder]
            return spec
        found = importlib.util.spec_from_file_location(
            self.name,
            init,
            loader=_SourceLoader(self.name, str(init), self._builtins),
            submodule_search_locations=[self.folder],
        )
        assert found is not None
        return found

    def _own_name(self, name: str, *, importer: str, wanted: Names) -> str | None:
        """The name of the private module that `name` means, or None if it means no such thing."""
        parts = tuple(name.split("."))
        if parts[0] in sys.stdlib_module_names:
            return None
        for top, path in self._readings(parts):
            if self._is_meant(path, top=top, importer=importer, wanted=wanted, name=parts[0]):
                return ".".join((self.name, *path))
        return None

    def _readings(self, parts: Names) -> Iterator[tuple[Names, Names]]:
        """Where `parts` could be in the folder: the place of its first part, and of the whole."""
        self._note_roots()
        for root in self._roots:
            yield (*root, parts[0]), (*root, *parts)
        if parts[0] == self.deployment:
            yield (), parts[1:]

    def _note_roots(self) -> None:
        for entry in sys.path:
            if entry in self._entries_seen:
                continue
            self._entries_seen.add(entry)
            # Not what was there before: a project's own `src`, or its virtual environment.
            if is_inside(entry, self.folder) and self._is_own(entry):
                root = Path(entry).resolve().relative_to(self.folder).parts
                self._roots.append(root)

    def _is_meant(
        self, path: Names, *, top: Names, importer: str, wanted: Names, name: str
    ) -> bool:
        there = self._kind(top)
        from_within = _is_below(importer, ".".join((self.name, *top)))
        if not there or (from_within and there == "file"):
            return False
        if self._kind(path) in {"file", "package"} and not (from_within and path == top):
            return True
        return any(self._kind((*path, item)) for item in wanted) or not self._is_elsewhere(name)

    def _kind(self, path: Names) -> Literal["file", "package", "folder", ""]:
        place = Path(self.folder, *path)
        is_folder = place.is_dir()
        if is_folder and any((place / f"__init__{end}").is_file() for end in _SUFFIXES):
            return "package"
        if path and any(place.with_name(f"{path[-1]}{end}").is_file() for end in _SUFFIXES):
            return "file"
        return "folder" if is_folder else ""

    def _is_elsewhere(self, name: str) -> bool:
        """Whether a top-level module of that name exists outside of the folder."""
        try:
            spec = importlib.util.find_spec(name)
        except ValueError:  # it is loaded and says nothing about itself, as `__main__` does
            return True
        if spec is None:
            return False
        places = spec.submodule_search_locations or (spec.origin,)
        return any(not is_inside(place, self.folder) for place in places)


class _SourceLoader(SourceFileLoader):
    """Runs a file with the package's own `__import__`, and keeps no bytecode.

    Bytecode would be written into the user's folder, and would hide an edit that was made in the
    second in which it was written.
    """

    def __init__(self, fullname: str, path: str, namespace: Mapping[str, Any]) -> None:
        super().__init__(fullname, path)
        self._namespace = namespace

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # as SourceFileLoader has it
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self._namespace
        super().exec_module(module)


def _is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
