"""Carries out of a thread what wrappers may raise and the event loop takes for its own.

`GeneratorExit`, `KeyboardInterrupt`, `SystemExit` and `CancelledError` mean something else to the
task that awaits the thread.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Escaped(Exception):
    """Something that is no `Exception` came out of a wrapper's code; it is the cause."""


def contained(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, from which nothing but exceptions comes out."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:  # user code: anything can come out of it
            raise Escaped from error

    return call


def original(error: BaseException) -> BaseException:
    """What the wrapper's code raised."""
    if isinstance(error, Escaped) and error.__cause__ is not None:
        return error.__cause__
    return error
