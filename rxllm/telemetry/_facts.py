"""What the chunks of an answer tell, as far as telemetry wants to know it.

Rules:

1. Of most chunks only this is looked at: whether it says something new of its stream, has usage, or ends a choice.
2. What is said is kept only if it is asked for.
3. When an answer begins anew, what was known of it is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxllm.accumulators import Stopwatch, StreamAccumulator, usage_after
from rxllm.logs import logger
from rxllm.models import ChatCompletion, StreamChunk, StreamInfo, Usage, is_reason

_NOTHING_SEEN: Any = object()


class Facts:
    """What is known of an answer.

    Args:
        watch: What measures it.
        captures: Whether what is said is kept.

    Attributes:
        chunks: How many items came.
        stream: What is known of the request.
        usage: What it cost.
        head: Identifier, model, tier and fingerprint, by their names.
    """

    __slots__ = ("_content", "_known", "_open", "_reasons", "_slots", "chunks", "head", "stream", "usage", "watch")

    def __init__(self, watch: Stopwatch, *, captures: bool) -> None:
        self.watch = watch
        self.chunks = 0
        self.stream: StreamInfo | None = None
        self._slots: Any = _NOTHING_SEEN
        self._content = StreamAccumulator() if captures else None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.usage: Usage | None = None
        self.head: dict[str, str] = {}
        # The choices that go on, and why the others ended.
        self._open: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._known: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether each choice that was seen has ended."""
        return bool(self._reasons) and not self._open

    @property
    def reasons(self) -> list[str] | None:
        """Why the choices ended, in their order; ``None`` if none has."""
        return [self._reasons[index] for index in sorted(self._reasons)] or None

    def add(self, items: Sequence[Any], stream: StreamInfo | None = None) -> None:
        """Take items that came together; those of other classes than chunks are counted.

        The watch has been told of them.

        Args:
            items: The items.
            stream: What their source knows of its request, for chunks that do not tell.
        """
        self.chunks += len(items)
        slots, known = self._slots, self._known
        for item in items:
            try:
                (choice,) = item.choices
                if item.slots is slots and choice.index == known and choice.finish_reason is item.usage is None:
                    continue
            except (AttributeError, ValueError):
                pass  # of another class, or with several choices
            if isinstance(item, StreamChunk):
                self._look(item, items)
                slots, known = self._slots, self._known
        if self.stream is None:
            self.stream = stream
        if self._content is not None:
            self._keep(self._content, items)

    def _look(self, chunk: StreamChunk, items: Sequence[object]) -> None:
        """See what a chunk says that is new."""
        if chunk.slots is not self._slots:
            self._slots = chunk.slots
            left = 1
            if chunk.restarts:
                self._begin_anew()
                left = len(items) - next(place for place, item in enumerate(items) if item is chunk)
            self.watch.look(chunk, left)
            self.stream = chunk.stream or self.stream
        if chunk.usage is not None:
            self.usage, _ = usage_after(self.usage, chunk)
        self._note_head(chunk)
        for choice in chunk.choices:
            index, reason = choice.index, choice.finish_reason
            if reason is not None and is_reason(reason):
                self._open.discard(index)
                self._reasons[index] = str(reason)
            elif index not in self._reasons:
                self._open.add(index)
        # The only choice that goes on: of its chunks nothing else is asked.
        self._known = next(iter(self._open)) if len(self._open) == 1 else None

    def _note_head(self, chunk: StreamChunk) -> None:
        # The first identifier counts, and the last model: another may have taken over on the way.
        head = self.head
        for name in ("model", "id", "service_tier", "system_fingerprint"):
            if name == "model" or name not in head:
                value = getattr(chunk, name)
                if value and isinstance(value, str):
                    head[name] = value

    def _keep(self, content: StreamAccumulator, items: Sequence[object]) -> None:
        try:
            content.add_all(item for item in items if isinstance(item, StreamChunk))
        except Exception as error:  # noqa: BLE001 - it is for who consumes the stream to complain
            self._content = None
            logger.warning("telemetry tells no content of an answer: {}", type(error).__name__)

    def said(self) -> ChatCompletion | None:
        """What was said so far, if that is kept."""
        return None if self._content is None else self._content.partial()
