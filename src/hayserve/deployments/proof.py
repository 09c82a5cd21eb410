"""A proof: what a process of its own found out about a deployment before anybody sees it.

Job and proof travel between processes as lines of JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from hayserve import errors
from hayserve.deployments.target import Target
from hayserve.errors import HayserveError
from hayserve.wrappers.run_limits import RunLimits

Phase = Literal["load", "import", "setup", "describe", "check"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What trying a deployment out may cost.

    Args:
        seconds: How long it may take.
        memory_bytes: How much memory it may take; 0 for all that the machine has.
    """

    seconds: float
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What a deployment turned out to be when it was tried out.

    Args:
        name: Its name.
        kind: What it holds: "agent", "pipeline" or "unknown".
        description: One line for people; may be empty.
        capabilities: What it can do, in the words of `GET /status`.
        request_schema: The JSON Schema of what `run_api` takes; None if it has none.
        answer: What it answered to the check's question, at most 2000 characters; None if nothing
            was asked.
        seconds: How long it took.
    """

    name: str
    kind: str
    description: str
    capabilities: list[str]
    request_schema: dict[str, Any] | None = None
    answer: str | None = None
    seconds: float = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Proof":
        return cls(**said)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be proven, and how.

    Args:
        target: What to load. Its files are read where they are.
        limits: What it may cost.
        check: A question to ask once; None to ask none.
        search_path: What `sys.path` is to be.
        others: More targets, to be loaded one after the other as long as nothing goes wrong.
    """

    target: Target
    limits: Limits
    check: str | None
    search_path: tuple[str, ...]
    others: tuple[Target, ...] = ()

    def to_line(self) -> bytes:
        return line_of(
            target=_said_of(self.target),
            others=[_said_of(other) for other in self.others],
            limits=asdict(self.limits),
            check=self.check,
            search_path=self.search_path,
        )

    @classmethod
    def from_line(cls, line: bytes) -> "Job":
        said = json.loads(line)
        return cls(
            _target_in(said["target"]),
            others=tuple(map(_target_in, said["others"])),
            limits=Limits(**said["limits"]),
            check=said["check"],
            search_path=tuple(said["search_path"]),
        )


def _said_of(target: Target) -> dict[str, Any]:
    said = {field.name: getattr(target, field.name) for field in fields(Target)}
    del said["thing"]
    return {**said, "limits": target.limits.as_fields()}


def _target_in(said: Mapping[str, Any]) -> Target:
    known: dict[str, Any] = {
        **said,
        "path": Path(said["path"]),
        "aliases": tuple(said["aliases"]),
        "limits": RunLimits(**said["limits"]),
    }
    return Target(**known)


def line_of(**said: object) -> bytes:
    """One message as one line."""
    return json.dumps(said, default=_in_json).encode() + b"\n"


def error_to_json(error: HayserveError) -> dict[str, Any]:
    known = next(kind for kind in type(error).__mro__ if kind in _PLAIN.values())
    return {
        "code": cast(type[HayserveError], known).code,
        "message": str(error.message),
        "hint": str(error.hint),
        "param": error.param,
    }


def error_from_json(said: Mapping[str, Any]) -> HayserveError:
    return _PLAIN[said["code"]](said["message"], hint=said["hint"], param=said["param"])


def _in_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast(Mapping[str, object], value))
    return str(value)


# Those that say more than a message travel as what they are a kind of.
_PLAIN: Mapping[str, type[HayserveError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, HayserveError)
    and kind.__init__ is HayserveError.__init__
}
