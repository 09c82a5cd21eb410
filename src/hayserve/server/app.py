"""Puts the parts together into one ASGI application; nowhere else are they."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

import hayserve
from hayserve.deployments.bundle import check_alias, check_name
from hayserve.deployments.reserved import RESERVED
from hayserve.deployments.rules import check_parameters
from hayserve.deployments.target import Target
from hayserve.errors import NameTaken
from hayserve.protocols.admin.keys import KeyRoutes
from hayserve.protocols.admin.routes import Admin
from hayserve.protocols.admin.runs import LiveRuns
from hayserve.protocols.admin.usage import UsageRoutes
from hayserve.protocols.body import read_body
from hayserve.protocols.call import Reading
from hayserve.protocols.described import DescribedRoute
from hayserve.protocols.openai_chat.routes import OpenAIChat
from hayserve.protocols.openai_embeddings.routes import OpenAIEmbeddings
from hayserve.protocols.openai_responses.conversation_routes import ConversationRoutes
from hayserve.protocols.openai_responses.file_routes import FileRoutes
from hayserve.protocols.openai_responses.making import Maker
from hayserve.protocols.openai_responses.routes import OpenAIResponses
from hayserve.protocols.openai_responses.stored_routes import StoredResponses
from hayserve.protocols.rest.openapi import OpenAPI
from hayserve.protocols.rest.routes import Rest
from hayserve.server.callers import Callers, Door
from hayserve.server.error_responses import handlers
from hayserve.server.front import Front
from hayserve.server.gate import Gate
from hayserve.server.health import Health
from hayserve.server.idempotency import Idempotent
from hayserve.server.keeping import reading_of
from hayserve.server.lifespan import Lifespan, Start, WhenLoaded
from hayserve.server.local_key import LocalKey
from hayserve.server.metered import Metered
from hayserve.server.middleware import LastAnswers, RootPath, RunIds
from hayserve.server.oidc import tokens_of
from hayserve.server.parts import Parts, parts_of
from hayserve.server.role import Role
from hayserve.server.sockets import is_loopback
from hayserve.settings import Settings, load
from hayserve.wrappers.run_limits import RunLimits

_MB = 1_000_000

MakeFront = Callable[[ASGIApp, Sequence[BaseRoute]], ASGIApp]


class Application(Starlette):
    """The server as an ASGI application; `create_app` makes it."""

    def __init__(
        self,
        things: dict[str, Target],
        *,
        around: Sequence[Middleware],
        front: MakeFront,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._things = things
        self._around = around
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.respond(scope, receive, send)

    def respond(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What calling the application does, for a server that need not see a coroutine function.

        Every function between a request and its run that is not async makes the request cheaper.
        """
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        return self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """What every request passes: Starlette's own answers to errors are behind the front."""
        added, self.user_middleware = self.user_middleware, []
        app = self._front(super().build_middleware_stack(), self.routes)
        self.user_middleware = added
        for layer in reversed([*self._around, *added]):
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app

    def deploy(
        self,
        name: str,
        thing: object,
        *,
        aliases: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        limits: Mapping[str, float] | None = None,
        description: str = "",
    ) -> None:
        """Serve an object of this program from the start.

        Args:
            name: The name to serve it under.
            thing: An `Agent`, a `Pipeline`, a wrapper or its class, or a function without
                arguments that gives one of them.
            aliases: More names for it.
            parameters: What the `setup()` of a wrapper is called with, by name.
            limits: Limits of its runs, as `BasePipelineWrapper.limits` has them.
            description: What it does, in one line; a wrapper has its own.

        Raises:
            InvalidRequest: A name, the parameters or the limits cannot be used.
            NameTaken: It was given before.

        Example:
            ```python
            from haystack import Pipeline
            from haystack.components.generators.chat import MockChatGenerator

            from hayserve import create_app

            app = create_app()
            app.deploy("echo", Pipeline().add_component("llm", MockChatGenerator()))
            ```
        """
        check_name(name, reserved=RESERVED)
        for alias in aliases:
            check_alias(alias, reserved=RESERVED)
        check_parameters(parameters or {})
        if name in self._things:
            raise NameTaken(f"{name!r} was given to the application before.")
        self._things[name] = Target(
            name,
            "thing",
            Path(),
            aliases=tuple(aliases),
            origin="program",
            thing=thing,
            parameters=parameters or {},
            limits=RunLimits.of(limits or {}),
            description=description,
        )


def create_app(
    settings: Settings | None = None,
    *,
    targets: Sequence[Target] | None = None,
    reload: bool = False,
    when_loaded: WhenLoaded = lambda _: None,
    role: Role | None = None,
    prove: bool = True,
) -> Application:
    """The server as an ASGI application.

    Args:
        settings: The settings; by default read from the environment.
        targets: What to serve from the start; by default what the pipelines folder holds. What was
            deployed to this server earlier is served too.
        reload: Whether a deployment is loaded again when its files change.
        when_loaded: Called with the registry when everything was loaded or has failed.
        role: What of the start is to be done by this process; by default all of it.
        prove: Whether what is deployed is first tried out in a process of its own.

    Returns:
        The application. What it serves is loaded when its lifespan starts.

    Raises:
        Misconfigured: A setting cannot be used.
    """
    settings, role = settings or load(), role or Role()
    things = {target.name: target for target in targets or () if target.kind == "thing"}
    parts = parts_of(settings, things=things, prove=prove, run=role.run)
    key = None if settings.insecure else role.key or LocalKey()
    callers = Callers(
        parts.guarding.keyring.identity_of, door=_door(settings, key), tokens=tokens_of(settings)
    )
    gate = Middleware(Gate, callers, None if settings.insecure else partial(_may_call, settings))
    start = Start(
        targets,
        things=things,
        key=None if role.key is not None else key,
        reload=reload,
        role=role,
        when_loaded=when_loaded,
    )
    app = Application(
        things,
        routes=_routes(parts, reading_of(settings)),
        around=[*_middleware(settings), gate, Middleware(Metered, parts.guarding.limits)],
        front=_front(parts, settings),
        exception_handlers=handlers(),
        lifespan=Lifespan(settings, parts, start),
    )
    app.state.settings = settings  # for whoever runs it: its data folder is for one server alone
    return app


def _routes(parts: Parts, reading: Reading) -> list[BaseRoute]:
    registry, executor = parts.registry, parts.executor
    admin = Admin(
        registry,
        parts.deployer,
        history=parts.history,
        members=parts.members,
        rules=parts.rules,
    )
    live_runs = LiveRuns(parts.everywhere, registry)
    rest = Rest(registry, executor, reading).routes()
    fixed = [
        *_openai(parts, reading),
        *Health(registry).routes(),
        *admin.routes(),
        *live_runs.routes(),
        *UsageRoutes(parts.guarding.book).routes(),
        *KeyRoutes(parts.guarding.keys, parts.guarding.keyring.look).routes(),
    ]
    described = [route for route in fixed if isinstance(route, DescribedRoute)]
    description = OpenAPI(registry, described, version=hayserve.__version__).routes()
    return [*fixed, *description, *rest]


def _openai(parts: Parts, reading: Reading) -> list[BaseRoute]:
    """What OpenAI's clients ask for."""
    registry, executor, keeping = parts.registry, parts.executor, parts.keeping
    shelf, agents = keeping.shelf, keeping.agents
    maker = Maker(
        registry,
        executor,
        keeper=keeping.keeper,
        turns=keeping.turns,
        shelf=shelf,
        agents=agents,
    )
    chat = OpenAIChat(
        registry, executor, stored=keeping.stored, shelf=shelf, agents=agents, reading=reading
    )
    responses = OpenAIResponses(
        registry, executor, maker=maker, shelf=shelf, entry=parts.guarding.entry, reading=reading
    )
    return [
        *chat.routes(),
        *keeping.stored.routes(),
        *responses.routes(),
        *responses.sockets(),
        *FileRoutes(shelf).routes(),
        *StoredResponses(keeping.keeper).routes(),
        *ConversationRoutes(keeping.turns, reading).routes(),
        *OpenAIEmbeddings(registry, executor, reading).routes(),
    ]


def _front(parts: Parts, settings: Settings) -> MakeFront:
    """What makes the way that requests for runs take past all others."""
    registry, reading = parts.registry, reading_of(settings)

    async def read(scope: Scope, receive: Receive) -> bytes:
        own, most = registry.most_body_mb, reading.body
        if _is_form(scope):
            own, most = registry.most_upload_mb, reading.upload
        limit = max(most, int((own or 0) * _MB))
        return await read_body(scope, receive, limit=limit, pause=reading.pause)

    def front_of(app: ASGIApp, routes: Sequence[BaseRoute]) -> ASGIApp:
        front = Front(app, routes, parts.guarding.entry)
        return Idempotent(front, parts.once, starts_run=front.starts_run, read=read)

    return front_of


def _is_form(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(kind.lower().startswith(b"multipart/") for kind in kinds)


def _door(settings: Settings, key: LocalKey | None) -> Door:
    return Door(
        is_open=is_loopback(settings.host) and not settings.require_key,
        lets_all=settings.insecure,
        open_hosts=settings.open_hosts,
        local_key=None if key is None else key.value,
    )


def _middleware(settings: Settings) -> list[Middleware]:
    chain = [Middleware(RunIds), Middleware(LastAnswers)]
    if settings.root_path.strip("/"):
        chain.append(Middleware(RootPath, settings.root_path))
    if settings.cors_allow_origins or settings.cors_allow_origin_regex:
        chain.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_allow_origins,
                allow_methods=settings.cors_allow_methods,
                allow_headers=settings.cors_allow_headers,
                allow_credentials=settings.cors_allow_credentials,
                allow_origin_regex=settings.cors_allow_origin_regex,
                expose_headers=settings.cors_expose_headers,
                max_age=settings.cors_max_age,
            )
        )
    return chain


def _may_call(settings: Settings, origin: str) -> bool:
    allowed = settings.cors_allow_origins
    pattern = settings.cors_allow_origin_regex
    return "*" in allowed or origin in allowed or bool(pattern and re.fullmatch(pattern, origin))
