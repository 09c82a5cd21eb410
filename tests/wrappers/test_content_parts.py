from typing import Any

import pytest
from haystack.dataclasses import FileContent, ImageContent, TextContent

from hayserve.errors import InvalidRequest
from hayserve.wrappers.content_parts import parts_of, text_and_refusal_of, text_of

PNG = "data:image/png;base64,aGVsbG8="


def image(url: Any, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


def audio(**fields: Any) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": fields}


def test_texts_images_and_files_become_haystacks_parts() -> None:
    content = [
        {"type": "text", "text": "What is this?"},
        image(PNG),
        image(PNG, detail="high"),
        {"type": "image_url", "image_url": PNG},
        file(file_data="data:application/pdf;base64,aGVsbG8=", filename="a.pdf"),
    ]
    assert parts_of(content, where="content") == [
        TextContent("What is this?"),
        ImageContent(base64_image="aGVsbG8=", mime_type="image/png"),
        ImageContent(base64_image="aGVsbG8=", mime_type="image/png", detail="high"),
        ImageContent(base64_image="aGVsbG8=", mime_type="image/png"),
        FileContent(base64_data="aGVsbG8=", mime_type="application/pdf", filename="a.pdf"),
    ]


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_a_sound_becomes_a_file_of_its_format(kind: str) -> None:
    (part,) = parts_of([audio(data="aGVsbG8=", format=kind)], where="content")
    assert part == FileContent(base64_data="aGVsbG8=", mime_type=f"audio/{kind}")


def test_parameters_of_a_data_urls_type_are_dropped() -> None:
    (part,) = parts_of([image("data:image/png;name=a.png;base64,aGVsbG8=")], where="content")
    assert part == ImageContent(base64_image="aGVsbG8=", mime_type="image/png")


def test_a_bare_base64_file_gets_its_type_from_its_name() -> None:
    (part,) = parts_of([file(file_data="aGVsbG8=", filename="a.txt")], where="content")
    assert part == FileContent(base64_data="aGVsbG8=", mime_type="text/plain", filename="a.txt")


def test_a_data_url_without_a_type_is_looked_into() -> None:
    pdf = "JVBERi0xLjQK"
    (part,) = parts_of([file(file_data=f"data:;base64,{pdf}")], where="content")
    assert part == FileContent(base64_data=pdf, mime_type="application/pdf")


@pytest.mark.parametrize("url", ["http://example.com/a.png", "https://example.com/a.png"])
def test_an_image_on_the_web_is_not_fetched(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parts_of([{"type": "text", "text": "A"}, image(url)], where="messages[2].content")
    assert refused.value.param == "messages[2].content[1].image_url.url"
    assert str(refused.value) == (
        "messages[2].content[1].image_url.url is an address on the web, and this server does not "
        "fetch those. Send the content itself, as `data:<type>;base64,<data>`."
    )


@pytest.mark.parametrize(
    ("part", "param", "text"),
    [
        ("A", "content[0]", "content[0] is of type 'str'."),
        ({"text": "A"}, "content[0].type", "content[0] is a content part of type None."),
        ({"type": "video"}, "content[0].type", "content[0] is a content part of type 'video'."),
        ({"type": "input_audio"}, "content[0].input_audio", "content[0].input_audio is missing."),
        (
            audio(data="aGVsbG8="),
            "content[0].input_audio.format",
            "content[0].input_audio.format is missing.",
        ),
        (
            audio(data=5, format="wav"),
            "content[0].input_audio.data",
            "content[0].input_audio.data is of type 'int'.",
        ),
        (
            audio(data="!", format="wav"),
            "content[0].input_audio.data",
            "content[0].input_audio.data holds no usable audio: The base64 string is not valid",
        ),
        ({"type": "text"}, "content[0].text", "content[0].text is missing."),
        ({"type": "image_url"}, "content[0].image_url", "content[0].image_url is missing."),
        (image(None), "content[0].image_url.url", "content[0].image_url.url is missing."),
        (
            image("aGVsbG8="),
            "content[0].image_url.url",
            "content[0].image_url.url is not a base64 data URL.",
        ),
        (
            image("data:image/png,hello"),
            "content[0].image_url.url",
            "content[0].image_url.url is not a base64 data URL.",
        ),
        (
            image("data:image/png;base64,!"),
            "content[0].image_url.url",
            "content[0].image_url.url holds no usable image: The base64 string is not valid",
        ),
        (
            image("data:text/plain;base64,aGVsbG8="),
            "content[0].image_url.url",
            (
                "content[0].image_url.url holds no usable image: text/plain is not a valid image "
                "MIME type."
            ),
        ),
        (
            image(PNG, detail="all"),
            "content[0].image_url.detail",
            "content[0].image_url.detail is 'all'.",
        ),
        ({"type": "file"}, "content[0].file", "content[0].file is missing."),
        (
            file(filename="a.txt"),
            "content[0].file.file_data",
            "content[0].file has no `file_data`.",
        ),
        (
            file(file_id="file-nope"),
            "content[0].file.file_data",
            "content[0].file names 'file-nope', which is not kept here.",
        ),
        (
            file(file_data=5),
            "content[0].file.file_data",
            "content[0].file.file_data is of type 'int'.",
        ),
        (
            file(file_data="aGk=", filename=5),
            "content[0].file.filename",
            "content[0].file.filename is of type 'int'.",
        ),
        (
            file(file_data="!"),
            "content[0].file.file_data",
            "content[0].file.file_data holds no usable file: The base64 string is not valid",
        ),
    ],
)
def test_a_part_that_cannot_be_converted_is_refused_by_its_place(
    part: Any, param: str, text: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parts_of([part], where="content")
    assert (refused.value.param, refused.value.message) == (param, text)


def test_text_parts_are_joined_where_only_text_is_allowed() -> None:
    content = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert text_of(content, where="content") == "A\nB"


def test_an_image_is_refused_where_only_text_is_allowed() -> None:
    with pytest.raises(InvalidRequest) as refused:
        text_of([image(PNG)], where="messages[0].content")
    assert str(refused.value) == (
        "messages[0].content[0] is a content part of type 'image_url'. Supported here: text."
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, (None, None)),
        ("A", ("A", None)),
        ([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}], ("A\nB", None)),
        ([{"type": "refusal", "refusal": "No."}], (None, "No.")),
        ([{"type": "text", "text": "A"}, {"type": "refusal", "refusal": "No."}], ("A", "No.")),
    ],
)
def test_an_assistants_refusal_is_kept_apart_from_its_text(content: Any, expected: Any) -> None:
    assert text_and_refusal_of(content, where="content") == expected
