"""``content``."""

from __future__ import annotations

from collections.abc import Sequence

from reactivex import Observable, abc

from rxllm.exceptions import RestartError
from rxllm.models import StreamChunk
from rxllm.models._chunk import Slots, text_of
from rxllm.operators._stage import Receiver, Stage, batching, each
from rxllm.typing import OperatorFunction

__all__ = ["content"]


def content() -> OperatorFunction[StreamChunk, str]:
    """Emit the text deltas of choice 0.

    ::

        source  --a-b-c-d-|
                content()
        result  --x-y-----|

        a=text_chunk("Hel") b=text_chunk("lo") c=text_chunk("other", choice=1) d=finish_chunk("stop")
        x="Hel" y="lo"

    Chunks without text, and those of other choices, give nothing. Emits at once; errors pass through. Text that was
    emitted cannot be taken back: if the answer begins anew behind it, that is an error.

    Returns:
        An operator from ``StreamChunk`` to ``str``; no item is empty.

    Raises:
        RestartError: As ``on_error``: the answer begins anew, and some of its text was emitted.

    Example:
        >>> import reactivex, rxllm
        >>> from reactivex import operators as rx_ops
        >>> from rxllm import operators as ops
        >>> chunk = rxllm.StreamChunk.model_validate({"choices": [{"index": 0, "delta": {"content": "Hello"}}]})
        >>> rxllm.run(reactivex.of(chunk, chunk).pipe(ops.content(), rx_ops.to_list()))
        ['Hello', 'Hello']

    See also:
        ``accumulate``, ``tee_to_display``
    """

    def content_(source: Observable[StreamChunk]) -> Observable[str]:
        def subscribe(
            observer: abc.ObserverBase[str], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            return _Contents(observer).follow(source, scheduler)

        return Stage(subscribe)

    return content_


class _Contents(Receiver[StreamChunk]):
    """One subscription."""

    def __init__(self, observer: abc.ObserverBase[str]) -> None:
        self._on_next = observer.on_next
        self._observer = batching(observer)
        self._slots: Slots | None = None
        self._has_emitted = False

    def on_next(self, value: StreamChunk) -> None:
        text = text_of(value)
        if value.slots is not self._slots and self._is_restarted(value):
            self.on_error(RestartError("content"))
        elif text:
            self._has_emitted = True
            self._on_next(text)

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        texts: list[str] = []
        for chunk in items:
            text = text_of(chunk)
            if not text or chunk.slots is not self._slots:
                # Not as many texts as chunks.
                return each(self.on_next, items, lambda: self._left)
            texts.append(text)
        self._has_emitted = True
        return self._observer.on_batch(texts)

    def _is_restarted(self, chunk: StreamChunk) -> bool:
        """Whether the answer begins anew behind text that was emitted."""
        self._slots = None if chunk.restarts else chunk.slots
        return self._has_emitted and chunk.restarts

    def on_error(self, error: Exception) -> None:
        self._observer.on_error(error)

    def on_completed(self) -> None:
        self._observer.on_completed()
