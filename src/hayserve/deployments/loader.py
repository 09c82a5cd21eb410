"""Loads a wrapper's code from its folder, or says why it cannot be loaded."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from hayserve.deployments.imports import PrivateImports
from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.components import forget_components
from hayserve.wrappers.failure import PRIVATE_PREFIX, explain, user_frame

_HOW_TO_BEGIN = (
    "Write `class PipelineWrapper(BasePipelineWrapper):` with a `setup` method and a `run_api` "
    "or `run_chat_completion` method."
)
_INSTALLED_AS_EXTRA = frozenset({"fastapi", "fastapi_openai_compat"})


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
    try:
        with imports.search_path.kept():
            loaded = importlib.import_module(f"{package}.{module}")
    except BaseException as error:  # user code: even `sys.exit()` can come out of it
        unload()
        if isinstance(error, Exception | SystemExit):
            raise _refusal(error, real, name=name) from error
        raise
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
        f"{name!r} cannot be loaded: {explain(error)}{where}.",
        hint=_hint(error, place),
    )


def _hint(error: BaseException, place: str) -> str:
    match error:
        case ModuleNotFoundError(name=str(missing)):
            return _hint_for_missing(missing)
        case SystemExit():
            return "A wrapper must not end the process: take the call of `sys.exit()` out."
        case SyntaxError() if place:
            return f"Correct {place} and deploy again."
        case _:
            return "Correct the code and deploy again."


def _hint_for_missing(missing: str) -> str:
    if missing.startswith(PRIVATE_PREFIX):
        file = "/".join(missing.split(".")[1:])
        return f"Add '{file}.py' to the wrapper's folder, or correct the import."
    if missing.partition(".")[0] in _INSTALLED_AS_EXTRA:
        return "Install it with `pip install 'hayserve[hayhooks]'`."
    return (
        f"Install the package that provides {missing!r} beside hayserve, or name the folder that "
        "holds it with `--additional-python-path`."
    )
