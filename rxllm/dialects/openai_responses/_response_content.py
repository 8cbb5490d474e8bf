"""The content of a message: from the parts of chat completions to those of Responses.

A rule: a part that begins with ``input_`` or ``output_`` is in the words of Responses already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rxllm.exceptions import UnsupportedRequestError
from rxllm.models import is_object

NAME = "openai-responses"


def content_of(content: str | list[dict[str, Any]] | None) -> str | list[dict[str, Any]]:
    """The content of a message that is input.

    Raises:
        UnsupportedRequestError: A part of it cannot be said.
    """
    return [_part(part) for part in content] if isinstance(content, list) else content or ""


def answered(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The content of an answer of a model, without texts that say nothing.

    Raises:
        UnsupportedRequestError: There is more in it than texts and refusals.
    """
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return [part for each in parts if (part := _answered_part(each)) is not None]


def _answered_part(part: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = part.get("type")
    if kind == "text":
        return {"type": "output_text", "text": part["text"]} if part.get("text") else None
    if kind == "output_text":
        return {**part} if part.get("text") else None
    if kind == "refusal":
        return {**part} if part.get("refusal") else None
    raise unsupported(f"a content part of type {kind!r} in an answer cannot be sent", "messages")


def unsupported(message: str, field: str) -> UnsupportedRequestError:
    """The error about what the dialect cannot say."""
    return UnsupportedRequestError(f"{message} with the Responses API of OpenAI", dialect=NAME, field=field)


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if isinstance(kind, str):
        if kind.startswith(("input_", "output_")) and kind != "input_audio":
            return {**part}
        if (take := _PARTS.get(kind)) is not None:
            return take(part)
    raise unsupported(f"a content part of type {kind!r} cannot be sent", "messages")


def _text(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "input_text", "text": part.get("text") or ""}


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    said = part.get("image_url")
    url, detail = (said.get("url"), said.get("detail")) if is_object(said) else (said, None)
    return {"type": "input_image", "image_url": url, "detail": detail or "auto"}


def _file(part: Mapping[str, Any]) -> dict[str, Any]:
    said = part.get("file")
    fields: Mapping[str, Any] = said if is_object(said) else {}
    return {"type": "input_file", **{name: value for name, value in fields.items() if value is not None}}


_PARTS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {"text": _text, "image_url": _image, "file": _file}
)
