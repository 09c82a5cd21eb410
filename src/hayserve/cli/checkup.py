"""What the settings of a server leave open, and to whom."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Final

from hayserve.cli.finding import Finding, Level
from hayserve.errors import Misconfigured
from hayserve.server.callers import name_in
from hayserve.server.oidc import tokens_of
from hayserve.server.sockets import is_loopback
from hayserve.settings import PREFIX, Settings

# More than this is rarely meant; each of these is what one stranger can have a server hold.
_LARGE: Final = (
    ("max_body_mb", 1_000),
    ("max_upload_mb", 10_000),
    ("max_header_kb", 1_024),
    ("header_timeout", 300),
    ("body_timeout", 600),
    ("max_runs", 50_000),
    ("max_waiting", 100_000),
    ("threads", 10_000),
    ("max_bundle_mb", 10_000),
    ("max_bundle_files", 1_000_000),
)
# Origins that nobody means; a pattern that fits both fits any.
_STRANGERS: Final = ("https://a.page.invalid", "http://192.0.2.7:8080")


def has_open_door(settings: Settings) -> bool:
    """Whether callers on the server's own machine may run without a key."""
    return not settings.insecure and is_loopback(settings.host) and not settings.require_key


def of_settings(settings: Settings) -> Iterator[Finding]:
    """What the settings leave open."""
    yield from _reach(settings)
    yield from _door(settings)
    yield from _pages(settings)
    yield from _provider(settings)
    yield from _limits(settings)
    if settings.show_tracebacks:
        yield Finding(
            "warning",
            "Whoever may run a deployment is shown its tracebacks, with paths and lines of code.",
            fix="HAYSERVE_SHOW_TRACEBACKS=0; the log has them in any case",
        )


def of_forwarded(trusted: Sequence[str] | str, *, is_open: bool) -> Finding:
    """Who is believed about where a request comes from.

    Args:
        trusted: Addresses and networks of proxies, as uvicorn has them.
        is_open: Whether callers on the server's own machine may run without a key.
    """
    listed = trusted if isinstance(trusted, str) else ",".join(trusted)
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if "*" in names:
        what = "`X-Forwarded-For` is believed whoever says it: the addresses in the log, in "
        what += "`hayserve runs` and in histories are what callers say."
        if is_open:
            what += " Through a proxy that asks for `localhost` they may run without a key, too."
        return Finding("warning", what, fix="FORWARDED_ALLOW_IPS=127.0.0.1, or your proxy's")
    whom = " and ".join(names) if names else "nobody"
    if is_open and not any(map(is_loopback, names)):
        return Finding(
            "warning",
            f"`X-Forwarded-For` is believed from {whom}, and not from a proxy on this machine: "
            "whom that serves are callers from here, and may run without a key.",
            fix="FORWARDED_ALLOW_IPS=127.0.0.1,::1 or HAYSERVE_REQUIRE_KEY=1",
        )
    return Finding("ok", f"`X-Forwarded-For` and `X-Forwarded-Proto` are believed from {whom}.")


def of_variables(without_meaning: Sequence[str]) -> Iterator[Finding]:
    """What is set and read by nobody: a slip in its name leaves open what it should close."""
    known = [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]
    for name in without_meaning:
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        fix = f"Is {near[0]} meant?" if near else f"unset {name}"
        level: Level = "warning" if near and name.startswith(PREFIX) else "note"
        yield Finding(level, f"{name} is set, and nothing reads it.", fix=fix)


def of_user(*, is_root: bool) -> Finding:
    """Whose rights deployed code has."""
    if is_root:
        return Finding(
            "warning",
            "This is root. A server that it starts runs deployed code as root.",
            fix="Start the server as a user of its own.",
        )
    return Finding("ok", "This is not root; deployed code has the rights of the server's user.")


def _reach(settings: Settings) -> Iterator[Finding]:
    if settings.insecure:
        yield Finding(
            "danger",
            "HAYSERVE_INSECURE is set: whoever reaches the server may do everything, also deploy, "
            "and so run code as its user. So may every page in a browser that reaches it.",
            fix="unset HAYSERVE_INSECURE; hayserve keys create NAME --scope run",
        )
    if is_loopback(settings.host):
        yield Finding("ok", f"It listens on {settings.host!r}: only this machine reaches it.")
    else:
        yield Finding(
            "warning",
            f"It listens on {settings.host!r}, without TLS: whoever is on the network reaches it, "
            "and whoever is on the way can read keys and answers.",
            fix="HAYSERVE_HOST=localhost and a proxy with TLS before it (docs/security.md)",
        )


def _door(settings: Settings) -> Iterator[Finding]:
    if not has_open_door(settings):
        if not settings.insecure:
            yield Finding("ok", "Running needs a key, like everything else.")
        return
    yield Finding(
        "note",
        "Running needs no key here: every program and every user of this machine may run what is "
        "deployed. All else needs one.",
        fix="HAYSERVE_REQUIRE_KEY=1",
    )
    yield Finding(
        "warning" if settings.root_path else "note",
        "A proxy on this machine that hands neither the `Host` on nor, as `X-Forwarded-For`, the "
        "address makes all whom it serves callers from here.",
        fix="HAYSERVE_REQUIRE_KEY=1; nginx: proxy_set_header Host $host",
    )
    if settings.open_hosts:
        yield Finding(
            "warning",
            f"Callers without a key may run under {_all(settings.open_hosts)}, too: whoever "
            "reaches the server by such a name.",
            fix="unset HAYSERVE_OPEN_HOSTS",
        )


def _pages(settings: Settings) -> Iterator[Finding]:
    origins, pattern = settings.cors_allow_origins, settings.cors_allow_origin_regex
    if not origins and not pattern:
        if not settings.insecure:
            yield Finding("ok", "Pages of other origins in a browser may not call.")
        return
    if "*" in origins:
        yield _any_page(settings, "HAYSERVE_CORS_ALLOW_ORIGINS has `*`")
    elif origins:
        yield Finding("note", f"Pages of {_all(origins)} may call.")
    if plain := [one for one in origins if _is_plain(one)]:
        yield Finding(
            "warning",
            f"Pages of {_all(plain)} may call, and whoever is on the way can change such a page.",
            fix="Name https origins only in HAYSERVE_CORS_ALLOW_ORIGINS.",
        )
    if pattern:
        yield _pattern(settings, pattern)


def _any_page(settings: Settings, why: str) -> Finding:
    if has_open_door(settings) or settings.cors_allow_credentials:
        how = "with the browser's cookies" if settings.cors_allow_credentials else "without a key"
        return Finding(
            "danger",
            f"{why}: every page that is open in a browser which reaches the server may run what "
            f"is deployed, {how}.",
            fix="HAYSERVE_CORS_ALLOW_ORIGINS='[\"https://your.page\"]'",
        )
    return Finding(
        "warning",
        f"{why}: every page may call that has a key.",
        fix="HAYSERVE_CORS_ALLOW_ORIGINS='[\"https://your.page\"]'",
    )


def _is_plain(origin: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return origin == "null" or (scheme == "http" and not is_loopback(name_in(rest)))


def _pattern(settings: Settings, pattern: str) -> Finding:
    try:
        is_any = all(re.fullmatch(pattern, origin) for origin in _STRANGERS)
    except re.error as error:
        return Finding(
            "warning",
            f"HAYSERVE_CORS_ALLOW_ORIGIN_REGEX is no pattern ({error}): no server starts with it.",
            fix=r"HAYSERVE_CORS_ALLOW_ORIGIN_REGEX='https://\w+\.your\.page'",
        )
    if is_any:
        return _any_page(settings, "HAYSERVE_CORS_ALLOW_ORIGIN_REGEX fits every origin")
    return Finding("note", f"Pages of origins that {pattern!r} fits may call.")


def _provider(settings: Settings) -> Iterator[Finding]:
    try:
        taken = tokens_of(settings) is not None
    except Misconfigured as error:
        yield Finding("warning", f"{error.message} No server starts so.", fix=error.hint)
        return
    if not taken:
        yield Finding("ok", "Only keys are taken: no identity provider is set.")
        return
    yield Finding(
        "ok", f"Tokens of {settings.oidc_issuer} for {settings.oidc_audience!r} are taken."
    )
    if str(settings.oidc_issuer).startswith("http://"):
        yield Finding(
            "note",
            "The identity provider is asked without TLS: it has to be on this machine.",
            fix="HAYSERVE_OIDC_ISSUER=https://...",
        )
    if not settings.oidc_scope_prefix:
        yield Finding(
            "note",
            "Whom the provider gives a scope named `run`, `deploy` or `admin` has it here, "
            "whatever it was meant for.",
            fix="HAYSERVE_OIDC_SCOPE_PREFIX=hayserve:",
        )


def _limits(settings: Settings) -> Iterator[Finding]:
    raised = [(name, most) for name, most in _LARGE if getattr(settings, name) > most]
    for name, most in raised:
        told = str(Settings.model_fields[name].description).rstrip(".")
        usual = Settings.model_fields[name].default
        yield Finding(
            "warning",
            f"`{name}` is {getattr(settings, name):g}: {told[0].lower()}{told[1:]}. A few "
            "callers may have the server hold more than it can.",
            fix=f"{PREFIX}{name.upper()}={usual:g}, or at most {most:g}",
        )
    if not raised:
        yield Finding("ok", "No limit of requests or runs was raised beyond measure.")
    if not settings.run_timeout:
        yield Finding(
            "note", "Runs may take for ever.", fix="HAYSERVE_RUN_TIMEOUT=3600, in seconds"
        )


def _all(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
