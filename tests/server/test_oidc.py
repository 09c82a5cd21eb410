"""A server takes the tokens of the identity provider that its settings name, beside keys."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from access.identity_provider import AUDIENCE, FakeProvider, providing
from hayserve.errors import Misconfigured
from hayserve.server.app import create_app
from hayserve.server.oidc import may_ask
from server.serving import Server, put, serving, settings_in, wrapper

WHO = wrapper(
    "def run_api(self) -> dict[str, Any]:\n"
    "    who = current_caller()\n"
    "    return {'kind': who.kind, 'name': who.name, **who.claims}",
    top="from hayserve import current_caller",
)
ISSUER = "https://login.example/realms/us"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with providing() as fake:
        yield fake


def configured(fake: FakeProvider, **settings: Any) -> dict[str, Any]:
    return {
        "insecure": False,
        "oidc_issuer": fake.issuer,
        "oidc_audience": AUDIENCE,
        "oidc_scope_prefix": "hayserve:",
        "oidc_claims": ["email"],
        **settings,
    }


@pytest.fixture
def server(tmp_path: Path, fake: FakeProvider) -> Iterator[Server]:
    put(tmp_path / "pipelines" / "who", WHO)
    with serving(tmp_path, **configured(fake, require_key=True)) as server:
        yield server


def ask(server: Server, token: str, path: str = "/who/run", **fields: Any) -> Any:
    return server.http.post(path, json=fields, headers={"authorization": f"Bearer {token}"})


def test_a_wrapper_knows_who_shows_a_token(server: Server, fake: FakeProvider) -> None:
    token = fake.token(scope="openid hayserve:run:who", email="a@b.example", groups=["staff"])
    for _ in range(2):
        answer = ask(server, token)
        assert answer.status_code == 200
        assert answer.json()["result"] == {"kind": "token", "name": "ada", "email": "a@b.example"}
    assert server.http.post("/who/run", json={}, headers={"x-api-key": token}).status_code == 200
    assert fake.times_asked == 1


@pytest.mark.parametrize(
    ("claims", "run", "deploy"),
    [
        ({"scope": "hayserve:run"}, 200, 403),
        ({"scope": "hayserve:run:who"}, 200, 403),
        ({"scope": "hayserve:run:other"}, 403, 403),
        ({"scope": "hayserve:admin"}, 200, 422),
        ({"scope": "run deploy admin"}, 403, 403),
        ({"scope": None}, 403, 403),
        ({"scope": "hayserve:admin", "exp": timedelta(seconds=-60)}, 401, 401),
        ({"scope": "hayserve:admin", "aud": "other"}, 401, 401),
        ({"scope": "hayserve:admin", "iss": "https://else.example"}, 401, 401),
    ],
    ids=range(9),
)
def test_a_token_allows_what_its_scopes_say(
    server: Server, fake: FakeProvider, *, claims: dict[str, Any], run: int, deploy: int
) -> None:
    token = fake.token(**claims)
    assert ask(server, token).status_code == run
    assert ask(server, token, "/deploy_files").status_code == deploy


def test_a_refused_token_is_told_why(server: Server, fake: FakeProvider) -> None:
    refused = ask(server, fake.token(exp=1))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["detail"] == "This token has expired."


def test_a_token_cannot_be_verified_while_the_provider_is_away(
    server: Server, fake: FakeProvider
) -> None:
    fake.status = 500
    assert ask(server, fake.token()).status_code == 503
    assert ask(server, "not.a.token").status_code == 401
    assert server.http.get("/status").status_code == 401


def test_on_loopback_only_what_is_no_token_of_the_provider_is_a_guest(
    tmp_path: Path, fake: FakeProvider
) -> None:
    put(tmp_path / "pipelines" / "who", WHO)
    with serving(tmp_path, **configured(fake)) as server:
        assert ask(server, "not.a.token").json()["result"] == {"kind": "nobody", "name": ""}
        assert ask(server, fake.token(iss="https://else.example")).status_code == 200
        assert ask(server, fake.token(exp=1)).status_code == 401


def test_an_insecure_server_refuses_no_token(tmp_path: Path, fake: FakeProvider) -> None:
    put(tmp_path / "pipelines" / "who", WHO)
    with serving(tmp_path, **configured(fake, insecure=True)) as server:
        assert ask(server, fake.token(exp=1)).json()["result"]["kind"] == "nobody"
        told = ask(server, fake.token(scope="hayserve:run")).json()["result"]
        assert told["kind"] == "token"


def refused(folder: Path, **settings: Any) -> Misconfigured:
    with pytest.raises(Misconfigured) as error:
        create_app(settings_in(folder, **settings))
    return error.value


def test_an_issuer_needs_an_audience_and_the_other_way_round(tmp_path: Path) -> None:
    assert "OIDC_AUDIENCE is not" in refused(tmp_path, oidc_issuer=ISSUER).message
    for name in ("oidc_audience", "oidc_jwks_url"):
        assert "OIDC_ISSUER is not" in refused(tmp_path, **{name: ISSUER}).message
    create_app(settings_in(tmp_path, oidc_issuer="", oidc_audience=""))
    create_app(settings_in(tmp_path, oidc_issuer=ISSUER, oidc_audience="a", oidc_jwks_url=""))


def test_keys_that_others_could_change_on_their_way_are_not_asked_for(tmp_path: Path) -> None:
    plain = "http://login.example"
    error = refused(tmp_path, oidc_issuer=plain, oidc_audience="a")
    assert error.message == "HAYSERVE_OIDC_ISSUER: 'http://login.example' is no https URL."
    error = refused(tmp_path, oidc_issuer=ISSUER, oidc_audience="a", oidc_jwks_url=plain)
    assert error.param == "oidc_jwks_url"


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://login.example/keys", True),
        ("http://localhost:8080/keys", True),
        ("http://[::1]:8080", True),
        ("http://login.example", False),
        ("https://", False),
        ("file:///etc/passwd", False),
        ("https://[x", False),
        ("None", False),
    ],
)
def test_only_urls_that_nobody_else_answers_are_asked(*, url: str, may: bool) -> None:
    assert may_ask(url) is may


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_what_is_missing_can_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    error = refused(tmp_path, oidc_issuer=ISSUER, oidc_audience="a")
    assert error.hint == 'pip install "hayserve[oidc]"'


def test_nothing_for_tokens_is_imported_without_them(tmp_path: Path) -> None:
    code = (
        "import sys; from hayserve.server.app import create_app; create_app(); "
        "assert not {'jwt', 'hayserve.access.tokens'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path)
