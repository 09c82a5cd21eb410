"""A client of the HTTP API, as the command line uses it."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias, cast
from urllib.parse import quote

import httpx2

from hayserve.cli.refusals import (
    broken_off,
    no_answer,
    object_in,
    other_program,
    refusal_in,
    refusal_of,
)
from hayserve.errors import ServerRefused, ServerUnreachable

Answer: TypeAlias = dict[str, Any]
Query: TypeAlias = Sequence[tuple[str, str]]

CONNECT_SECONDS = 5
STATUS_SECONDS = 15
# Asked like this, a server ends a stream that fails with an event that says so.
ACCEPT = "text/event-stream, application/json;q=0.9, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send: the form field it belongs to, the name it is sent under and where it is."""

    field: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Input:
    """What a deployment is run with; files go only as a form."""

    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    files: Sequence[Upload] = ()
    as_form: bool = False


class Client:
    """Talks to one server.

    Connecting may take 5 seconds. Deploying and running may take as long as they take.

    Args:
        url: Where the server is, with its root path if it has one.
        key: Sent as `Authorization: Bearer`; None sends none.
        verify: Whether the certificate of an `https` server is checked.
        trust_env: Whether proxies named in the environment are used.
        elsewhere: Said where no server answers: where one might.
        sender: Told with what changes the server: who asks and from where, for its history.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        verify: bool = True,
        trust_env: bool = True,
        elsewhere: str = "",
        sender: str = "",
    ) -> None:
        self.url = url.rstrip("/")
        self._elsewhere = elsewhere
        self._sender = httpx2.Headers({"X-Hayserve-From": sender}, encoding="latin-1")
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            verify=verify,
            trust_env=trust_env,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def status(self) -> Answer:
        """Ask what is deployed; a server that takes longer than 15 seconds counts as absent."""
        with self._asked("GET", "/status", timeout=STATUS_SECONDS) as response:
            return self._object_in(response)

    def deploy_files(self, bundle: Mapping[str, Any]) -> Answer:
        """Send `{"name", "files", "overwrite", "save_files", "aliases"}` to be served."""
        return self._change("POST", "/deploy_files", json=bundle)

    def deploy_yaml(self, bundle: Mapping[str, Any]) -> Answer:
        """Send `{"name", "source_code", "overwrite", ...}` to be served."""
        return self._change("POST", "/deploy-yaml", json=bundle)

    def deploy_archive(self, name: str, archive: bytes | BinaryIO, query: Query) -> Answer:
        """Send a tar, tar.gz or zip to be served; a file is sent as it is read."""
        return self._change("PUT", _deployment(name), params=query, content=archive)

    def undeploy(self, name: str, *, purge: bool = False) -> Answer:
        query = {"purge": "true"} if purge else {}
        return self._change("POST", f"/undeploy/{quote(name, safe='')}", params=query, json={})

    def rollback(self, name: str, *, to: int | None = None) -> Answer:
        """Serve revision `to` again, or the last one before that was served."""
        return self._change("POST", f"{_deployment(name)}/rollback", json={"to": to})

    def alias(self, name: str, *, add: Sequence[str], remove: Sequence[str]) -> Answer:
        body = {"add": add, "remove": remove}
        return self._change("POST", f"{_deployment(name)}/aliases", json=body)

    def history(self, name: str) -> Answer:
        with self._asked("GET", f"{_deployment(name)}/history") as response:
            return self._object_in(response)

    def diff(self, name: str, *, old: int, new: int) -> str:
        """What differs between two revisions, as `patch` reads it."""
        query = {"old": old, "new": new}
        with self._asked("GET", f"{_deployment(name)}/diff", params=query) as response:
            response.read()
            return response.text

    def runs(self, *, deployment: str | None = None) -> Answer:
        """Ask what runs, of all deployments or of one."""
        query = {} if deployment is None else {"deployment": deployment}
        with self._asked("GET", "/runs", params=query, timeout=STATUS_SECONDS) as response:
            return self._object_in(response)

    def cancel(self, run_id: str) -> Answer:
        return self._change("DELETE", f"/runs/{quote(run_id, safe='')}")

    def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        budget: Mapping[str, int],
        expires_in: int | None = None,
    ) -> Answer:
        """Make a key for callers; the answer has its text."""
        body = {"name": name, "scopes": scopes, "budget": budget, "expires_in": expires_in}
        return self._change("POST", "/keys", json=body)

    def keys(self) -> Answer:
        """Ask which keys there are."""
        with self._asked("GET", "/keys", timeout=STATUS_SECONDS) as response:
            return self._object_in(response)

    def rotate_key(self, name: str, *, keep_old: int = 0) -> Answer:
        """Give a key another text, and accept the old one for so many seconds."""
        return self._change("POST", f"{_key(name)}/rotate", json={"keep_old": keep_old})

    def revoke_key(self, name: str) -> Answer:
        return self._change("DELETE", _key(name))

    def openapi(self) -> Answer:
        """Ask what the deployments take; a server that does not say it says nothing."""
        try:
            with self._asked("GET", "/openapi.json", timeout=STATUS_SECONDS) as response:
                return self._object_in(response)
        except ServerRefused:
            return {}

    def run(self, name: str, given: Input) -> Answer:
        """Run a deployment, wait for all of the answer; a streamed one is put together."""
        with self._running(name, given) as response:
            if _is_json(response):
                return self._object_in(response)
            return {"result": "".join(self._pieces(response))}

    def stream(self, name: str, given: Input) -> Iterator[str]:
        """Run a deployment, yield the answer piece by piece; one that is not streamed is one."""
        with self._running(name, given) as response:
            if _is_json(response):
                yield as_text(self._object_in(response).get("result"))
            else:
                yield from self._pieces(response)

    def chat(self, name: str, text: str) -> Iterator[str]:
        """Say `text` to a deployment, yield the text of its answer as it comes."""
        body = {**_conversation(name, text), "stream": True}
        with self._asked("POST", "/v1/chat/completions", json=body) as response:
            if _is_json(response):
                raise broken_off("The server did not stream its answer")
            yield from self._spoken(response)

    def complete(self, name: str, text: str) -> Answer:
        """Say `text` to a deployment, return its answer as a chat completion."""
        body = _conversation(name, text)
        with self._asked("POST", "/v1/chat/completions", json=body) as response:
            return self._object_in(response)

    def _change(self, method: str, path: str, **what: Any) -> Answer:
        with self._asked(method, path, headers=self._sender, **what) as response:
            return self._object_in(response)

    @contextmanager
    def _running(self, name: str, given: Input) -> Generator[httpx2.Response]:
        with ExitStack() as opened:
            body: dict[str, Any] = {"json": given.params}
            if given.as_form:
                parts = [_part(file, opened) for file in given.files]
                body = {"data": as_form(given.params), "files": parts}
            path = f"/{quote(name, safe='')}/run"
            asked = self._asked("POST", path, headers={"Accept": ACCEPT}, **body)
            yield opened.enter_context(asked)

    @contextmanager
    def _asked(self, method: str, path: str, **what: Any) -> Generator[httpx2.Response]:
        """Send a request, hand out the response; raise what went wrong as our errors."""
        answered = False
        try:
            with self._http.stream(method, path, **what) as response:
                answered = True
                if not response.is_success:
                    response.read()
                    raise refusal_of(response)
                yield response
        except (httpx2.ConnectError, httpx2.TimeoutException) as error:
            raise self._unreachable() from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            if not answered:
                raise no_answer(self.url) from error
            raise broken_off("The connection closed before the answer was complete") from error

    def _unreachable(self) -> ServerUnreachable:
        hint = "Start one with `hayserve run`, or say where it is with --url or HAYSERVE_URL."
        return ServerUnreachable(
            f"No server answers at {self.url!r}.", hint=f"{hint} {self._elsewhere}".rstrip()
        )

    def _object_in(self, response: httpx2.Response) -> Answer:
        response.read()
        if (found := object_in(response.text)) is None:
            raise other_program(self.url)
        return found

    def _pieces(self, response: httpx2.Response) -> Iterator[str]:
        if not _is_sse(response):
            yield from response.iter_text()
            return
        for event in httpx2.EventSource(response, max_event_size=None):
            if event.event == "error":
                raise refusal_in(event.data)
            yield event.data

    def _spoken(self, response: httpx2.Response) -> Iterator[str]:
        finished = False
        for event in httpx2.EventSource(response, max_event_size=None):
            if event.data == "[DONE]":
                return
            chunk = object_in(event.data) or {}
            if "error" in chunk:
                raise refusal_in(event.data)
            for choice in chunk.get("choices", []):
                finished = finished or bool(choice.get("finish_reason"))
                yield choice.get("delta", {}).get("content") or ""
        if not finished:
            raise broken_off("The answer stopped before it was finished")


def as_text(result: object) -> str:
    """A result as text: a string as it is, anything else as JSON."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, indent=2)


def as_form(params: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Parameters as form fields; a form has no null, and says a list by repeating the field."""
    return {name: _field(value) for name, value in params.items() if value is not None}


def _field(value: object) -> str | list[str]:
    if isinstance(value, list):
        return [_plain(item) for item in cast(list[object], value)]
    return _plain(value)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _part(upload: Upload, opened: ExitStack) -> tuple[str, tuple[str, BinaryIO]]:
    return upload.field, (upload.name, opened.enter_context(upload.path.open("rb")))


def _deployment(name: str) -> str:
    return f"/deployments/{quote(name, safe='')}"


def _key(name: str) -> str:
    return f"/keys/{quote(name, safe='')}"


def _conversation(name: str, text: str) -> Answer:
    return {"model": name, "messages": [{"role": "user", "content": text}]}


def _is_json(response: httpx2.Response) -> bool:
    return _media_type(response) == "application/json"


def _is_sse(response: httpx2.Response) -> bool:
    return _media_type(response) == "text/event-stream"


def _media_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()
