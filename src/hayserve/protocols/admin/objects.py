"""What the command line gets, for `/openapi.json`.

The objects may have more fields than are told of here.
"""

from typing import Annotated, Any, Literal, Required

from pydantic import Field
from typing_extensions import TypedDict


class Fault(TypedDict):
    """Why something could not be loaded."""

    message: str
    hint: str
    code: str


class StatusEntry(TypedDict):
    """A deployment, or one that could not be loaded."""

    name: str
    type: str
    description: str
    state: Literal["Loaded", "Failed"]
    aliases: list[str]
    capabilities: list[str]
    limits: dict[str, float]
    revision: int | None
    digest: str | None
    origin: str
    error: Fault | None


class WorkerEntry(TypedDict):
    """A worker, and why it could not load what it could not."""

    node: str
    pid: int
    failed: dict[str, Any]


class StatusList(TypedDict):
    """All that is served."""

    status: str
    pipelines: list[str]
    deployments: list[StatusEntry]
    workers: list[WorkerEntry]


class StatusOfOne(TypedDict):
    """One deployment."""

    status: str
    pipeline: str
    deployment: StatusEntry


class Change(TypedDict, total=False):
    """What was changed."""

    name: Required[str]
    success: Required[Literal[True]]
    changed: bool
    aliases: list[str]
    revision: int | None
    digest: str
    workers: Required[int]
    note: str
    answer: str | None
    endpoint: str


class ArchiveQuery(TypedDict, total=False):
    """What is said of an archive; `parameters` and `limits` are JSON objects."""

    alias: list[str]
    overwrite: bool
    save_files: bool
    description: str
    parameters: str
    limits: str
    check: str


class UndeployQuery(TypedDict, total=False):
    """Whether the past is forgotten, too."""

    purge: bool


class DiffQuery(TypedDict):
    """Which revisions are compared."""

    old: Annotated[int, Field(ge=0)]
    new: Annotated[int, Field(ge=0)]


class PastEntry(TypedDict):
    """A revision."""

    revision: int
    active: bool
    digest: str
    kind: str
    parameters: dict[str, Any]
    limits: dict[str, float]
    description: str
    origin: str
    deployed_by: str
    deployed_from: str
    deployed_at: str
    served_at: str | None


class Past(TypedDict):
    """The revisions of a deployment, the newest first."""

    name: str
    revisions: list[PastEntry]


class RunEntry(TypedDict):
    """A run that is alive; times are in seconds."""

    id: str
    deployment: str
    revision: int | None
    method: str
    streamed: bool
    caller: str
    stage: str
    age_seconds: float
    deadline_in_seconds: float | None
    cancelled: bool
    worker: str


class RunsQuery(TypedDict, total=False):
    """Of which deployment runs are listed."""

    deployment: str


class RunList(TypedDict):
    """The runs that are alive, and the workers that did not answer."""

    runs: list[RunEntry]
    silent_workers: list[str]


class CancelledRun(TypedDict):
    """A run that was stopped."""

    id: str
    cancelled: Literal[True]
    worker: str
