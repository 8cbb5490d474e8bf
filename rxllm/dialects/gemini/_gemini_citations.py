"""Sources of an answer of the Gemini API, as annotations in OpenAI's form.

Rules:

1. Each event may tell all of them again: one is given once.
2. Where in the text a source belongs to is counted in bytes of UTF-8, and stays so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rxllm.models import is_list, is_object


class Citations:
    """The sources of one candidate."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: set[tuple[Any, ...]] = set()

    def take(self, said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Take what an event says of a candidate.

        Returns:
            The annotations that were not given yet.
        """
        for found in (*_grounded(said.get("groundingMetadata")), *_cited(said.get("citationMetadata"))):
            key = tuple(sorted(found.items()))
            if key not in self._given:
                self._given.add(key)
                yield {"type": "url_citation", "url_citation": found}


def _grounded(metadata: object) -> Iterator[dict[str, Any]]:
    if not is_object(metadata):
        return
    chunks = [*_objects(metadata.get("groundingChunks"))]
    sources = [_source(chunk.get("web") or chunk.get("retrievedContext")) for chunk in chunks]
    used: set[int] = set()
    for support in _objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        where = _segment(segment if is_object(segment) else {})
        indices = support.get("groundingChunkIndices")
        for index in indices if is_list(indices) else ():
            if isinstance(index, int) and 0 <= index < len(sources) and sources[index]:
                used.add(index)
                yield {**sources[index], **where}
    yield from (source for index, source in enumerate(sources) if source and index not in used)


def _cited(metadata: object) -> Iterator[dict[str, Any]]:
    if is_object(metadata):
        for source in _objects(metadata.get("citationSources") or metadata.get("citations")):
            if found := _source(source):
                yield {**found, **_segment(source)}


def _source(said: object) -> dict[str, Any]:
    if not is_object(said) or not isinstance(url := said.get("uri"), str):
        return {}
    title = said.get("title")
    return {"url": url, **({"title": title} if isinstance(title, str) else {})}


def _segment(said: Mapping[str, Any]) -> dict[str, int]:
    begin, end = said.get("startIndex", 0), said.get("endIndex")
    return {"start_index": begin, "end_index": end} if isinstance(begin, int) and isinstance(end, int) else {}


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [each for each in value if is_object(each)] if is_list(value) else ()
