"""Content parts in OpenAI's words, as parts of the Gemini API.

Rules:

1. Texts, images, sound, video and files have a part. One that OpenAI does not know is of Gemini's own already, and goes
   as it is.
2. Empty texts are refused, so they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from mimetypes import MimeTypes
from typing import Any

from rxllm.dialects.gemini._gemini_errors import unsupported_by_gemini
from rxllm.models import is_object

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_UNKNOWN = "application/octet-stream"
_AUDIO = {"wav": "audio/wav", "mp3": "audio/mp3"}
# What Python knows by itself, and not what files of the machine say.
_KINDS = MimeTypes()


def parts_of(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The parts of a content.

    Args:
        content: A text, a list of parts, or nothing.

    Raises:
        UnsupportedRequestError: It has what cannot be said.
    """
    if content is None or isinstance(content, str):
        return [{"text": content}] if content else []
    return [part for each in content for part in _part_of(each)]


def _part_of(part: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    kind = part.get("type")
    inner = part.get(str(kind))
    if kind in {"text", "refusal"}:
        return [{"text": inner}] if isinstance(inner, str) and inner else []
    if kind in {"image_url", "video_url", "audio_url"}:
        url = inner.get("url") if is_object(inner) else inner
        return [_data_of(url, str(kind))]
    if kind == "input_audio" and is_object(inner):
        return [{"inlineData": {"mimeType": _AUDIO.get(str(inner.get("format")), _UNKNOWN), "data": inner.get("data")}}]
    if kind == "file" and is_object(inner):
        if isinstance(file_id := inner.get("file_id"), str):
            return [_file_at(file_id)]
        return [_data_of(inner.get("file_data"), "file")]
    if isinstance(kind, str):
        raise unsupported_by_gemini(kind, "its models accept text, images, sound, video and files")
    # A part of Gemini's own.
    return [{**part}]


def _data_of(url: object, field: str) -> dict[str, Any]:
    if not isinstance(url, str):
        raise unsupported_by_gemini(field, "it has no data")
    head = _DATA_URL.match(url)
    if head is None:
        if not url.lower().startswith(("https://", "http://", "gs://")):
            raise unsupported_by_gemini(field, "a source must be at https://, http://, gs:// or data:")
        return _file_at(url)
    if ";base64" not in head[2].lower():
        raise unsupported_by_gemini(field, "a data: URL must be in base64")
    return {"inlineData": {"mimeType": head[1].lower() or _UNKNOWN, "data": url[head.end() :]}}


def _file_at(uri: str) -> dict[str, Any]:
    # Vertex wants the kind to be said.
    kind, _ = _KINDS.guess_type(uri.partition("?")[0])
    return {"fileData": {"fileUri": uri, **({} if kind is None else {"mimeType": kind})}}
