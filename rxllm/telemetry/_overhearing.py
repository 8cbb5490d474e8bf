"""The last of the text that an operator gives, for applications that ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from reactivex import abc

from rxllm.flow import Link, batching
from rxllm.models import StreamChunk

__all__ = ["KEPT", "Overhearing"]

T = TypeVar("T")

KEPT = 80
"""How many characters are kept."""


class Overhearing(Link[T]):
    """Stands below an operator, and keeps the end of the text that passes.

    Args:
        observer: What is below.

    Attributes:
        text: The last of the text; ``None`` if what passes is none.
    """

    __slots__ = ("__weakref__", "text")

    def __init__(self, observer: abc.ObserverBase[T]) -> None:
        super().__init__(batching(observer))
        self.text: str | None = None

    def on_next(self, value: T) -> None:
        self._keep((value,))
        super().on_next(value)

    def on_batch(self, items: Sequence[T]) -> int:
        taken = super().on_batch(items)
        self._keep(items[:taken])
        return taken

    def _keep(self, items: Sequence[Any]) -> None:
        for item in items:
            if isinstance(item, (StreamChunk, str)):
                piece = item if isinstance(item, str) else item.text
                self.text = ((self.text or "") + piece)[-KEPT:]
