"""Citations of Cohere's Chat API, as annotations in OpenAI's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects.cohere._cohere_fields import as_list, as_object

_PLACES = {"start": "start_index", "end": "end_index"}
# What a source is: a document of the request, or the result of a tool.
_SOURCES = ("document", "tool_output")


def annotations_of(citation: Mapping[str, Any], index: int | None) -> list[dict[str, Any]]:
    """The annotations: one for each source.

    Args:
        citation: The citation.
        index: The place of the part that it is of; ``None`` if nobody knows.

    >>> annotations_of({"start": 0, "end": 5, "sources": [{"id": "d1", "document": {"title": "A"}}]}, 2)
    [{'type': 'file_citation', 'file_citation': {'start_index': 0, 'end_index': 5, 'file_id': 'd1', 'filename': 'A'}, \
'part': 2}]
    """
    place = {ours: citation[theirs] for theirs, ours in _PLACES.items() if citation.get(theirs) is not None}
    return [_annotation(as_object(source), place, index) for source in as_list(citation.get("sources"))]


def _annotation(source: Mapping[str, Any], place: Mapping[str, Any], index: int | None) -> dict[str, Any]:
    said = next(filter(None, (as_object(source.get(name)) for name in _SOURCES)), as_object(None))
    url, title = said.get("url"), said.get("title")
    if isinstance(url, str):
        kind, fields = "url_citation", {"url": url, "title": title}
    else:
        kind, fields = "file_citation", {"file_id": source.get("id"), "filename": title}
    told = {name: value for name, value in fields.items() if value is not None}
    return {"type": kind, kind: {**place, **told}, **({} if index is None else {"part": index})}
