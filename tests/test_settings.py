"""Settings come from arguments, the environment and a `.env` file, and their page tells of all."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from hayserve.errors import Misconfigured
from hayserve.settings import Settings, load, local_key_file, variables_without_meaning

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
FIELDS = Settings.model_fields
GIVEN: dict[str, tuple[str, Any]] = {
    "host": ("127.0.0.1", "127.0.0.1"),
    "port": ("8000", 8000),
    "pipelines_dir": ("served", Path("served")),
    "insecure": ("true", True),
    "require_key": ("true", True),
    "open_hosts": ('["a.example"]', ["a.example"]),
    "oidc_claims": ('["email"]', ["email"]),
    "key_file": ("key", Path("key")),
    "threads": ("2", 2),
    "max_runs": ("8", 8),
    "max_waiting": ("0", 0),
    "run_timeout": ("1.5", 1.5),
    "max_body_mb": ("1", 1),
    "max_upload_mb": ("2", 2),
    "max_header_kb": ("16", 16),
    "header_timeout": ("2.5", 2.5),
    "body_timeout": ("3", 3.0),
    "blocking_seconds": ("0.2", 0.2),
    "idempotency_hours": ("48", 48),
    "response_hours": ("24", 24),
    "file_hours": ("12", 12),
    "lean_openai": ("true", True),
    "show_tracebacks": ("1", True),
    "graceful_shutdown_timeout": ("7", 7),
    "startup_deploy_strategy": ("sequential", "sequential"),
    "startup_deploy_workers": ("2", 2),
    "files_to_ignore_patterns": ('["*.db"]', ["*.db"]),
    "cors_allow_origins": ('["https://a.example"]', ["https://a.example"]),
    "cors_allow_methods": ("[]", []),
    "cors_allow_headers": ('["x-a"]', ["x-a"]),
    "cors_allow_credentials": ("true", True),
    "cors_expose_headers": ('["x-b"]', ["x-b"]),
    "cors_max_age": ("1", 1),
    "log_level": ("debug", "DEBUG"),
    "access_log": ("false", False),
    "data_dir": ("data", Path("data")),
    "setup_timeout": ("60", 60),
    "setup_memory_mb": ("512", 512),
    "max_bundle_mb": ("10", 10),
    "max_bundle_files": ("50", 50),
    "worker_timeout": ("10", 10),
    "drain_delay": ("3", 3),
    "use_https": ("true", True),
    "disable_ssl": ("true", True),
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("HAYSERVE_", "HAYHOOKS_", "LOG")):
            monkeypatch.delenv(name)
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")


def choices_of(field: FieldInfo) -> list[str]:
    assert isinstance(field.validation_alias, AliasChoices)
    return [str(choice) for choice in field.validation_alias.choices]


def value_of(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_its_own_and_hayhooks_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = GIVEN.get(name, ("something", "something"))
    for variable in choices_of(FIELDS[name]):
        with monkeypatch.context() as environment:
            environment.setenv(variable, text)
            assert value_of(load(), name) == value
    assert choices_of(FIELDS[name])[:2] == [f"HAYSERVE_{name.upper()}", f"HAYHOOKS_{name.upper()}"]


def test_an_argument_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().port == 1416
    (tmp_path / ".env").write_text("HAYHOOKS_PORT=1\n")
    assert load().port == 1
    (tmp_path / ".env").write_text("HAYHOOKS_PORT=1\nHAYSERVE_PORT=2\n")
    assert load().port == 2
    monkeypatch.setenv("HAYHOOKS_PORT", "3")
    assert load().port == 3
    monkeypatch.setenv("HAYSERVE_PORT", "4")
    assert load().port == 4
    assert load(port=5).port == 5
    assert load(port=None).port == 4


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("HAYSERVE_PORT", "high", "HAYSERVE_PORT: Input should be a valid integer"),
        ("HAYHOOKS_PORT", "99999", "HAYHOOKS_PORT: Input should be less than or equal to 65535"),
        ("LOG", "loud", "LOG: Input should be 'TRACE', 'DEBUG'"),
        ("HAYHOOKS_CORS_ALLOW_ORIGINS", "*", "HAYHOOKS_CORS_ALLOW_ORIGINS: a list is JSON"),
        ("HAYSERVE_CORS_ALLOW_ORIGINS", "[1]", "HAYSERVE_CORS_ALLOW_ORIGINS: Input should be a"),
        ("HAYSERVE_INSECURE", "perhaps", "HAYSERVE_INSECURE: Input should be a valid boolean"),
        ("HAYSERVE_GRACEFUL_SHUTDOWN_TIMEOUT", "301", "HAYSERVE_GRACEFUL_SHUTDOWN_TIMEOUT: "),
        ("HAYHOOKS_STARTUP_DEPLOY_WORKERS", "0", "HAYHOOKS_STARTUP_DEPLOY_WORKERS: "),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_value_that_cannot_be_used_is_told_with_its_variable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    place: str,
    variable: str,
    text: str,
    said: str,
) -> None:
    if place == "environment":
        monkeypatch.setenv(variable, text)
    else:
        (tmp_path / ".env").write_text(f"{variable}='{text}'\n")
    with pytest.raises(Misconfigured) as refused:
        load()
    assert refused.value.message.startswith(said)
    assert refused.value.param == variable
    assert "docs/settings.md" in refused.value.hint


def test_an_argument_that_cannot_be_used_is_told_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAYSERVE_PORT", "1")
    with pytest.raises(Misconfigured, match=r"^port: Input should be greater than or equal to 0"):
        load(port=-1)
    with pytest.raises(Misconfigured, match=r"^log_level: .*, got 7\."):
        load(log_level=7)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://localhost:1416"),
        ({"host": "::1", "port": 80}, "http://[::1]:80"),
        ({"use_https": True, "root_path": "/api/"}, "https://localhost:1416/api"),
        ({"url": "https://example.org/x/", "port": 1}, "https://example.org/x"),
    ],
)
def test_the_command_line_finds_the_server(given: dict[str, Any], url: str) -> None:
    assert load(**given).server_url == url


def test_the_local_key_has_a_file_for_each_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert local_key_file(8000) == tmp_path / "hayserve" / "local-8000.key"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_key_file(80) == tmp_path / ".local" / "state" / "hayserve" / "local-80.key"


def test_variables_that_nothing_reads_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAYHOOKS_DURABLE_MODE", "1")
    monkeypatch.setenv("HAYHOOKS_PORT", "1")
    (tmp_path / ".env").write_text("HAYSERVE_PROT=1\nOTHER=2\nHAYSERVE_EMPTY\n")
    assert variables_without_meaning() == [
        "HAYHOOKS_DURABLE_MODE",
        "HAYSERVE_EMPTY",
        "HAYSERVE_PROT",
    ]
    assert variables_without_meaning({"HAYSERVE_HOST": "", "HAYSERVE_X": ""}) == ["HAYSERVE_X"]


# ---- the page


def row_of(name: str, field: FieldInfo) -> str:
    default: Any = field.default
    if isinstance(default, list | bool):
        default = json.dumps(default)
    shown = "none" if default in {None, ""} else f"`{default}`"
    variables = ", ".join(f"`{choice}`" for choice in choices_of(field))
    return f"| `{name}` | {variables} | {shown} | {field.description} |"


def test_the_page_has_every_setting_with_its_names_default_and_meaning() -> None:
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `") and "HAYSERVE" in line
    ]
    expected = [row_of(name, field) for name, field in FIELDS.items()]
    assert [row for row in rows if row.count("|") == 5] == expected


def test_what_the_page_calls_meaningless_has_no_meaning() -> None:
    table = PAGE.read_text().partition("without a meaning")[2].partition("| why |")[2]
    named = re.findall(r"`(HAYHOOKS_\w+)`", table)
    assert len(named) > 20
    assert variables_without_meaning(dict.fromkeys(named, "")) == sorted(named)
