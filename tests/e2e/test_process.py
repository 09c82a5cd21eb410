"""`hayserve run` as a process on a port: its start, its stop, and the command line against it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from e2e.started import Process, environment_in, hayserve, running
from server.serving import greeting, put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

COUNTING = wrapper(
    """
    def run_api(self, n: int = 3, pace: float = 0.0) -> Any:
        for number in range(n):
            time.sleep(pace)
            yield f"{number} "
    """,
    top="import time",
)
SLEEPING = wrapper(
    """
    def run_api(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"
    """,
    top="import time",
)


HUNG = "def run_api(self) -> str:\n    return ''"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("server")
    put(folder / "pipelines" / "counting", COUNTING)
    put(folder / "pipelines" / "sleeping", SLEEPING)
    with running(folder, "--port", "0") as process:
        yield process


def test_it_serves_what_the_pipelines_folder_holds(server: Process) -> None:
    assert server.http.get("/readyz").json()["status"] == "ready"
    assert server.run("counting", n=3).text == "0 1 2 "
    assert server.run("sleeping", seconds=0).json() == {"result": "slept"}
    head = server.http.head("/status")
    assert (head.status_code, head.content) == (200, b"")
    assert "server" not in head.headers
    assert server.http.options("/counting/run").headers["allow"] == "POST"


def test_both_addresses_of_localhost_answer(server: Process) -> None:
    for family, _, _, _, address in socket.getaddrinfo("localhost", server.port):
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(address)
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"


def test_the_command_line_deploys_to_it(server: Process, tmp_path: Path) -> None:
    folder = put(tmp_path / "greeter", greeting("one"))
    deployed = server.command("deploy", str(folder), "--alias", "hello")
    assert deployed.returncode == 0, deployed.stderr
    assert server.run("hello").json() == {"result": "one"}

    put(folder, greeting("two"))
    refused = server.command("deploy", str(folder))
    assert refused.returncode == 1
    assert "Pipeline 'greeter' already exists." in refused.stderr
    assert server.command("deploy", str(folder), "--overwrite").returncode == 0
    assert server.run("greeter").json() == {"result": "two"}

    put(folder, "import nowhere_at_all")
    broken = server.command("deploy", str(folder), "--overwrite")
    assert broken.returncode == 1
    assert "No module named 'nowhere_at_all'" in broken.stderr
    assert server.run("greeter").json() == {"result": "two"}

    assert server.command("undeploy", "greeter").returncode == 0
    assert server.run("greeter").status_code == 404


def test_only_the_user_can_read_the_key_that_deploying_needs(server: Process) -> None:
    assert server.key_file.stat().st_mode & 0o777 == 0o600
    body = {"name": "x", "files": {"pipeline_wrapper.py": greeting("x")}}
    assert server.http.post("/deploy_files", json=body).status_code == 401
    headers = {"authorization": f"Bearer {server.key_file.read_text()}"}
    assert server.http.post("/deploy_files", json=body, headers=headers).status_code == 200


def test_a_caller_that_leaves_a_stream_stops_its_run(server: Process) -> None:
    with server.http.stream("POST", "/counting/run", json={"n": 10**9}) as response:
        assert next(response.iter_text())
    # The thread of the run is free again, or the server could not stop at the end of the tests.
    assert server.run("counting", n=1).text == "0 "


def test_a_port_that_is_taken_is_refused_and_the_first_server_keeps_its_key(
    server: Process,
) -> None:
    key = server.key_file.read_text()
    refused = hayserve(server.folder, "run", "--port", str(server.port))
    assert refused.returncode == 1
    assert f"Port {server.port} of 'localhost' is taken." in refused.stderr
    assert server.key_file.read_text() == key


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_is_refused(tmp_path: Path, host: str) -> None:
    refused = hayserve(tmp_path, "run", "--host", host, "--port", "0")
    assert refused.returncode == 1
    assert f"Listening on '{host}' would let others on the network reach" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_insecure_listens_everywhere_and_asks_nobody(tmp_path: Path) -> None:
    with running(tmp_path, "--host", "0.0.0.0", "--port", "0", "--insecure") as server:
        body = {"name": "x", "files": {"pipeline_wrapper.py": greeting("x")}}
        assert server.http.post("/deploy_files", json=body).status_code == 200
        assert server.run("x").json() == {"result": "x"}
        assert not server.key_file.exists()


def test_a_path_and_its_names_are_served_and_loaded_again_when_it_changes(tmp_path: Path) -> None:
    folder = put(tmp_path / "greeter", greeting("one"))
    words = [str(folder), "--name", "hi", "--alias", "hello", "--reload", "--port", "0"]
    with running(tmp_path, *words) as server:
        assert server.run("hello").json() == {"result": "one"}
        put(folder, greeting("two"))
        deadline = time.monotonic() + 30
        while server.run("hi").json() != {"result": "two"}:
            assert time.monotonic() < deadline, server.log.read_text()
            time.sleep(0.05)


def test_a_stream_that_is_under_way_when_the_server_stops_is_ended_with_the_reason(
    tmp_path: Path,
) -> None:
    put(tmp_path / "pipelines" / "counting", COUNTING)
    put(tmp_path / "pipelines" / "sleeping", SLEEPING)
    settings = {"HAYHOOKS_GRACEFUL_SHUTDOWN_TIMEOUT": "1"}
    with running(tmp_path, "--port", "0", **settings) as server:
        key_file = server.key_file
        body = {"n": 1000, "pace": 0.05}
        with server.http.stream("POST", "/counting/run", json=body) as response:
            text = response.iter_text()
            heard = next(text)
            server.process.send_signal(signal.SIGTERM)
            heard += "".join(text)
        assert heard.startswith("0 1 2 ")
        assert "\n[error] The run was stopped: the server is stopping." in heard
        server.process.wait(timeout=10)
    assert "Traceback" not in server.log.read_text()
    assert not key_file.exists()


def test_a_run_that_is_under_way_when_the_server_stops_is_answered(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "sleeping", SLEEPING)
    settings = {"HAYSERVE_GRACEFUL_SHUTDOWN_TIMEOUT": "0"}
    with running(tmp_path, "--port", "0", **settings) as server:
        with socket.create_connection(("localhost", server.port), timeout=20) as caller:
            caller.sendall(
                b"POST /sleeping/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n"
                b"Content-Type: application/json\r\n\r\n"
                b'{"seconds": 60}'
            )
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            answer = b"".join(iter(lambda: caller.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"The server is stopping." in answer
        # A thread that sleeps does not keep the process.
        server.process.wait(timeout=10)
    assert "Traceback" not in server.log.read_text()


def test_an_application_can_be_served_by_a_program(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "greeter", greeting("hi"))
    program = tmp_path / "program.py"
    program.write_text(
        "from hayserve import create_app, run_app\n"
        "def ready(_):\n    print('hayserve listens at', 'http://localhost:1', flush=True)\n"
        "app = create_app(when_loaded=ready)\n"
        "run_app(app, port=0)\n"
    )
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, str(program)],
            cwd=tmp_path,
            env=environment_in(tmp_path),
            stdout=output,
            stderr=output,
        )
    try:
        keys = tmp_path / "state" / "hayserve"
        deadline = time.monotonic() + 60
        while "hayserve listens" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        [key] = keys.iterdir()
        port = int(key.stem.rpartition("-")[2])
        answer = httpx2.post(f"http://localhost:{port}/greeter/run", json={}, trust_env=False)
        assert answer.json() == {"result": "hi"}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
    assert list(keys.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_code_that_hangs_does_not_keep_the_process(tmp_path: Path, sent: signal.Signals) -> None:
    setup = "print('hung at', 'http://localhost:1', flush=True)\ntime.sleep(600)"
    put(tmp_path / "pipelines" / "hung", wrapper(HUNG, top="import time", setup=setup))
    with running(tmp_path, "--port", "0", says="hung at") as server:
        server.process.send_signal(sent)
        server.process.wait(timeout=15)
    assert "Traceback" not in server.log.read_text()
