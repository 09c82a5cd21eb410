"""The parts that keep what clients come back for, made from the settings."""

from dataclasses import dataclass

from hayserve.deployments.members import Members
from hayserve.kept.completions import Completions
from hayserve.kept.conversations import Conversations
from hayserve.kept.files import Files
from hayserve.kept.pauses import Pauses
from hayserve.kept.responses import Responses
from hayserve.protocols.agent_request import AgentRequests
from hayserve.protocols.call import Reading
from hayserve.protocols.openai_chat.stored import StoredCompletions
from hayserve.protocols.openai_responses.keeper import Keeper
from hayserve.protocols.openai_responses.shelf import Shelf
from hayserve.protocols.openai_responses.turns import Turns
from hayserve.runs.everywhere import RunsEverywhere
from hayserve.settings import Settings
from hayserve.storage.database import Database

_MB = 1_000_000
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps things for clients.

    Args:
        keeper: Keeps responses, and purges whatever has expired.
        turns: Has the conversations.
        stored: Keeps chat completions.
        shelf: Keeps files.
        agents: Knows what is asked of agents, and the turns that may go on.
    """

    keeper: Keeper
    turns: Turns
    stored: StoredCompletions
    shelf: Shelf
    agents: AgentRequests


def keeping(
    settings: Settings, database: Database, *, members: Members, everywhere: RunsEverywhere
) -> Keeping:
    """Make them; none of them does anything yet."""
    seconds = settings.response_hours * _HOUR
    conversations = Conversations(database, worker=members.id, keep_seconds=seconds)
    responses = Responses(database, keep_seconds=seconds)
    files, pauses = Files(database), Pauses(database, keep_seconds=seconds)
    turns = Turns(conversations, look=members.live)
    return Keeping(
        keeper=Keeper(
            responses,
            turns,
            everywhere=everywhere,
            worker=members.id,
            is_alive=lambda worker: worker in members.live(),
            purges=[files.purge, pauses.purge],
        ),
        turns=turns,
        stored=StoredCompletions(
            responses,
            worker=members.id,
            completions=Completions(database),
            reading=reading_of(settings),
        ),
        shelf=Shelf(files, keep_seconds=settings.file_hours * _HOUR),
        agents=AgentRequests(pauses),
    )


def reading_of(settings: Settings) -> Reading:
    """How much of a request is read."""
    return Reading(
        settings.max_body_mb * _MB, settings.max_upload_mb * _MB, pause=settings.body_timeout
    )
