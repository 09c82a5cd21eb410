"""Every setting, read once at the edge from arguments, the environment and a `.env` file.

A setting `port` is the environment variable `HAYSERVE_PORT`; where Hayhooks has the same setting,
`HAYHOOKS_PORT` is read too and `HAYSERVE_PORT` wins.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from dotenv import dotenv_values, find_dotenv
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from hayserve.errors import Misconfigured

PREFIX = "HAYSERVE_"
OLD_PREFIX = "HAYHOOKS_"


def _names(field: str) -> AliasChoices:
    return AliasChoices(f"{PREFIX}{field.upper()}", f"{OLD_PREFIX}{field.upper()}")


def _in_capitals(level: object) -> object:
    return level.upper() if isinstance(level, str) else level


def _from_json(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError('a list is JSON, such as ["a", "b"]') from None


LogLevel = Annotated[
    Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(_in_capitals),
]
Texts = Annotated[list[str], NoDecode, BeforeValidator(_from_json)]


class Settings(BaseSettings):
    """The settings of a server and of the command line that talks to it."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=_names),
        populate_by_name=True,
        case_sensitive=True,
        frozen=True,
        extra="ignore",
    )

    host: str = Field("localhost", description="The address to listen on.")
    port: int = Field(1416, ge=0, le=65535, description="The port; 0 takes a free one.")
    root_path: str = Field("", description="The path that a proxy puts before every URL.")
    pipelines_dir: Path = Field(
        Path("pipelines"), description="A folder whose wrappers and YAML files are served at start."
    )
    additional_python_path: str = Field(
        "", description="A folder that wrappers may import shared modules from."
    )
    data_dir: Path = Field(
        Path(".hayserve"), description="Where the server keeps what was deployed to it."
    )
    database_url: SecretStr | None = Field(
        None,
        description="The database that servers share; by default a SQLite file in the data folder.",
    )
    setup_timeout: int = Field(
        300, ge=1, description="How long loading and `setup()` may take, in seconds."
    )
    setup_memory_mb: int = Field(
        0,
        ge=0,
        description="Memory that a deployment may take while it is tried out, in MB; 0 is all.",
    )
    max_bundle_mb: int = Field(
        100, ge=1, description="How large the files of one deployment may be together, in MB."
    )
    max_bundle_files: int = Field(
        10_000, ge=1, description="How many files one deployment may have."
    )
    worker_timeout: int = Field(
        30, ge=1, description="After how many seconds without a sign a worker is replaced."
    )
    drain_delay: int = Field(
        0,
        ge=0,
        le=300,
        description="How long a stopping server still takes requests, in seconds.",
    )
    insecure: bool = Field(
        default=False,
        description="Deploys without a key, from any host and origin, on any address.",
    )
    require_key: bool = Field(
        default=False,
        description="Running needs a key on loopback, too, and not only beyond it.",
    )
    open_hosts: Texts = Field(
        [],
        description="Names, beside localhost, under which callers without a key may run.",
    )
    oidc_issuer: str | None = Field(
        None, description="The identity provider whose tokens are taken, beside keys: their `iss`."
    )
    oidc_audience: str | None = Field(
        None, description="What the provider calls this server: the `aud` of the tokens."
    )
    oidc_jwks_url: str | None = Field(
        None, description="Where its keys are; by default the provider is asked for that, too."
    )
    oidc_scope_claim: str = Field(
        "scope", description="The claim of the tokens that has the scopes."
    )
    oidc_scope_prefix: str = Field(
        "", description="What scopes for this server begin with in that claim."
    )
    oidc_claims: Texts = Field([], description="Claims that wrappers get to know of their caller.")
    key_file: Path | None = Field(
        None, description="Where the server writes its local key; by default one file per port."
    )
    threads: int = Field(512, ge=1, description="How many sync runs may be under way at once.")
    max_runs: int = Field(
        1024, ge=1, description="How many runs may be under way at once, in each worker."
    )
    max_waiting: int = Field(
        1024, ge=0, description="How many runs may wait for their turn, in each worker."
    )
    run_timeout: float = Field(
        3600, ge=0, description="How long a run may take, its wait included, in seconds; 0 is ever."
    )
    max_body_mb: int = Field(20, ge=1, description="How large a request's body may be, in MB.")
    max_upload_mb: int = Field(200, ge=1, description="How large a form with files may be, in MB.")
    max_header_kb: int = Field(
        64, ge=1, description="How large a request's line and headers may be together, in KB."
    )
    header_timeout: float = Field(
        30, gt=0, description="How long a request's headers may take to arrive, in seconds."
    )
    body_timeout: float = Field(
        30, gt=0, description="How long a request's body may pause on its way, in seconds."
    )
    blocking_seconds: float = Field(
        1, gt=0, description="How long code may hold the event loop up before the log shows where."
    )
    idempotency_hours: int = Field(
        24, ge=1, description="How long an answer is kept for its Idempotency-Key, in hours."
    )
    response_hours: int = Field(
        720, ge=1, description="How long responses and conversations are kept, in hours."
    )
    file_hours: int = Field(720, ge=1, description="How long uploaded files are kept, in hours.")
    streaming_components: str = Field(
        "", description="Which components stream by default: none for the last, `all`, or names."
    )
    lean_openai: bool = Field(
        default=False,
        description="Haystack's `OpenAIChatGenerator` is replaced by the lean one that costs less.",
    )
    show_tracebacks: bool = Field(
        default=False, description="Callers get the traceback of a wrapper that failed."
    )
    graceful_shutdown_timeout: int = Field(
        5, ge=0, le=300, description="How long runs may go on when the server stops, in seconds."
    )
    startup_deploy_strategy: Literal["parallel", "sequential"] = Field(
        "parallel", description="How deployments are loaded at start."
    )
    startup_deploy_workers: int = Field(
        4, ge=1, le=32, description="How many deployments are loaded at a time at start."
    )
    files_to_ignore_patterns: Texts = Field(
        ["*.pyc", "*.pyo", "*.pyd", "__pycache__", "*.so", "*.egg", "*.egg-info"],
        description="Names of files and folders that a deploy leaves out.",
    )
    cors_allow_origins: Texts = Field([], description="Origins whose pages may call.")
    cors_allow_methods: Texts = Field(["*"], description="Methods that such pages may use.")
    cors_allow_headers: Texts = Field(["*"], description="Headers that such pages may send.")
    cors_allow_credentials: bool = Field(
        default=False, description="Whether such pages may send cookies."
    )
    cors_allow_origin_regex: str | None = Field(
        None, description="A pattern for more such origins."
    )
    cors_expose_headers: Texts = Field([], description="Headers that such pages may read.")
    cors_max_age: int = Field(600, ge=0, description="How long browsers keep this, in seconds.")
    log_level: LogLevel = Field(
        "INFO",
        validation_alias=AliasChoices("HAYSERVE_LOG_LEVEL", "HAYHOOKS_LOG_LEVEL", "LOG"),
        description="The least severe messages that are logged.",
    )
    access_log: bool = Field(default=True, description="Whether each request is logged.")

    url: str | None = Field(None, description="The server that the command line talks to.")
    key: SecretStr | None = Field(None, description="The key that the command line shows it.")
    use_https: bool = Field(default=False, description="The command line speaks HTTPS.")
    disable_ssl: bool = Field(
        default=False, description="The command line accepts any certificate."
    )

    @property
    def server_url(self) -> str:
        """Where the command line finds the server."""
        if self.url:
            return self.url.rstrip("/")
        scheme = "https" if self.use_https else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.root_path.rstrip('/')}"


def load(**overrides: Any) -> Settings:
    """Read the settings; `overrides` that are None do not count.

    Raises:
        Misconfigured: A value cannot be used; the message names the variable.
    """
    given: dict[str, Any] = {key: value for key, value in overrides.items() if value is not None}
    env_file: dict[str, Any] = {"_env_file": find_dotenv(usecwd=True) or None}
    try:
        return Settings(**given, **env_file)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = _name_used(str(first["loc"][0]), given)
        raise Misconfigured(
            f"{name}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}.",
            hint="See docs/settings.md for what each setting takes.",
            param=name,
        ) from None


def _name_used(first_name: str, overrides: Mapping[str, Any]) -> str:
    """What the user set: the argument, or the variable that the value came from."""
    field = first_name.removeprefix(PREFIX).lower()
    if field in overrides:
        return field
    choices = Settings.model_fields[field].validation_alias
    assert isinstance(choices, AliasChoices)
    given = _environment()
    return next((name for name in map(str, choices.choices) if name in given), first_name)


def _environment() -> dict[str, str]:
    in_file = dotenv_values(find_dotenv(usecwd=True))
    return {**{name: value or "" for name, value in in_file.items()}, **os.environ}


def local_key_file(port: int) -> Path:
    """Where the server on `port` of this machine keeps its local key."""
    state = os.environ.get("XDG_STATE_HOME")
    root = Path(state) if state else Path.home() / ".local" / "state"
    return root / "hayserve" / f"local-{port}.key"


def variables_without_meaning(environment: Mapping[str, str] | None = None) -> list[str]:
    """The `HAYSERVE_*` and `HAYHOOKS_*` variables that are set and that nothing reads."""
    environment = _environment() if environment is None else environment
    known = {field.upper() for field in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith((PREFIX, OLD_PREFIX)) and name.partition("_")[2] not in known
    )
