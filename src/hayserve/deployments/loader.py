"""Loads a wrapper's code from its folder, or says why it cannot be loaded."""

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from hayserve.deployments.imports import PrivateImports
from hayserve.errors import DeployRefused, sentence
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.components import forget_components
from hayserve.wrappers.failure import PRIVATE_PREFIX, explain, user_frame
from hayserve.wrappers.nearest import nearest

_HOW_TO_BEGIN = (
    "Write `class PipelineWrapper(BasePipelineWrapper):` with a `setup` method and a `run_api` "
    "or `run_chat_completion` method."
)
_CORRECT = "Correct the code and load it again."
_INSTALLED_AS_EXTRA = frozenset({"fastapi", "fastapi_openai_compat"})
# `haystack_integrations.components.generators.ollama` is in the distribution `ollama-haystack`.
_INTEGRATION = re.compile(r"haystack_integrations\.(?:components\.)?[a-z_]+\.([a-z0-9_]+)")
_NOT_THERE = re.compile(r"cannot import name '(\w+)'")
_MOST_NAMES = 40


@dataclass(frozen=True, slots=True)
class LoadedCode:
    """A module that was loaded from a folder.

    Args:
        module: The module, fully executed.
        package: The private name that its folder has as a package.
        unload: Gives back what loading took: call it when nothing of the code runs any more. A
            second call does nothing.
    """

    module: ModuleType
    package: str
    unload: Callable[[], None]


def load_module(folder: Path, module: str, *, name: str) -> LoadedCode:
    """Load a module of `folder` under a private name, so that it gets in nobody's way.

    The files are executed where they are and stay there: nothing is copied and nothing is
    written, and `__file__` is the file's real path. What the code may import, and how, is told in
    `hayserve.deployments.imports`. Several loads may run at once, also of the same folder.

    Args:
        folder: The folder of the wrapper.
        module: The module's name: its file without `.py`.
        name: The name of the deployment.

    Raises:
        DeployRefused: There is no such file, or it raised while it was imported. The exception
            is the cause.
    """
    if "." in module or not (folder / f"{module}.py").is_file():
        raise DeployRefused(
            f"{name!r} has no file '{module}.py' that can be imported.",
            hint="The name of a file of Python code has no dot before the `.py`.",
        )
    real = folder.resolve()
    imports = PrivateImports.installed()
    package = imports.add(str(real), deployment=name)
    unload = partial(_unload, imports, package)
    with ExitStack() as undoing:
        undoing.callback(unload)
        try:
            with imports.search_path.kept():
                loaded = importlib.import_module(f"{package}.{module}")
        except (Exception, SystemExit) as error:  # user code: anything can come out of it
            raise _refusal(error, real, name=name) from error
        undoing.pop_all()
    return LoadedCode(module=loaded, package=package, unload=unload)


def find_wrapper_class(module: ModuleType) -> type[BasePipelineWrapper]:
    """The class `PipelineWrapper` of a module.

    Raises:
        DeployRefused: There is none, or it is not a `BasePipelineWrapper`.
    """
    file = f"{module.__name__.rpartition('.')[2]}.py"
    found = getattr(module, "PipelineWrapper", None)
    if found is None:
        raise DeployRefused(f"{file!r} defines no class 'PipelineWrapper'.", hint=_HOW_TO_BEGIN)
    if not (isinstance(found, type) and issubclass(found, BasePipelineWrapper)):
        raise DeployRefused(
            f"'PipelineWrapper' in {file!r} is not a subclass of 'BasePipelineWrapper'.",
            hint=f"{_HOW_TO_BEGIN} `BasePipelineWrapper` is imported from `hayserve`.",
        )
    return found


def _unload(imports: PrivateImports, package: str) -> None:
    imports.remove(package)
    forget_components(package)


def _refusal(error: BaseException, folder: Path, *, name: str) -> DeployRefused:
    place = user_frame(error, folder)
    where = f" ({place})" if place else ""
    return DeployRefused(
        sentence(f"{name!r} cannot be loaded: {explain(error)}{where}"),
        hint=_hint(error, place),
    )


def _hint(error: BaseException, place: str) -> str:
    match error:
        case ModuleNotFoundError(name=str(missing)):
            return _hint_for_missing(missing, asked=_as_written(missing, error))
        case ImportError(name=str(module), msg=str(text)) if absent := _NOT_THERE.match(text):
            return _hint_for_absent(absent[1], sys.modules.get(module))
        case AttributeError(name=str(absent), obj=ModuleType() as module):
            return _hint_for_absent(absent, module)
        case SystemExit():
            return "A wrapper must not end the process: take the call of `sys.exit()` out."
        case SyntaxError() if place:
            return f"Correct {place} and load it again."
        case _:
            return _CORRECT


def _as_written(missing: str, error: BaseException) -> str:
    """The whole module that the code asked for, of which Python names the first missing part."""
    asked = re.compile(rf"(?<![\w.]){re.escape(missing)}(?:\.\w+)*")
    for place in reversed(traceback.extract_tb(error.__traceback__)):
        if found := asked.search(place.line or ""):
            return found[0]
    return missing


def _hint_for_absent(name: str, module: ModuleType | None) -> str:
    public: list[str] = getattr(module, "__all__", None) or [
        found for found in dir(module) if not found.startswith("_")
    ]
    hint = nearest(name, public, kind="names there")
    return hint if len(public) <= _MOST_NAMES or hint.startswith("Did") else _CORRECT


def _hint_for_missing(missing: str, *, asked: str) -> str:
    if missing.startswith(PRIVATE_PREFIX):
        file = "/".join(missing.split(".")[1:])
        return f"Add '{file}.py' to the wrapper's folder, or correct the import."
    if missing.partition(".")[0] in _INSTALLED_AS_EXTRA:
        return "Install it with `pip install 'hayserve[hayhooks]'`."
    if integration := _INTEGRATION.match(asked):
        package = f"{integration[1].replace('_', '-')}-haystack"
        return (
            f"{asked!r} is probably in the package {package!r}: "
            f"`pip install {package}` in the environment that hayserve runs in."
        )
    return (
        f"Install the package that provides {missing!r} beside hayserve, or name the folder that "
        "holds it with `--additional-python-path`."
    )
