"""The content of OpenAI chat messages, as Haystack holds it."""

import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from haystack.dataclasses import FileContent, ImageContent, TextContent

from hayserve.errors import InvalidRequest

Part = TextContent | ImageContent | FileContent

_DETAILS = ("auto", "high", "low")


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))


def text_of(content: object, *, where: str) -> str:
    """The text of a message that may hold nothing else; text parts are joined by newlines."""
    if isinstance(content, str):
        return content
    return "\n".join(
        string_of(_part(part, "text", where=at), "text", where=at)
        for at, part in _numbered(content, where=where)
    )


def text_and_refusal_of(content: object, *, where: str) -> tuple[str | None, str | None]:
    """The text of an assistant's message apart from its refusal."""
    if content is None or isinstance(content, str):
        return content, None
    found: dict[str, list[str]] = {"text": [], "refusal": []}
    for at, part in _numbered(content, where=where):
        kind = _part(part, *found, where=at)["type"]
        found[kind].append(string_of(part, kind, where=at))
    text, refusal = ("\n".join(texts) if texts else None for texts in found.values())
    return text, refusal


def parts_of(content: object, *, where: str) -> list[Part]:
    """The parts of a user's message: texts, images, files and sounds."""
    parts = [_haystack_part(part, where=at) for at, part in _numbered(content, where=where)]
    if not parts:
        raise InvalidRequest(
            f"{where} is an empty list.", hint="Send at least one content part.", param=where
        )
    return parts


def _haystack_part(part: object, *, where: str) -> Part:
    known = _part(part, "text", "image_url", "file", "input_audio", where=where)
    kind: str = known["type"]
    if kind == "text":
        return TextContent(text=string_of(known, "text", where=where))
    given, at = known.get(kind), f"{where}.{kind}"
    if kind == "image_url":
        return _image(given, where=at)
    return _file(given, where=at) if kind == "file" else _audio(given, where=at)


def _image(image: object, *, where: str) -> ImageContent:
    if isinstance(image, str):  # some clients send the URL without the object around it
        image = {"url": image}
    if not is_mapping(image):
        raise wrong_type(image, "an object with a `url`", where=where)
    detail = image.get("detail")
    if detail is not None and detail not in _DETAILS:
        raise InvalidRequest(
            f"{where}.detail is {detail!r}.",
            hint=f"Use one of {', '.join(_DETAILS)}.",
            param=f"{where}.detail",
        )
    at = f"{where}.url"
    mime_type, data = _data_url(string_of(image, "url", where=where), where=at)
    try:
        return ImageContent(base64_image=data, mime_type=mime_type, detail=detail)
    except ValueError as error:
        raise InvalidRequest(f"{at} holds no usable image: {error}", param=at) from error


def _file(file: object, *, where: str) -> FileContent:
    if not is_mapping(file):
        raise wrong_type(file, "an object with `file_data`", where=where)
    if not file.get("file_data"):
        said = f"names {file['file_id']!r}, which is not kept here" if file.get("file_id") else ""
        raise InvalidRequest(
            f"{where} {said or 'has no `file_data`'}.",
            hint="Send the file itself, as a base64 data URL, or the id of one that is kept here.",
            param=f"{where}.file_data",
        )
    at = f"{where}.file_data"
    data = string_of(file, "file_data", where=where)
    filename = file.get("filename") and string_of(file, "filename", where=where)
    mime_type = mimetypes.guess_type(filename)[0] if filename else None
    if data.startswith("data:"):
        mime_type, data = _data_url(data, where=at)
    try:
        return FileContent(base64_data=data, mime_type=mime_type, filename=filename)
    except ValueError as error:
        raise InvalidRequest(f"{at} holds no usable file: {error}", param=at) from error


def _audio(audio: object, *, where: str) -> FileContent:
    """Haystack has no content of its own for what can be heard."""
    if not is_mapping(audio):
        raise wrong_type(audio, "an object with `data` and `format`", where=where)
    mime_type = f"audio/{string_of(audio, 'format', where=where)}"
    at = f"{where}.data"
    try:
        return FileContent(string_of(audio, "data", where=where), mime_type=mime_type)
    except ValueError as error:
        raise InvalidRequest(f"{at} holds no usable audio: {error}", param=at) from error


def _data_url(url: str, *, where: str) -> tuple[str | None, str]:
    if url.startswith(("http://", "https://")):
        raise InvalidRequest(
            f"{where} is an address on the web, and this server does not fetch those.",
            hint="Send the content itself, as `data:<type>;base64,<data>`.",
            param=where,
        )
    header, found, data = url.partition(";base64,")
    if not (found and header.startswith("data:")):
        raise InvalidRequest(
            f"{where} is not a base64 data URL.",
            hint="The form is `data:<type>;base64,<data>`.",
            param=where,
        )
    mime_type = header.removeprefix("data:").partition(";")[0]
    return mime_type or None, data


def _numbered(content: object, *, where: str) -> list[tuple[str, Any]]:
    if not is_list(content):
        raise wrong_type(content, "a string or a list of content parts", where=where)
    return [(f"{where}[{index}]", part) for index, part in enumerate(content)]


def _part(part: object, *kinds: str, where: str) -> Mapping[str, Any]:
    if not is_mapping(part):
        raise wrong_type(part, "an object with a `type`", where=where)
    if part.get("type") not in kinds:
        raise InvalidRequest(
            f"{where} is a content part of type {part.get('type')!r}.",
            hint=f"Supported here: {', '.join(kinds)}.",
            param=f"{where}.type",
        )
    return part


def string_of(holder: Mapping[str, Any], key: str, *, where: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        raise wrong_type(value, "a string", where=f"{where}.{key}")
    return value


def wrong_type(value: object, wanted: str, *, where: str) -> InvalidRequest:
    given = "missing" if value is None else f"of type {type(value).__name__!r}"
    return InvalidRequest(f"{where} is {given}.", hint=f"Send {wanted}.", param=where)
