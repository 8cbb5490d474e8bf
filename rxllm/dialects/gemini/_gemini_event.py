"""What an event of the Gemini API looks like, and what stands in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from rxllm.dialects.gemini._gemini_usage import NO_USAGE
from rxllm.models import is_list, is_object, loads

_OF_ANSWERS = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")
_BETWEEN = " \t\r\n,"
_decoder = json.JSONDecoder()


class _Text(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str
    thought: bool = False


class _Content(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    parts: tuple[_Text]
    role: str | None = None


class _Candidate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: _Content
    index: int = 0


class _TextEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """More of a text: what nearly all events are."""

    candidates: tuple[_Candidate]
    usage: msgspec.Raw = msgspec.field(name="usageMetadata", default=NO_USAGE)
    model: str | None = msgspec.field(name="modelVersion", default=None)
    id: str | None = msgspec.field(name="responseId", default=None)
    created: str | None = msgspec.field(name="createTime", default=None)


decode_text: Callable[[str], _TextEvent] = msgspec.json.Decoder(_TextEvent).decode
"""Read an event that is one piece of a text; anything else is refused."""

REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)
"""How ``decode_text`` refuses."""


def is_answer(fields: Mapping[str, Any]) -> bool:
    """Whether an object is a response."""
    return any(name in fields for name in _OF_ANSWERS)


def unwrapped(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response that a gateway put into another object."""
    inner = fields.get("response")
    return inner if is_object(inner) and not is_answer(fields) else fields


def with_kind(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """An error whose kind stands where others have it: Google calls it the status."""
    error = fields.get("error")
    status = error.get("status") if is_object(error) else None
    return {**fields, "error": {"type": status, **error}} if is_object(error) and isinstance(status, str) else fields


def events_in_body(body: str) -> tuple[list[Mapping[str, Any]], bool]:
    """The responses in a body that is not an event stream: an array of them, or one.

    Returns:
        The objects; whether the array was cut, so that more were to come.
    """
    try:
        value = loads(body)
    except ValueError:
        return _whole_objects(body.lstrip()), True
    return [each for each in (value if is_list(value) else [value]) if is_object(each)], False


def _whole_objects(text: str) -> list[Mapping[str, Any]]:
    """The objects of an array that was cut."""
    found: list[Mapping[str, Any]] = []
    at = 1 if text.startswith("[") else len(text)
    while at < len(text):
        if text[at] in _BETWEEN:
            at += 1
            continue
        try:
            value, at = cast("tuple[object, int]", _decoder.raw_decode(text, at))
        except (ValueError, RecursionError):
            break
        if is_object(value):
            found.append(value)
    return found
