"""The parts that all routes and the life of one application share, made from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hayserve.deployments.code_folders import CodeFolders
from hayserve.deployments.declarations import Declarations
from hayserve.deployments.declare import Declarer
from hayserve.deployments.deploy import Books, Deployer
from hayserve.deployments.follow import Follower
from hayserve.deployments.history import History
from hayserve.deployments.ledger import Ledger
from hayserve.deployments.loads import LoadLimits
from hayserve.deployments.members import Members
from hayserve.deployments.proof import Limits
from hayserve.deployments.prove import Prover
from hayserve.deployments.pulse import Pulse
from hayserve.deployments.registry import Registry
from hayserve.deployments.reserved import RESERVED
from hayserve.deployments.retire import Retirements
from hayserve.deployments.revisions import Revisions
from hayserve.deployments.rollout import Rollout
from hayserve.deployments.rules import Rules
from hayserve.deployments.source import Source
from hayserve.deployments.target import Target
from hayserve.runs.answers import Answers
from hayserve.runs.everywhere import RunsEverywhere
from hayserve.runs.execute import Executor
from hayserve.runs.once import Once
from hayserve.server.database_url import database_url
from hayserve.server.guarding import Guarding, guarding
from hayserve.server.keeping import Keeping, keeping
from hayserve.server.watchdog import Watchdog
from hayserve.settings import Settings
from hayserve.storage.database import Database

_MB = 1024 * 1024
_NO_THINGS: Mapping[str, Target] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Parts:
    """What one application is made of; each part owns what it keeps.

    Args:
        database: Where it is written down what is served.
        members: The workers, this one among them.
        pulse: Says when something has changed.
        registry: What this process serves.
        follower: Brings that to what should be served.
        retirements: Closes what is not served any more.
        executor: Runs it.
        watchdog: Notices when that holds the event loop up.
        everywhere: What runs, on all workers.
        once: Knows the answers of requests with a key, so that they are not run twice.
        keeping: Keeps what clients come back for.
        prover: Tries out what is to be served; None tries nothing out.
        deployer: Changes what should be served.
        declarer: Does so with what the server is started with.
        history: What was served before.
        rules: What may be deployed.
        guarding: Says who may do what, and how much of it.
    """

    database: Database
    members: Members
    pulse: Pulse
    registry: Registry
    follower: Follower
    retirements: Retirements
    executor: Executor
    watchdog: Watchdog
    everywhere: RunsEverywhere
    once: Once
    keeping: Keeping
    prover: Prover | None
    deployer: Deployer
    declarer: Declarer
    history: History
    rules: Rules
    guarding: Guarding


def parts_of(
    settings: Settings,
    *,
    things: Mapping[str, Target] = _NO_THINGS,
    prove: bool = True,
    run: str = "",
) -> Parts:
    """Make the parts; none of them does anything yet.

    Args:
        settings: The settings.
        things: What a program gives the application to serve, by name.
        prove: Whether what is deployed is first tried out in a process of its own.
        run: What this run of the server is called, by all its workers.

    Raises:
        Misconfigured: The URL of the database is of no kind that is known.
    """
    registry, database = Registry(), Database(database_url(settings))
    books = _books(settings, database, things)
    members, pulse, rules = Members(database, run=run), Pulse(database), _rules(settings)
    retirements, executor = Retirements(registry), _executor(settings)
    prover = _prover(settings) if prove else None
    seconds = settings.setup_timeout
    rollout = Rollout(books.ledger, members=members, pulse=pulse, load_seconds=seconds)
    deployer = _deployer(registry, books, rollout=rollout, prover=prover, rules=rules)
    follower = Follower(
        registry,
        ledger=books.ledger,
        members=members,
        source=books.source,
        pulse=pulse,
        retire=retirements.retire,
        limits=LoadLimits(seconds, _at_once(settings)),
        leads=rollout.leads,
    )
    blocking = settings.blocking_seconds
    everywhere = RunsEverywhere(executor, database=database, members=members, pulse=pulse)
    return Parts(
        database=database,
        members=members,
        pulse=pulse,
        registry=registry,
        follower=follower,
        retirements=retirements,
        executor=executor,
        watchdog=Watchdog(registry, executor, seconds=blocking, move=follower.move),
        everywhere=everywhere,
        once=_once(settings, database, members),
        keeping=keeping(settings, database, members=members, everywhere=everywhere),
        prover=prover,
        deployer=deployer,
        declarer=_declarer(settings, deployer, books=books, members=members, rules=rules),
        history=History(books.ledger, books.revisions),
        rules=rules,
        guarding=guarding(database, members=members, pulse=pulse),
    )


def _books(settings: Settings, database: Database, things: Mapping[str, Target]) -> Books:
    revisions = Revisions(database)
    folders = CodeFolders(settings.data_dir / "bundles")
    source = Source(revisions, folders, things, lean_openai=settings.lean_openai)
    return Books(Ledger(database), Declarations(database), revisions, source)


def _at_once(settings: Settings) -> int:
    in_parallel = settings.startup_deploy_strategy == "parallel"
    return settings.startup_deploy_workers if in_parallel else 1


def _prover(settings: Settings) -> Prover:
    shared = settings.additional_python_path
    return Prover(
        Limits(settings.setup_timeout, settings.setup_memory_mb * _MB),
        python_path=[shared] if shared else [],
    )


def _deployer(
    registry: Registry, books: Books, *, rollout: Rollout, prover: Prover | None, rules: Rules
) -> Deployer:
    return Deployer(
        registry,
        books=books,
        rollout=rollout,
        prove=prover.prove if prover else None,
        prove_together=prover.prove_together if prover else None,
        rules=rules,
    )


def _declarer(
    settings: Settings, deployer: Deployer, *, books: Books, members: Members, rules: Rules
) -> Declarer:
    return Declarer(
        deployer,
        books=books,
        members=members,
        rules=rules,
        ignore=settings.files_to_ignore_patterns,
        at_once=_at_once(settings),
    )


def _rules(settings: Settings) -> Rules:
    most_bytes = settings.max_bundle_mb * _MB
    return Rules(RESERVED, most_bytes=most_bytes, most_files=settings.max_bundle_files)


def _once(settings: Settings, database: Database, members: Members) -> Once:
    seconds = settings.idempotency_hours * 3600
    answers = Answers(database, worker=members.id, keep_seconds=seconds)
    return Once(answers, is_alive=lambda worker: worker in members.live())


def _executor(settings: Settings) -> Executor:
    return Executor(
        threads=settings.threads,
        max_runs=settings.max_runs,
        max_waiting=settings.max_waiting,
        run_timeout=settings.run_timeout,
        streaming_components=settings.streaming_components,
        show_tracebacks=settings.show_tracebacks,
    )
