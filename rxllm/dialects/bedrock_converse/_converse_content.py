"""Content parts in OpenAI's words, as blocks of the Converse API.

Rules:

1. Texts, images, documents, sound and video have a block. Their data is in the request: of addresses, only those of S3
   can be told.
2. A part without one of OpenAI's types is a block of the Converse API already, as ``{"cachePoint": …}``, and goes as it
   is.
3. The server refuses texts without a letter, so they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rxllm.dialects.bedrock_converse._converse_errors import unsupported
from rxllm.models import Repair, is_object

LOST = "lost-in-conversion"
"""The repair about what does not go along."""

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_S3 = "s3://"
# Formats are named as the ends of files, and some media types are not.
_FORMATS: Mapping[str, str] = {
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/plain": "txt",
    "text/markdown": "md",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/3gpp": "three_gp",
}
# What the name of a document may have.
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
_MEDIA = {"video_url": "video", "input_video": "video", "audio_url": "audio"}


class Blocks:
    """The blocks of one message, and what is lost on the way there.

    Args:
        place: Which message it is, for the repairs.
        repairs: What is lost.
    """

    def __init__(self, place: int, repairs: list[Repair]) -> None:
        self.place = place
        self.repairs = repairs

    def lose(self, *names: str) -> None:
        """Note what does not go along."""
        if names:
            self.repairs.append(Repair(LOST, self.place, sorted(names), None))

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
        if not isinstance(kind, str):
            return [{**part}]
        self.lose(*(part.keys() - {"type", kind}))
        inner = part.get(kind)
        if kind in {"text", "refusal"}:
            return text_blocks(inner) if isinstance(inner, str) else []
        if kind == "image_url":
            return [{"image": self._image(inner)}]
        if kind == "file" and is_object(inner):
            return [{"document": _document(inner)}]
        if kind == "input_audio" and is_object(inner):
            return [{"audio": {"format": inner.get("format"), "source": {"bytes": inner.get("data")}}}]
        if kind in _MEDIA:
            return [{_MEDIA[kind]: _located(inner.get("url") if is_object(inner) else inner, kind)}]
        raise unsupported(kind, "a content part is a text, an image, a file, sound or video, or a block of its own")

    def _image(self, image: object) -> dict[str, Any]:
        fields = image if is_object(image) else {"url": image}
        if fields.get("detail") not in {None, "auto"}:
            self.lose("detail")
        return _located(fields.get("url"), "image_url")


def text_blocks(text: str) -> list[dict[str, Any]]:
    """A text as blocks: one, or none if there is nothing in it."""
    return [{"text": text}] if text.strip() else []


def _located(url: object, field: str) -> dict[str, Any]:
    """Format and source of what is at a URL, or in it.

    Raises:
        UnsupportedRequestError: It is anywhere else.
    """
    if not isinstance(url, str):
        raise unsupported(field, "it has no url")
    if url.lower().startswith(_S3):
        end = url.rpartition(".")[2].lower()
        return {"format": "jpeg" if end == "jpg" else end, "source": {"s3Location": {"uri": url}}}
    head = _DATA_URL.match(url)
    if head is None or ";base64" not in head[2].lower():
        raise unsupported(field, "its data has to be in the request, as data:…;base64,…, or in S3, as s3://…")
    return {"format": _format_of(head[1].lower()), "source": {"bytes": url[head.end() :]}}


def _format_of(media_type: str) -> str:
    return _FORMATS.get(media_type, media_type.rpartition("/")[2] or "txt")


def _document(file: Mapping[str, Any]) -> dict[str, Any]:
    data, name = file.get("file_data"), file.get("filename")
    if not isinstance(data, str):
        raise unsupported("file", "it has no file_data: nothing is stored under a file_id")
    name = name if isinstance(name, str) else ""
    plain = _NOT_IN_A_NAME.sub(" ", name.rpartition(".")[0] or name).strip()
    return {"name": plain or "document", **_located(data, "file")}
