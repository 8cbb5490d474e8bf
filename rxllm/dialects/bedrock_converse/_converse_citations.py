"""Citations of the Converse API, as annotations in OpenAI's form. The block of a text keeps the citation itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.models import is_list, is_object

_SCHEMES = ("http://", "https://")


def annotation_of(citation: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The annotation.

    Args:
        citation: The citation.
        index: The place of the part that it is of.

    >>> annotation_of({"title": "A", "location": {"web": {"url": "https://a.example"}}}, 2)
    {'type': 'url_citation', 'url_citation': {'url': 'https://a.example', 'title': 'A'}, 'part': 2}
    """
    url = _url_of(citation)
    title = citation.get("title")
    if url is not None:
        kind, fields = "url_citation", {"url": url, "title": title}
    else:
        kind, fields = "file_citation", {"filename": title}
    sources = citation.get("sourceContent")
    texts = [each.get("text") for each in sources if is_object(each)] if is_list(sources) else []
    cited = "".join([text for text in texts if isinstance(text, str)])
    known = {name: value for name, value in {**fields, "cited_text": cited or None}.items() if isinstance(value, str)}
    return {"type": kind, kind: known, "part": index}


def _url_of(citation: Mapping[str, Any]) -> str | None:
    """The address of the source, if it has one."""
    location = citation.get("location")
    web = location.get("web") if is_object(location) else None
    found = web.get("url") if is_object(web) else citation.get("source")
    return found if isinstance(found, str) and (is_object(web) or found.startswith(_SCHEMES)) else None
