"""Commands find their server and its key."""

from pathlib import Path

import pytest

from hayserve.cli.connect import connect
from hayserve.cli.flags import Reach
from hayserve.errors import Misconfigured, ServerUnreachable
from hayserve.settings import local_key_file


@pytest.fixture(autouse=True)
def away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def url_of(given: Reach) -> str:
    with connect(given) as client:
        return client.url


def test_without_any_word_it_is_the_usual_address() -> None:
    assert url_of(Reach()) == "http://localhost:1416"


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"HAYSERVE_URL": "https://agents.example/api/"}, "https://agents.example/api"),
        ({"HAYSERVE_HOST": "example.org", "HAYSERVE_PORT": "80"}, "http://example.org:80"),
        ({"HAYHOOKS_HOST": "example.org", "HAYHOOKS_PORT": "81"}, "http://example.org:81"),
        ({"HAYHOOKS_USE_HTTPS": "true"}, "https://localhost:1416"),
        ({"HAYHOOKS_ROOT_PATH": "/api/"}, "http://localhost:1416/api"),
        ({"HAYSERVE_HOST": "::1"}, "http://[::1]:1416"),
        ({"HAYSERVE_HOST": "0.0.0.0", "HAYSERVE_ROOT_PATH": "/a"}, "http://localhost:1416/a"),
        ({"HAYSERVE_HOST": "::"}, "http://localhost:1416"),
        ({"HAYSERVE_URL": "http://0.0.0.0/"}, "http://localhost"),
    ],
)
def test_the_environment_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert url_of(Reach()) == url


def test_the_flag_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAYSERVE_URL", "http://elsewhere")
    assert url_of(Reach(url="http://here")) == "http://here"


@pytest.mark.parametrize(
    "url", ["localhost:1416", "http://", "http://a:b", "ftp://a", "http://a:0"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="is not the URL of a server"):
        connect(Reach(url=url))


def authorization(given: Reach) -> str | None:
    with connect(given) as client:
        shown: str | None = client.status()["authorization"]
    return shown


def test_a_key_comes_from_the_flag_and_else_from_the_environment(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAYSERVE_KEY", "from env")
    assert authorization(Reach(url=server_url)) == "Bearer from env"
    assert authorization(Reach(url=server_url, key="from flag")) == "Bearer from flag"


def test_a_server_on_this_machine_left_its_key_in_a_file(server_url: str) -> None:
    assert authorization(Reach(url=server_url)) is None
    file = local_key_file(int(server_url.rpartition(":")[2]))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("from file\n")
    assert authorization(Reach(url=server_url)) == "Bearer from file"


def test_a_server_that_listens_everywhere_is_on_this_machine(server_url: str) -> None:
    port = int(server_url.rpartition(":")[2])
    file = local_key_file(port)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("from file")
    assert authorization(Reach(url=f"http://0.0.0.0:{port}")) == "Bearer from file"


def test_the_file_with_the_key_can_be_named(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from named file")
    monkeypatch.setenv("HAYSERVE_KEY_FILE", str(tmp_path / "key"))
    assert authorization(Reach(url=server_url)) == "Bearer from named file"


def hint_of(url: str, *ports: str) -> str:
    for port in ports:
        file = local_key_file(1).with_name(f"local-{port}.key")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("key")
    with connect(Reach(url=url)) as client, pytest.raises(ServerUnreachable) as refused:
        client.status()
    return refused.value.hint


def test_a_server_on_another_port_is_spoken_of(closed_url: str) -> None:
    own = closed_url.rpartition(":")[2]
    hint = hint_of(closed_url, own, "1466", "99", "odd")
    assert hint.endswith(" A server of yours may run on port 99 or 1466.")


def test_where_no_server_left_a_key_none_is_spoken_of(closed_url: str) -> None:
    assert "may run" not in hint_of(closed_url, closed_url.rpartition(":")[2])
