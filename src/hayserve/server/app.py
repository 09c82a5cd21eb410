"""Puts the parts together into one ASGI application; nowhere else are they."""

import re
from collections.abc import Sequence
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

import hayserve
from hayserve.deployments.deploy import Deployer
from hayserve.deployments.registry import Registry
from hayserve.deployments.reserved import RESERVED
from hayserve.deployments.store import Store
from hayserve.deployments.target import Target
from hayserve.protocols.admin.routes import Admin
from hayserve.protocols.openai_chat.routes import OpenAIChat
from hayserve.protocols.openai_responses.routes import OpenAIResponses
from hayserve.protocols.rest.openapi import OpenAPI
from hayserve.protocols.rest.routes import Rest
from hayserve.runs.execute import Executor
from hayserve.server.error_responses import handlers
from hayserve.server.guard import ForeignPages, Guard
from hayserve.server.health import Health
from hayserve.server.lifespan import Lifespan, Start, WhenLoaded
from hayserve.server.local_key import LocalKey
from hayserve.server.middleware import LastAnswers, RootPath, RunIds
from hayserve.settings import Settings, load


def create_app(
    settings: Settings | None = None,
    *,
    targets: Sequence[Target] | None = None,
    reload: bool = False,
    when_loaded: WhenLoaded = lambda _: None,
) -> Starlette:
    """The server as an ASGI application.

    Args:
        settings: The settings; by default read from the environment.
        targets: What to serve from the start; by default what the pipelines folder holds. What was
            deployed to this server earlier is served too.
        reload: Whether a deployment is loaded again when its files change.
        when_loaded: Called with the registry when everything was loaded or has failed.

    Returns:
        The application. What it serves is loaded when its lifespan starts.

    Raises:
        Misconfigured: A setting cannot be used.
    """
    settings = settings or load()
    registry = Registry()
    executor = Executor(
        threads=settings.threads,
        streaming_components=settings.streaming_components,
        show_tracebacks=settings.show_tracebacks,
    )
    deployer = Deployer(
        registry,
        Store(settings.data_dir),
        reserved=RESERVED,
        at_once=settings.startup_deploy_workers
        if settings.startup_deploy_strategy == "parallel"
        else 1,
    )
    key = None if settings.insecure else LocalKey()
    return Starlette(
        routes=_routes(registry, executor, _admin(Admin(registry, deployer), key)),
        middleware=_middleware(settings),
        exception_handlers=handlers(),
        lifespan=Lifespan(
            settings,
            registry=registry,
            executor=executor,
            deployer=deployer,
            start=Start(targets, key=key, reload=reload, when_loaded=when_loaded),
        ),
    )


def _routes(registry: Registry, executor: Executor, admin: Sequence[Route]) -> list[Route]:
    rest = Rest(registry, executor).routes()
    fixed = [
        *OpenAIChat(registry, executor).routes(),
        *OpenAIResponses(registry, executor).routes(),
        *Health(registry).routes(),
        *admin,
    ]
    description = OpenAPI(registry, fixed, version=hayserve.__version__).routes()
    return [*fixed, *description, *rest]


def _admin(admin: Admin, key: LocalKey | None) -> list[Route]:
    if key is None:
        return [*admin.routes(), *admin.guarded_routes()]
    guard = Guard(key.value)
    return [
        *admin.routes(),
        *(
            Route(route.path, guard.on(route.endpoint), methods=["POST"])
            for route in admin.guarded_routes()
        ),
    ]


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
    if not settings.insecure:
        chain.append(Middleware(ForeignPages, partial(_may_call, settings)))
    return chain


def _may_call(settings: Settings, origin: str) -> bool:
    allowed = settings.cors_allow_origins
    pattern = settings.cors_allow_origin_regex
    return "*" in allowed or origin in allowed or bool(pattern and re.fullmatch(pattern, origin))
