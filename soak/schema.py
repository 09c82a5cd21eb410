"""Sends requests made from the server's own description, right ones and wrong ones alike.

    python -m soak.schema --cases 20000
    python -m soak.schema --cases 100000 --all
    python -m soak.schema --cases 20000 --openai openapi.json

None may make it fail, and each has to be answered as `/openapi.json` says: with a status, a type of
content and a body that are described. Where a request names a model or something that is kept, it
is mostly one that is there: what random names give is known soon. With `--all`, all routes are
asked, those of operators too, by one who may do everything. With `--openai`, requests are
made from OpenAI's description in that file, and answered as it says; what is sent wrong and taken
all the same, because this server takes more, may be repeated in the answer.
"""

import argparse
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx2
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from soak.openai_description import openai_description
from soak.server import Server, serving, table

PATHS = r"^/v1/|^/(echo|agent)/run$"
AT_ONCE = 50
PATIENCE_SECONDS = 30
KNOWN_PERCENT = 80
CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SOURCES = {
    "echo": """
from hayserve import BasePipelineWrapper

class PipelineWrapper(BasePipelineWrapper):
    def setup(self):
        pass

    def run_api(self, text: str = "", times: int = 1) -> str:
        return text

    def run_chat_completion(self, model, messages, body):
        yield "Hello "
        yield "you."

    def run_embedding(self, model, texts, body):
        return [[float(len(text))] for text in texts]
""",
    "agent": """
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from hayserve import BasePipelineWrapper, chat_messages_from_openai, streaming_generator

class PipelineWrapper(BasePipelineWrapper):
    generation_parameters = ("temperature", "top_p")

    def setup(self):
        self.agent = Agent(chat_generator=MockChatGenerator())

    def run_api(self, numbers: list[float]) -> float:
        return sum(numbers)

    def run_chat_completion(self, model, messages, body):
        said = chat_messages_from_openai(messages)
        return streaming_generator(self.agent, pipeline_run_args={"messages": said})
""",
}


@dataclass
class Seen:
    """What was answered.

    Args:
        statuses: How often each operation was answered with each status.
        wrong: What should not have been answered, with the request that did it first.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    requests: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def __str__(self) -> str:
        operations = sorted({operation for operation, _ in self.statuses})
        titles = ("operation", "cases", "2xx", "4xx", "5xx", "wrong")
        rows: list[Sequence[object]] = [titles]
        for operation in operations:
            of = {status: n for (name, status), n in self.statuses.items() if name == operation}
            wrong = sum(n for (name, _), n in self.wrong.items() if name == operation)
            classes = [
                sum(n for status, n in of.items() if status // 100 == kind) for kind in (2, 4, 5)
            ]
            rows.append((operation, sum(of.values()), *classes, wrong))
        problems = [
            f"{n} times {operation}: {what}\n  {self.requests[operation, what]}"
            for (operation, what), n in self.wrong.most_common()
        ]
        return "\n\n".join([table(rows), *problems])


class Known:
    """What is there to be asked for: models, and something of each kind that is kept."""

    def __init__(self, url: str, *, random_: random.Random, headers: Mapping[str, str]) -> None:
        self._random = random_
        self._http = httpx2.Client(
            base_url=url, timeout=PATIENCE_SECONDS, trust_env=False, headers=headers
        )
        self._names = self._made()

    def put_into(self, case: Any) -> None:
        """Have a request name what is there, mostly."""
        if case.path_parameters:
            for name in set(case.path_parameters) & set(self._names):
                if self._is_chosen():
                    case.path_parameters[name] = self._names[name]
        if _names_a_model(case.body) and self._is_chosen():
            case.body["model"] = self._random.choice([*SOURCES])

    def renew(self) -> None:
        """Make what was deleted meanwhile again."""
        self._names = self._made()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _is_chosen(self) -> bool:
        return self._random.random() * 100 < KNOWN_PERCENT

    def _made(self) -> Mapping[str, str]:
        asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}], "store": True}
        response = {"model": "echo", "input": "Hello", "store": True, "background": True}
        items = {"items": [{"role": "user", "content": "Hello"}]}
        conversation = self._post("/conversations", json=items)
        listed = self._http.get(f"/v1/conversations/{conversation}/items").json()
        return {
            "id": "echo",
            "model": "echo",
            "completion_id": self._post("/chat/completions", json=asked),
            "response_id": self._post("/responses", json=response),
            "conversation_id": conversation,
            "item_id": listed["data"][0]["id"],
            "file_id": self._post(
                "/files", files={"file": ("a.txt", b"Hello")}, data={"purpose": "user_data"}
            ),
        }

    def _post(self, path: str, **sent: Any) -> str:
        answer = self._http.post(f"/v1{path}", **sent)
        assert answer.status_code == 200, answer.text
        made: str = answer.json()["id"]
        return made


def _names_a_model(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(cast(dict[str, Any], body).get("model"), str)


class Soak:
    """Requests to one server.

    Args:
        server: The server.
        paths: Which paths are asked.
        random_: Of all that is random.
        openai: The file with OpenAI's description; None for the server's own.
        is_admin: Whether whoever asks may do everything.
        at_once: How often each operation is asked before the next, rightly and wrongly.
    """

    def __init__(
        self,
        server: Server,
        *,
        paths: str,
        random_: random.Random,
        openai: Path | None = None,
        is_admin: bool = False,
        at_once: int = AT_ONCE,
    ) -> None:
        self.seen = Seen()
        self._random = random_
        self._at_once = at_once
        headers = {"authorization": f"Bearer {_key_of(server)}"} if is_admin else {}
        self._known = Known(server.url, random_=random_, headers=headers)
        self._checks = [getattr(checks, name) for name in CHECKS]
        self._is_own = openai is None
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(headers)
        described = _described(server, openai)
        found = [result.ok() for result in described.get_all_operations()]
        self._operations = [one for one in found if re.search(paths, one.path)]

    def run(self, cases: int) -> Seen:
        """Send so many requests, or a few more."""
        while self.seen.statuses.total() < cases:
            for operation in self._operations:
                self._known.renew()
                for mode in GenerationMode:
                    self._ask(operation, mode)
            print(
                f"{self.seen.statuses.total()} cases, {self.seen.wrong.total()} wrong", flush=True
            )
        return self.seen

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        self._known.close()

    def _ask(self, operation: Any, mode: GenerationMode) -> None:
        every: Any = list(HealthCheck)

        @seed(self._random.getrandbits(32))
        @settings(
            max_examples=self._at_once,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=every,
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            self._send(case)

        with suppress(Unsatisfiable):  # nothing can be wrong with one that has no parameters
            ask()

    def _send(self, case: Any) -> None:
        self._known.put_into(case)
        name = case.operation.label
        try:
            answer = case.call(session=self._session, timeout=PATIENCE_SECONDS)
        except requests.RequestException as error:
            self._note(case, f"{type(error).__name__}: {error}")
            return
        self.seen.statuses[name, answer.status_code] += 1
        if answer.status_code >= 500:
            self._note(case, f"{answer.status_code}: {answer.text[:300]}")
        if answer.status_code < 400 and not self._is_own and case.meta.generation.mode.is_negative:
            return
        try:
            case.validate_response(answer, checks=self._checks)
        except FailureGroup as failed:
            for failure in failed.exceptions:
                said = re.sub(r"\s+", " ", failure.message)[:400]
                self._note(case, f"{answer.status_code} {failure.title}: {said}", answer.text)

    def _note(self, case: Any, what: str, answered: str = "") -> None:
        # Ids of runs and the like are not what tells one problem from another.
        key = case.operation.label, re.sub(r"[0-9a-f]{24,}", "…", what)
        self.seen.wrong[key] += 1
        self.seen.requests.setdefault(key, f"{case.as_curl_command()}\n  {answered[:600]}")


def _key_of(server: Server) -> str:
    return (server.folder / "key").read_text()


def _described(server: Server, openai: Path | None) -> Any:
    address = f"{server.url}/openapi.json"
    if openai is None:
        return schemathesis.openapi.from_url(address)
    own = httpx2.get(address, trust_env=False).json()
    described: Any = schemathesis.openapi.from_dict(openai_description(openai, own=own))
    described.config.update(base_url=f"{server.url}/v1")
    return described


def run(  # noqa: PLR0913 - as the command line has them
    folder: Path,
    *,
    cases: int = 20_000,
    seed: int = 0,
    paths: str = PATHS,
    openai: Path | None = None,
    is_admin: bool = False,
    at_once: int = AT_ONCE,
) -> Seen:
    """Send so many requests."""
    for name, source in SOURCES.items():
        wrapper = folder / "pipelines" / name / "pipeline_wrapper.py"
        wrapper.parent.mkdir(parents=True)
        wrapper.write_text(source)
    with serving(folder, "--workers", "2", settings={"HAYSERVE_LOG_LEVEL": "WARNING"}) as server:
        chance = random.Random(seed)
        asking = Soak(
            server,
            paths=paths,
            random_=chance,
            openai=openai,
            is_admin=is_admin,
            at_once=at_once,
        )
        with closing(asking) as soak:
            return soak.run(cases)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--paths", help="a regular expression")
    parser.add_argument("--all", action="store_true", help="all paths, with a key")
    parser.add_argument("--openai", type=Path, help="OpenAI's description of its interface")
    given_ = parser.parse_args()
    paths = given_.paths or ("" if given_.openai or given_.all else PATHS)
    with tempfile.TemporaryDirectory() as folder:
        seen = run(
            Path(folder),
            cases=given_.cases,
            seed=given_.seed,
            paths=paths,
            openai=given_.openai,
            is_admin=given_.all,
        )
    print(seen)
    print(f"seed {given_.seed}: {seen.statuses.total()} cases, {seen.wrong.total()} wrong")
    raise SystemExit(1 if seen.wrong else 0)


if __name__ == "__main__":
    main()
