"""Content parts in OpenAI's words, as blocks of the Messages API.

Rules:

1. Texts, images and documents have a block. Sound and video have none, which is an error.
2. A part that OpenAI does not know is a block of Anthropic's already, and goes as it is.
3. The server refuses texts without a letter, so they are left out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from rxllm.dialects.anthropic._anthropic_errors import unsupported
from rxllm.models import Repair, is_object

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_LOST = "lost-in-conversion"
_UNKNOWN = "application/octet-stream"


class Blocks:
    """The blocks of one message, and what is lost on the way there.

    Attributes:
        repairs: What is lost.
        place: Which message it is, for the repairs.
    """

    def __init__(self, place: int, repairs: list[Repair]) -> None:
        self.place = place
        self.repairs = repairs

    def of(self, content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        """The blocks of a content.

        Args:
            content: A text, a list of parts, or nothing.

        Raises:
            UnsupportedRequestError: A part has no block.
        """
        if content is None or isinstance(content, str):
            return text_blocks(content or "")
        return [block for part in content for block in self._of_part(part)]

    def _of_part(self, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        kind = part.get("type")
        if kind in {"text", "refusal"}:
            text = part.get("text") if kind == "text" else part.get("refusal")
            if not isinstance(text, str) or not text.strip():
                return []
            return [{**part}] if kind == "text" else text_blocks(text)
        inner = part.get(str(kind))
        if kind == "image_url":
            return [{**_rest_of(part), **self._image(inner)}]
        if kind == "file" and is_object(inner):
            return [{**_rest_of(part), **_document(inner)}]
        if kind in {"input_audio", "video_url", "audio_url", "input_video"}:
            raise unsupported(str(kind), "its models accept text, images and documents")
        return [{**part}]

    def _image(self, image: object) -> dict[str, Any]:
        fields = image if is_object(image) else {"url": image}
        url = fields.get("url")
        if not isinstance(url, str):
            raise unsupported("image_url", "it has no url")
        if fields.get("detail") not in {None, "auto"}:
            self.repairs.append(Repair(_LOST, self.place, ["detail"], None))
        return {"type": "image", "source": _source(url, "image_url")}


def text_blocks(text: str) -> list[dict[str, Any]]:
    """A text as blocks: one, or none if there is nothing in it."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _rest_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """What a part has besides, as ``cache_control``."""
    return {name: value for name, value in part.items() if name not in {"type", part["type"]}}


def _source(url: str, field: str) -> dict[str, Any]:
    head = _DATA_URL.match(url)
    if head is None:
        if not url.lower().startswith(("https://", "http://")):
            raise unsupported(field, "a source must be at https://, http:// or data:")
        return {"type": "url", "url": url}
    data = url[head.end() :]
    if ";base64" not in head[2].lower():
        raise unsupported(field, "a data: URL must be in base64")
    return {"type": "base64", "media_type": head[1].lower() or _UNKNOWN, "data": data}


def _document(file: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(file_id := file.get("file_id"), str):
        return {"type": "document", "source": {"type": "file", "file_id": file_id}}
    data = file.get("file_data")
    if not isinstance(data, str):
        raise unsupported("file", "it has neither file_id nor file_data")
    source = _source(data, "file")
    media_type = source.get("media_type", "application/pdf")
    if media_type.startswith("image/"):
        return {"type": "image", "source": source}
    if media_type.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _text_of(source["data"])}
    elif media_type != "application/pdf":
        raise unsupported("file", f"a document is a PDF or a text, not {media_type}")
    title = {"title": name} if isinstance(name := file.get("filename"), str) and name else {}
    return {"type": "document", "source": source, **title}


def _text_of(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError) as problem:
        raise unsupported("file", "a text must be UTF-8 in base64") from problem
