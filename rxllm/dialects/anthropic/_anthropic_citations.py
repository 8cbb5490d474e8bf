"""Citations of the Messages API, as annotations in OpenAI's form.

The citation itself stays in the block of its text, word for word, with what the provider wants back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FILE_FIELDS = {"file_id": "file_id", "document_title": "filename", "cited_text": "cited_text"}
_URL_FIELDS = {"url": "url", "title": "title", "cited_text": "cited_text"}
_SOURCE_FIELDS = {"source": "url", "title": "title", "cited_text": "cited_text"}


def annotation_of(citation: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The annotation.

    Args:
        citation: The citation.
        index: The place of the part that it is of.

    >>> annotation_of({"type": "web_search_result_location", "url": "https://a.example", "title": "A"}, 2)
    {'type': 'url_citation', 'url_citation': {'url': 'https://a.example', 'title': 'A'}, 'part': 2}
    """
    if "url" in citation:
        kind, names = "url_citation", _URL_FIELDS
    elif "source" in citation:
        kind, names = "url_citation", _SOURCE_FIELDS
    else:
        kind, names = "file_citation", _FILE_FIELDS
    fields = {ours: citation[theirs] for theirs, ours in names.items() if citation.get(theirs) is not None}
    return {"type": kind, kind: fields, "part": index}
