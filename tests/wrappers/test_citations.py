"""Which documents an answer cites."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from haystack.dataclasses import ChatMessage, Document, ExtractedAnswer, GeneratedAnswer

from hayserve.events import Citation
from hayserve.wrappers.citations import MOST, citations_in

PAGE = Document(id="1", content="a", meta={"url": "https://a.org/x", "title": "A page"})
FILE = Document(id="2", content="b", meta={"file_path": "/data/manual.pdf"})
CITED = (
    Citation("A page", url="https://a.org/x"),
    Citation("manual.pdf", file_id="2", filename="manual.pdf"),
)


def cited_in(result: object) -> tuple[Citation, ...]:
    [sources] = citations_in(result)
    return sources.citations


def answered(*documents: Document) -> GeneratedAnswer:
    return GeneratedAnswer("It is so.", query="Is it?", documents=[*documents])


def extracted(document: Document | None) -> ExtractedAnswer:
    return ExtractedAnswer(query="Is it?", score=1.0, data="It is so.", document=document)


@pytest.mark.parametrize(
    "result",
    [
        {"retriever": {"documents": [PAGE, FILE]}},
        {"retriever": {"documents": (PAGE, FILE)}},
        {"documents": [PAGE, FILE], "messages": [ChatMessage.from_user("Is it?")]},
        {"builder": {"answers": [answered(PAGE, FILE)]}},
        {"reader": {"answers": [extracted(PAGE), extracted(None), extracted(FILE)]}},
        {"first": {"document": PAGE}, "second": {"by_id": {"2": FILE}}},
        {"retriever": {"batches": [[PAGE], [], [FILE]]}},
        {"retriever": {"documents": [PAGE]}, "builder": {"answers": [answered(PAGE, FILE)]}},
    ],
)
def test_documents_are_found_wherever_they_are_each_once_in_order(result: object) -> None:
    assert cited_in(result) == CITED


@pytest.mark.parametrize(
    "result",
    [
        {},
        None,
        "text",
        {"llm": {"replies": [ChatMessage.from_assistant("Hi")]}},
        {"retriever": {"documents": []}},
        {"embedder": {"embedding": [0.1, 0.2]}},
        {"other": SimpleNamespace(documents=[PAGE])},
    ],
)
def test_where_there_are_no_documents_nothing_is_cited(result: object) -> None:
    assert citations_in(result) == []


def test_a_result_that_holds_itself_is_looked_through_once() -> None:
    result: dict[str, Any] = {"documents": [PAGE, FILE]}
    result["again"] = result
    assert cited_in(result) == CITED


def test_a_document_that_the_answer_has_no_reference_to_is_not_cited() -> None:
    referenced = Document(id="1", content="a", meta={**PAGE.meta, "referenced": True})
    other = Document(id="2", content="b", meta={**FILE.meta, "referenced": False})
    assert cited_in({"answers": [answered(referenced, other)]}) == CITED[:1]


def test_no_more_than_a_hundred_are_cited() -> None:
    documents = [Document(id=str(number), content="a") for number in range(MOST + 1)]
    cited = cited_in({"documents": documents})
    assert [each.file_id for each in cited] == [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("meta", "citation"),
    [
        ({"url": "https://a.org"}, Citation("https://a.org", url="https://a.org")),
        ({"url": "HTTP://a.org", "name": "A"}, Citation("A", url="HTTP://a.org")),
        ({"link": "https://a.org"}, Citation("https://a.org", url="https://a.org")),
        ({"source_url": "https://a.org"}, Citation("https://a.org", url="https://a.org")),
        ({"source": " https://a.org "}, Citation("https://a.org", url="https://a.org")),
        (
            {"url": 3, "link": "s3://a/b", "source": "https://a.org", "title": "A"},
            Citation("A", url="https://a.org"),
        ),
        ({"title": "T", "name": "N", "url": "https://a.org"}, Citation("T", url="https://a.org")),
        ({"source": "wiki"}, Citation("wiki", file_id="7", filename="wiki")),
        ({"source": "https:// a"}, Citation(" a", file_id="7", filename=" a")),
        ({"file_name": "a.pdf", "filename": "b"}, Citation("a.pdf", file_id="7", filename="a.pdf")),
        ({"filename": "b.pdf"}, Citation("b.pdf", file_id="7", filename="b.pdf")),
        ({"file_path": "/x/c.pdf"}, Citation("c.pdf", file_id="7", filename="c.pdf")),
        ({"file_path": Path("/x/c.pdf")}, Citation("c.pdf", file_id="7", filename="c.pdf")),
        ({"file_path": "C:\\x\\d.pdf"}, Citation("d.pdf", file_id="7", filename="d.pdf")),
        (
            {"file_path": "c.pdf", "title": "The C"},
            Citation("The C", file_id="7", filename="c.pdf"),
        ),
        ({"title": "A/B test"}, Citation("A/B test", file_id="7", filename="A/B test")),
        ({"title": " ", "file_path": "/"}, Citation("7", file_id="7", filename="7")),
        ({}, Citation("7", file_id="7", filename="7")),
        (None, Citation("7", file_id="7", filename="7")),
    ],
)
def test_a_document_is_a_page_if_it_is_on_the_web_and_else_a_file(
    meta: Any, citation: Citation
) -> None:
    assert cited_in([Document(id="7", content="a", meta=meta)]) == (citation,)


def test_pieces_of_one_page_are_one_citation() -> None:
    pieces = [Document(content=text, meta=PAGE.meta) for text in ("a", "b")]
    assert cited_in({"documents": pieces}) == CITED[:1]


def test_what_ends_a_stream_is_a_chunk_without_text() -> None:
    [sources] = citations_in([PAGE])
    assert (sources.content, sources.finish_reason, sources.meta) == ("", None, {})
