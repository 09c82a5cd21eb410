"""The whole server in the test's own process, with a client that speaks its protocols."""

import json
import tempfile
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

from httpx2 import Response
from starlette.testclient import TestClient

from hayserve.deployments.registry import Registry
from hayserve.deployments.target import Target, targets_at
from hayserve.errors import Misconfigured, ServerRefused
from hayserve.server.app import create_app
from hayserve.settings import Settings, load
from hayserve.wrappers.nearest import nearest


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Args:
        text: Its text.
        reasoning: Its reasoning; empty if it gave none.
        finish_reason: Why it stopped.
        tool_calls: The tools that the client is asked to execute, each call whole.
        usage: The tokens that were used; None where the server did not say.
        chunks: The objects of the stream; the whole completion, alone, if it was not streamed.
    """

    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    usage: Mapping[str, Any] | None = None
    chunks: Sequence[Mapping[str, Any]] = ()


class Client:
    """Calls the server that runs in this process.

    `http` is a plain HTTP client for everything that has no method here; it may deploy.
    """

    def __init__(self, http: TestClient) -> None:
        self.http = http

    def run(self, name: str, /, **parameters: Any) -> Any:
        """Call `/{name}/run`; gives the result, or the whole text of a stream.

        Raises:
            ServerRefused: The server answered with an error.
        """
        headers = {"accept": "text/event-stream, */*"}
        response = _checked(self.http.post(f"/{name}/run", json=parameters, headers=headers))
        media_type = response.headers["content-type"]
        if media_type.startswith("application/json"):
            answer = response.json()
            return answer["result"] if [*answer] == ["result"] else answer
        if media_type.startswith("text/event-stream"):
            return "".join(map(_said_in, response.text.split("\n\n")))
        return response.text

    def chat(self, model: str, messages: str | Sequence[Mapping[str, Any]], **body: Any) -> Answer:
        """Ask a model, not streamed.

        Args:
            model: The name or an alias of a deployment.
            messages: The conversation, or only what the user says.
            body: More fields of the request.

        Raises:
            ServerRefused: The server answered with an error.
        """
        response = _checked(self._completion(model, messages, body))
        completion = response.json()
        [choice] = completion["choices"]
        message = choice["message"]
        return Answer(
            text=message["content"] or "",
            reasoning=message.get("reasoning_content") or "",
            finish_reason=choice["finish_reason"],
            tool_calls=message.get("tool_calls") or [],
            usage=completion.get("usage"),
            chunks=[completion],
        )

    def stream_chat(
        self, model: str, messages: str | Sequence[Mapping[str, Any]], **body: Any
    ) -> Answer:
        """Ask a model, streamed. The arguments are those of `chat`.

        Raises:
            ServerRefused: The server answered with an error, at once or in the stream.
        """
        body = {"stream_options": {"include_usage": True}, **body, "stream": True}
        response = _checked(self._completion(model, messages, body))
        lines = [line for line in response.text.split("\n") if line.startswith("data: {")]
        return _joined([json.loads(line.removeprefix("data: ")) for line in lines])

    def _completion(
        self, model: str, messages: str | Sequence[Mapping[str, Any]], body: Mapping[str, Any]
    ) -> Response:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        request = {"model": model, "messages": list(messages), **body}
        return self.http.post("/v1/chat/completions", json=request)


@contextmanager
def serve(
    *paths: str | Path,
    settings: Mapping[str, Any] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
    **things: Any,
) -> Generator[Client]:
    """Start the server in this process, load everything, and give a client of it.

    Args:
        paths: What `hayserve run` takes: folders, YAML files, `file.py:object`.
        settings: Settings by name, such as `{"show_tracebacks": True}`.
        aliases: More names for what is served, such as `{"greeter": ["gpt-4o-mini"]}`.
        things: More deployments by name: an `Agent`, a `Pipeline`, a wrapper or its class.

    Raises:
        Misconfigured: An argument cannot be used.
        HayserveError: One of them could not be loaded; it is the error that says why.
    """
    targets = [target for path in paths for target in _targets_at(path)]
    targets += [Target(name, "thing", Path(), thing=thing) for name, thing in things.items()]
    targets = _with_aliases(targets, aliases or {})
    loaded = threading.Event()
    registries: list[Registry] = []

    def when_loaded(registry: Registry) -> None:
        registries.append(registry)
        loaded.set()

    with tempfile.TemporaryDirectory() as folder:
        app_settings = _settings(settings or {}, folder=Path(folder))
        app = create_app(app_settings, targets=targets, when_loaded=when_loaded, prove=False)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as http:
            if not app_settings.insecure and app_settings.key_file:
                http.headers["authorization"] = f"Bearer {app_settings.key_file.read_text()}"
            _wait(loaded, http)
            for failure in registries[0].failed():
                raise failure.error
            yield Client(http)


def _targets_at(path: object) -> list[Target]:
    if not isinstance(path, str | Path):
        raise Misconfigured(
            f"An object of the type {type(path).__name__!r} needs a name.",
            hint="Give it one: `serve(name=...)`. Without a name go paths.",
        )
    return targets_at(str(path))


def _with_aliases(targets: Sequence[Target], aliases: Mapping[str, Sequence[str]]) -> list[Target]:
    names = [target.name for target in targets]
    for name in aliases:
        if name not in names:
            raise Misconfigured(
                f"`aliases` names {name!r}, which is not served.",
                hint=nearest(name, names, kind="names"),
                param="aliases",
            )
    return [replace(target, aliases=_listed(aliases.get(target.name, ()))) for target in targets]


def _listed(aliases: Sequence[str]) -> tuple[str, ...]:
    return (aliases,) if isinstance(aliases, str) else tuple(aliases)


def _settings(given: Mapping[str, Any], *, folder: Path) -> Settings:
    for name in given:
        if name not in Settings.model_fields:
            raise Misconfigured(
                f"There is no setting {name!r}.",
                hint=nearest(name, Settings.model_fields, kind="settings"),
                param=name,
            )
    own = {
        "data_dir": folder,
        "database_url": "sqlite://",
        "key_file": folder / "key",
        "insecure": False,
    }
    return load(**{**own, **given})


def _wait(loaded: threading.Event, http: TestClient) -> None:
    while not loaded.wait(0.1):
        if http.task.done():
            http.task.result()  # raises what ended the server


def _checked(response: Any) -> Response:
    if response.is_success:
        return cast(Response, response)
    raise _refusal(response.json(), status=response.status_code)


def _refusal(body: Mapping[str, Any], *, status: int) -> ServerRefused:
    error = body.get("error") or body
    message = error.get("message") or error.get("detail")
    if isinstance(message, list):
        problems = cast(list[dict[str, Any]], message)
        message = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
    return ServerRefused(f"{status}: {message}", hint=str(error.get("hint", "")))


def _said_in(frame: str) -> str:
    """The text of one server-sent event; one with an error is raised."""
    lines = frame.split("\n")
    data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
    if "event: error" in lines:
        raise _refusal(json.loads(data), status=200)
    return data


def _joined(chunks: Sequence[Mapping[str, Any]]) -> Answer:
    for chunk in chunks:
        if "error" in chunk:
            raise _refusal(chunk, status=200)
    choices = [choice for chunk in chunks for choice in chunk.get("choices", [])]
    deltas = [choice["delta"] for choice in choices]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return Answer(
        text="".join(delta.get("content") or "" for delta in deltas),
        reasoning="".join(delta.get("reasoning_content") or "" for delta in deltas),
        finish_reason=reasons[-1] if reasons else None,
        tool_calls=_whole_calls(deltas),
        usage=usages[-1] if usages else None,
        chunks=chunks,
    )


def _whole_calls(deltas: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tool calls whose pieces came in a stream: those with one `index` are one call."""
    pieces = [cast(list[dict[str, Any]], delta.get("tool_calls") or []) for delta in deltas]
    calls: dict[int, dict[str, Any]] = {}
    for piece in chain.from_iterable(pieces):
        function = piece["function"]
        call = calls.setdefault(
            piece["index"],
            {
                "id": piece.get("id"),
                "type": "function",
                "function": {"name": function.get("name"), "arguments": ""},
            },
        )
        call["function"]["arguments"] += function.get("arguments") or ""
    return list(calls.values())
