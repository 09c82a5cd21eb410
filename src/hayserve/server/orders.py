"""What a parent process and its workers tell each other, as lines of JSON over a socket."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, assert_never

from pydantic import SecretStr

from hayserve.deployments.terms import NO_TERMS, Terms
from hayserve.errors import Misconfigured
from hayserve.server.role import Role
from hayserve.settings import Settings
from hayserve.wrappers.run_limits import RunLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a parent tells a worker, once.

    Args:
        settings: The settings; the port is the one that is listened on.
        paths: What the command line names.
        terms: What is said of the one deployment that `paths` names.
        reload: Whether files are watched; the role says by whom.
        local_key: What deploying needs; None where nobody is asked.
        role: What this worker does beside answering.
        sockets: The file descriptors to accept connections on.
        search_path: Where the parent finds modules: `sys.path`.
    """

    settings: Settings
    paths: tuple[str, ...] = ()
    terms: Terms = NO_TERMS
    reload: bool = False
    local_key: str | None = None
    role: Role = field(default_factory=Role)
    sockets: tuple[int, ...] = ()
    search_path: tuple[str, ...] = ()

    def encode(self) -> bytes:
        known = {
            "settings": self.settings.model_dump(),
            "paths": self.paths,
            "terms": asdict(self.terms),
            "reload": self.reload,
            "local_key": self.local_key,
            "role": asdict(self.role),
            "sockets": self.sockets,
            "search_path": self.search_path,
        }
        return json.dumps(known, default=_plain).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Orders":
        known: dict[str, Any] = json.loads(line)
        return cls(
            settings=Settings(**known["settings"]),
            paths=tuple(known["paths"]),
            terms=_terms_in(known["terms"]),
            reload=known["reload"],
            local_key=known["local_key"],
            role=Role(**known["role"]),
            sockets=tuple(known["sockets"]),
            search_path=tuple(known["search_path"]),
        )


@dataclass(frozen=True, slots=True)
class Alive:
    """The worker's event loop turns."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All that the worker starts with is loaded or has failed; `welcome` tells what."""

    welcome: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker cannot start, and no other one could."""

    message: str
    hint: str = ""
    param: str | None = None

    def error(self) -> Misconfigured:
        return Misconfigured(self.message, hint=self.hint, param=self.param)


Sign = Alive | Ready | Refused


def encode(sign: Sign) -> bytes:
    match sign:
        case Alive():
            said: Mapping[str, object] = {"is": "alive"}
        case Ready(welcome):
            said = {"is": "ready", "welcome": welcome}
        case Refused():
            said = {"is": "refused", **asdict(sign)}
        case _:
            assert_never(sign)
    return json.dumps(said).encode() + b"\n"


def decode(line: bytes) -> Sign:
    said: dict[str, Any] = json.loads(line)
    match said.pop("is"):
        case "ready":
            return Ready(**said)
        case "refused":
            return Refused(**said)
        case _:
            return Alive()


def _terms_in(known: Mapping[str, Any]) -> Terms:
    limits = RunLimits(**known["limits"])
    return Terms(name=known["name"], aliases=tuple(known["aliases"]), limits=limits)


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
