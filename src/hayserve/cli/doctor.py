"""The command `hayserve doctor`."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import typer
import uvicorn
from dotenv import find_dotenv

from hayserve.access.keys import Keys
from hayserve.cli import show
from hayserve.cli.checkup import (
    has_open_door,
    of_forwarded,
    of_settings,
    of_user,
    of_variables,
)
from hayserve.cli.connect import Place, key_file_of, place_of
from hayserve.cli.file_checkup import (
    of_data_folder,
    of_database,
    of_environment_file,
    of_key_file,
)
from hayserve.cli.finding import LEVELS, Finding, Level, Part
from hayserve.cli.flags import Doctor
from hayserve.cli.key_checkup import of_keys
from hayserve.cli.probe import Heard, ask, has_other_settings, of_answers
from hayserve.errors import HayserveError
from hayserve.protocols.admin.key_objects import KeyEntry, key_entry
from hayserve.server.database_url import database_url
from hayserve.server.sockets import is_loopback
from hayserve.settings import Settings, load, variables_without_meaning
from hayserve.storage.database import Database

Told: TypeAlias = list[tuple[Part, Finding]]


def doctor(given: Doctor) -> None:
    """Say what is open and to whom; exit with 1 if something is a danger."""
    settings = load(url=given.url, key=given.key)
    place = place_of(settings)
    heard = ask(place, verify=not settings.disable_ssl)
    parts: list[tuple[Part, Iterable[Finding]]] = [
        ("server", of_answers(heard, place)),
        ("client", _of_way(settings, place)),
    ]
    if settings.url is None or place.is_here:
        parts += _of_machine(settings, place, heard)
    else:
        parts.append(("settings", [_is_elsewhere(place)]))
    told: Told = [(part, finding) for part, findings in parts for finding in findings]
    told.sort(key=lambda each: LEVELS.index(each[1].level))
    _show(told, place, as_json=given.as_json)
    if any(finding.level == "danger" for _, finding in told):
        raise typer.Exit(1)


def _show(told: Told, place: Place, *, as_json: bool) -> None:
    if as_json:
        findings = [{"part": part, **asdict(finding)} for part, finding in told]
        show.as_json({"server": place.url, "findings": findings})
    else:
        show.findings(told)
        show.text(_summary(told))


def _of_way(settings: Settings, place: Place) -> Iterator[Finding]:
    """Who is on the way from the command line to the server."""
    if place.is_here:
        return
    if not place.url.startswith("https:"):
        yield Finding(
            "warning",
            f"The command line shows its key to {place.url} without TLS.",
            fix="--url https://...",
        )
    elif settings.disable_ssl:
        yield Finding(
            "warning",
            "The command line accepts any certificate: whoever is on the way gets its key.",
            fix="unset HAYSERVE_DISABLE_SSL",
        )


def _is_elsewhere(place: Place) -> Finding:
    return Finding(
        "note",
        f"The settings, files and keys of {place.url} are on its own machine.",
        fix="hayserve doctor, there",
    )


def _of_machine(
    settings: Settings, place: Place, heard: Heard | None
) -> list[tuple[Part, Iterable[Finding]]]:
    """What the settings, files and keys that are here leave open."""
    keys, database = _of_database(settings, heard)
    return [
        ("settings", _of_settings(settings, heard)),
        ("files", _of_files(settings, place, has_server=heard is not None)),
        ("files", database),
        ("keys", keys),
    ]


def _of_settings(settings: Settings, heard: Heard | None) -> Iterator[Finding]:
    is_open, is_local = has_open_door(settings), is_loopback(settings.host)
    if heard and has_other_settings(heard, is_open=is_open, is_local=is_local):
        yield Finding(
            "warning",
            "The server was started with other settings than those that are told of here.",
            fix="hayserve doctor in its folder and environment, with HAYSERVE_HOST for `--host`",
        )
    yield from of_settings(settings)
    trusted = uvicorn.Config("", log_config=None).forwarded_allow_ips
    yield of_forwarded(trusted, is_open=is_open)
    yield from of_variables(variables_without_meaning())
    yield of_user(is_root=hasattr(os, "geteuid") and os.geteuid() == 0)


def _of_files(settings: Settings, place: Place, *, has_server: bool) -> Iterator[Finding]:
    yield from of_key_file(key_file_of(settings, place.port), has_server=has_server)
    yield from of_data_folder(settings.data_dir.absolute())
    if env_file := find_dotenv(usecwd=True):
        has_secrets = settings.database_url is not None or settings.key is not None
        yield from of_environment_file(Path(env_file), has_secrets=has_secrets)


def _of_database(settings: Settings, heard: Heard | None) -> tuple[list[Finding], list[Finding]]:
    """What of the keys, which the server has told of or the database has, and of the database."""
    told = None if heard is None else heard.keys
    needs_one = not (settings.insecure or settings.oidc_issuer or is_loopback(settings.host))
    found: list[Finding] = []
    try:
        database = Database(database_url(settings))
        found += of_database(database.address)
        keys = _kept_in(database) if told is None else told
    except HayserveError as error:
        return [], [*found, Finding("warning", f"{error.message.rstrip('.')}.", fix=error.hint)]
    return [*of_keys(keys, now=time.time(), needs_one=needs_one)], found


def _kept_in(database: Database) -> list[KeyEntry]:
    """The keys in a database; none if it is not there, which does not make it."""
    try:
        return [key_entry(key) for key in Keys(database).all()] if database.look() else []
    finally:
        database.close()


def _summary(told: Told) -> str:
    counted = Counter(finding.level for _, finding in told)
    numbers = [_times(counted[level], level) for level in LEVELS if counted[level]]
    return f"{', '.join(numbers)}."


def _times(number: int, level: Level) -> str:
    return f"{number} {level}{'' if number == 1 or level == 'ok' else 's'}"
