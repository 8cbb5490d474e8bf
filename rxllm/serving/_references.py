"""Sources and pictures of an answer, in whatever form a provider gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rxllm.models import is_object
from rxllm.serving._told import Picture, Source

_ANY_IMAGE = "image/png"


class References:
    """The sources of a stream, each told once."""

    def __init__(self) -> None:
        self._count = 0
        self._known: set[tuple[str | None, str | None]] = set()
        self._of_step: list[tuple[str | None, str | None]] = []

    def sources(self, annotations: Iterable[Any]) -> Iterator[Source]:
        """Those that were not told yet."""
        for annotation in annotations:
            found = _source_of(annotation) if is_object(annotation) else None
            if found is not None and (key := (found.url, found.filename or found.title)) not in self._known:
                self._known.add(key)
                self._of_step.append(key)
                self._count += 1
                yield found._replace(id=f"s{self._count}")

    def keep(self) -> None:
        """Take note that the step has ended: what was told in it stays."""
        self._of_step.clear()

    def take_back(self) -> None:
        """Take note that what was told in the step does not count: it is told again if it comes again."""
        self._known.difference_update(self._of_step)
        self._of_step.clear()


def pictures(images: Iterable[Any]) -> Iterator[Picture]:
    """Those that came as ``image_url``, as chat completions have them."""
    for image in images:
        inner = image.get("image_url") if is_object(image) else None
        url = inner.get("url") if is_object(inner) else inner
        if isinstance(url, str) and _is_picture(url):
            yield Picture(url, media_type_of(url))


def picture_of_block(block: Mapping[str, Any] | None) -> Iterator[Picture]:
    """That which a part has as base64, as Responses gives it."""
    result = None if block is None else block.get("result")
    if block is not None and isinstance(result, str) and result:
        media_type = f"image/{block.get('output_format') or 'png'}"
        yield Picture(f"data:{media_type};base64,{result}", media_type)


def media_type_of(url: str) -> str:
    """What a ``data:`` URL says it has; else a guess.

    >>> media_type_of("data:image/webp;base64,AAAA"), media_type_of("https://example.com/cat")
    ('image/webp', 'image/png')
    """
    head, found, _ = url.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0]
    return media_type if found and head.startswith("data:") and "/" in media_type else _ANY_IMAGE


def _source_of(annotation: Mapping[str, Any]) -> Source | None:
    kind = annotation.get("type")
    inner = annotation.get(kind) if isinstance(kind, str) else None
    said = inner if is_object(inner) else annotation
    url, title, name = (_text(said.get(key)) for key in ("url", "title", "filename"))
    if url and _is_web(url):
        return Source("", url=url, title=title)
    # What a browser must not be led to is told by its name.
    if told := title or name or url:
        return Source("", title=told, media_type="text/plain", filename=name)
    return None


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _is_picture(url: str) -> bool:
    return _is_web(url) or url.lower().startswith("data:image/")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
