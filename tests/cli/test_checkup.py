"""What the settings of a server leave open."""

from collections.abc import Iterator
from typing import Any

import pytest

from hayserve.cli.checkup import of_forwarded, of_settings, of_user, of_variables
from hayserve.cli.finding import Finding
from hayserve.settings import load

ISSUER: dict[str, Any] = {"oidc_issuer": "https://login.example", "oidc_audience": "hayserve"}


def found(**settings: Any) -> dict[str, Finding]:
    """The findings by the first words of each."""
    return {finding.what[:30]: finding for finding in of_settings(load(**settings))}


def levels(**settings: Any) -> list[str]:
    return sorted({finding.level for finding in found(**settings).values()} - {"ok", "note"})


def starting(words: str, **settings: Any) -> list[Finding]:
    return [one for one in of_settings(load(**settings)) if one.what.startswith(words)]


def all_of(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in findings]


def test_a_server_as_it_comes_is_closed_but_for_running_on_its_own_machine() -> None:
    key = "Running needs no key here: every program and every user of this machine may run what is "
    proxy = "A proxy on this machine that hands neither the `Host` on nor, as `X-Forwarded-For`, "

    assert [(one.level, one.what) for one in of_settings(load())] == [
        ("ok", "It listens on 'localhost': only this machine reaches it."),
        ("note", f"{key}deployed. All else needs one."),
        ("note", f"{proxy}the address makes all whom it serves callers from here."),
        ("ok", "Pages of other origins in a browser may not call."),
        ("ok", "Only keys are taken: no identity provider is set."),
        ("ok", "No limit of requests or runs was raised beyond measure."),
    ]


def test_each_thing_to_think_of_has_a_fix() -> None:
    assert [one.what for one in of_settings(load()) if one.level != "ok" and not one.fix] == []


def test_an_insecure_server_is_a_danger_wherever_it_listens() -> None:
    (insecure,) = starting("HAYSERVE_INSECURE is set", insecure=True)

    assert insecure.level == "danger"
    assert insecure.fix == "unset HAYSERVE_INSECURE; hayserve keys create NAME --scope run"
    assert [one.what for one in of_settings(load(insecure=True)) if "a key" in one.what] == []


def test_a_server_that_others_reach_has_no_tls() -> None:
    (reach,) = starting("It listens on '0.0.0.0', without TLS", host="0.0.0.0")

    assert reach.level == "warning"
    assert starting("Running needs a key, like everything else.", host="0.0.0.0")


def test_running_can_need_a_key_on_loopback_too() -> None:
    assert starting("Running needs a key, like everything else.", require_key=True)
    assert starting("A proxy on this machine", require_key=True) == []


def test_a_root_path_says_that_there_is_a_proxy() -> None:
    (proxy,) = starting("A proxy on this machine", root_path="/ai")

    assert proxy.level == "warning"


def test_names_under_which_anybody_may_run_are_told() -> None:
    (names,) = starting("Callers without a key", open_hosts=["box.lan", "box"])

    assert names == Finding(
        "warning",
        "Callers without a key may run under 'box.lan', 'box', too: whoever reaches the server by "
        "such a name.",
        fix="unset HAYSERVE_OPEN_HOSTS",
    )
    assert starting("Callers without a key", open_hosts=["box"], require_key=True) == []


@pytest.mark.parametrize(
    "cors",
    [
        {"cors_allow_origins": ["*"]},
        {"cors_allow_origin_regex": ".*"},
        {"cors_allow_origin_regex": "https?://.+"},
    ],
)
def test_pages_of_any_origin_are_a_danger_where_nobody_needs_a_key(cors: dict[str, Any]) -> None:
    assert levels(**cors) == ["danger"]
    assert levels(**cors, require_key=True) == ["warning"]
    assert levels(**cors, require_key=True, cors_allow_credentials=True) == ["danger"]


def test_pages_of_any_origin_may_have_what_the_browser_has() -> None:
    (cookies,) = starting(
        "HAYSERVE_CORS_ALLOW_ORIGINS has `*`",
        cors_allow_origins=["*"],
        cors_allow_credentials=True,
    )
    (key,) = starting("HAYSERVE_CORS_ALLOW_ORIGINS has `*`", cors_allow_origins=["*"])

    assert cookies.what.endswith("may run what is deployed, with the browser's cookies.")
    assert key.what.endswith("may run what is deployed, without a key.")


def test_origins_that_are_named_are_told() -> None:
    (pages,) = starting("Pages of", cors_allow_origins=["https://a.example"])
    (more,) = starting("Pages of", cors_allow_origin_regex=r"https://\w+\.a\.example")

    assert pages == Finding("note", "Pages of 'https://a.example' may call.")
    assert more.level == "note"


@pytest.mark.parametrize("origin", ["http://a.example", "http://a.example:8080", "null"])
def test_a_page_that_others_can_change_is_told(origin: str) -> None:
    _, plain = starting("Pages of", cors_allow_origins=[origin])

    assert plain.level == "warning"
    assert "can change such a page" in plain.what


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"])
def test_a_page_of_this_machine_is_no_worry(origin: str) -> None:
    assert levels(cors_allow_origins=[origin]) == []


def test_what_is_no_pattern_is_told() -> None:
    (broken,) = starting("HAYSERVE_CORS_ALLOW_ORIGIN_REGEX is no", cors_allow_origin_regex="(")

    assert broken.level == "warning"


def test_an_insecure_server_lets_pages_in_and_nothing_else_is_said_of_them() -> None:
    assert starting("Pages of other origins", insecure=True) == []


def test_tokens_of_a_provider_are_told_and_what_their_scopes_may_be() -> None:
    said = all_of(one for one in of_settings(load(**ISSUER)) if "oken" in one.what)

    assert said == [("ok", "Tokens of https://login.example for 'hayserve' are taken.")]
    assert starting("Whom the provider gives", **ISSUER)
    assert starting("Whom the provider gives", **ISSUER, oidc_scope_prefix="hs:") == []


def test_a_provider_without_tls_is_told() -> None:
    assert starting("The identity provider is asked", **{**ISSUER, "oidc_issuer": "http://[::1]:8"})


@pytest.mark.parametrize(
    "broken",
    [
        {"oidc_issuer": "http://login.example", "oidc_audience": "x"},
        {"oidc_issuer": "https://login.example"},
        {"oidc_audience": "x"},
    ],
)
def test_a_provider_that_cannot_be_used_is_told(broken: dict[str, Any]) -> None:
    (told,) = [one for one in of_settings(load(**broken)) if one.level == "warning"]

    assert told.what.endswith(" No server starts so.")
    assert told.fix


def test_limits_beyond_measure_are_told() -> None:
    said = found(max_body_mb=5_000, max_runs=100_000, header_timeout=3600)
    told = [one for one in said.values() if one.level == "warning"]

    assert [one.what.partition(":")[0] for one in told] == [
        "`max_body_mb` is 5000",
        "`header_timeout` is 3600",
        "`max_runs` is 100000",
    ]
    assert told[0].fix == "HAYSERVE_MAX_BODY_MB=20, or at most 1000"


def test_runs_without_an_end_are_told() -> None:
    assert starting("Runs may take for ever.", run_timeout=0)


def test_tracebacks_are_shown_to_whoever_may_run() -> None:
    (told,) = starting("Whoever may run a deployment", show_tracebacks=True)

    assert told.level == "warning"


@pytest.mark.parametrize("trusted", ["*", ["*"], "10.0.0.1, *"])
def test_whoever_is_believed_may_come_from_anywhere(trusted: str | list[str]) -> None:
    open_door, closed = (of_forwarded(trusted, is_open=is_open) for is_open in (True, False))

    assert (open_door.level, closed.level) == ("warning", "warning")
    assert "they may run without a key, too" in open_door.what
    assert "without a key" not in closed.what


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
def test_a_proxy_on_this_machine_should_be_believed_about_whom_it_serves(trusted: str) -> None:
    assert of_forwarded(trusted, is_open=True).level == "warning"


def test_a_proxy_that_is_believed_is_named() -> None:
    assert of_forwarded("127.0.0.1,10.0.0.0/8", is_open=True) == Finding(
        "ok",
        "`X-Forwarded-For` and `X-Forwarded-Proto` are believed from 127.0.0.1 and 10.0.0.0/8.",
    )
    assert of_forwarded("", is_open=False).what.endswith("believed from nobody.")


def test_a_variable_that_nobody_reads_may_be_a_slip() -> None:
    said = list(
        of_variables(["HAYSERVE_REQUIER_KEY", "HAYHOOKS_DURABLE_MODE", "HAYHOOKS_REQUIRE_KEYS"])
    )

    assert said == [
        Finding(
            "warning",
            "HAYSERVE_REQUIER_KEY is set, and nothing reads it.",
            fix="Is HAYSERVE_REQUIRE_KEY meant?",
        ),
        Finding(
            "note",
            "HAYHOOKS_DURABLE_MODE is set, and nothing reads it.",
            fix="unset HAYHOOKS_DURABLE_MODE",
        ),
        Finding(
            "note",
            "HAYHOOKS_REQUIRE_KEYS is set, and nothing reads it.",
            fix="unset HAYHOOKS_REQUIRE_KEYS",
        ),
    ]


def test_root_should_not_serve() -> None:
    assert of_user(is_root=True).level == "warning"
    assert of_user(is_root=False).level == "ok"
