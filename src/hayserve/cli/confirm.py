"""Says what became of a change, as the server answered it."""

from hayserve.cli import show
from hayserve.cli.client import Answer
from hayserve.cli.flags import Reach


def confirm(given: Reach, answer: Answer, *, done: str) -> None:
    """Print that it is done, and what there is to say about it."""
    if given.as_json:
        show.as_json(answer)
    else:
        show.success(done, *_notes(answer))


def deployed(answer: Answer, *, name: str, done: str) -> str:
    """That a deployment was `done` (deployed, rolled back), or is as it was."""
    name = answer.get("name", name)
    aliases = answer.get("aliases")
    also = f", also as {', '.join(aliases)}" if aliases else ""
    if answer.get("changed") is False:
        return f"Pipeline {name} has not changed{also}. Revision {answer.get('revision')}."
    return f"Pipeline {name} successfully {done}{also}!{where(answer)}"


def where(answer: Answer) -> str:
    """The revision that is served and on how many workers; a server may not say it."""
    if answer.get("revision") is None:
        return ""
    return f" Revision {answer['revision']}, on {workers(int(answer.get('workers', 1)))}."


def workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _notes(answer: Answer) -> list[str]:
    note, said = answer.get("note"), answer.get("answer")
    notes = [str(note)] if note else []
    if said is None:
        return notes
    first, *more = str(said).splitlines() or [""]
    return [*notes, f"It answered: {first}", *more]
