"""Finds the documents that an agent or a pipeline returned, so that its answer can cite them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath, PureWindowsPath
from typing import Any, cast

from haystack.dataclasses import Document, ExtractedAnswer, GeneratedAnswer, StreamingChunk

from hayserve.events import Citation

MOST = 100
# How deep in a result documents are looked for; a result may hold itself.
_DEPTH = 6
_WEB = re.compile(r"https?://\S+", re.IGNORECASE)
_URLS = ("url", "link", "source_url", "source")
_TITLES = ("title", "name")
_FILES = ("file_name", "filename", "file_path", "source")
_HOLDERS = (Document, GeneratedAnswer, ExtractedAnswer, Mapping, list)


@dataclass
class Sources(StreamingChunk):
    """The end of a stream: a chunk that says nothing, and what the answer is based on.

    It is a chunk because wrappers that read a stream themselves expect nothing else in it.
    """

    content: str = ""
    citations: tuple[Citation, ...] = ()


def citations_in(result: object) -> list[Sources]:
    """What says at the end of a stream which documents the answer is based on.

    Args:
        result: What the agent or the pipeline returned. Documents count wherever they are: among
            the outputs of a component, in an agent's state, in an answer of an `AnswerBuilder`.

    Returns:
        One item that cites each document once, in order, and 100 at most; none if there are none.
    """
    cited = dict.fromkeys(map(_citation_of, _documents_in(result, depth=_DEPTH)))
    return [Sources(citations=tuple(islice(cited, MOST)))] if cited else []


def _documents_in(value: object, *, depth: int) -> Iterator[Document]:
    if isinstance(value, Document):
        # An `AnswerBuilder` marks those that it found no reference to.
        if _meta_of(value).get("referenced") is not False:
            yield value
    elif depth:
        for part in _parts_of(value):
            yield from _documents_in(part, depth=depth - 1)


def _parts_of(value: object) -> Iterable[object]:
    """What may be or hold documents; a list is of one kind, so its first member speaks for all."""
    match value:
        case Mapping():
            return cast(Mapping[object, object], value).values()
        case GeneratedAnswer(documents=documents):
            return documents
        case ExtractedAnswer(document=document):
            return (document,)
        case list() | tuple():
            members = cast(Sequence[object], value)
            return members if members and isinstance(members[0], _HOLDERS) else ()
        case _:
            return ()


def _citation_of(document: Document) -> Citation:
    meta = _meta_of(document)
    title = next(_texts(meta, _TITLES), "")
    url = next(filter(_WEB.fullmatch, _texts(meta, _URLS)), None)
    if url is not None:
        return Citation(title or url, url=url)
    # It knows the separators of every system, and what is no path is its own last part.
    path = PureWindowsPath(next(_texts(meta, _FILES), ""))
    filename = path.name or title or document.id
    return Citation(title or filename, file_id=document.id, filename=filename)


def _meta_of(document: Document) -> Mapping[str, Any]:
    return document.meta or {}


def _texts(meta: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        value: object = meta.get(name)
        if isinstance(value, str | PurePath) and (text := str(value).strip()):
            yield text
