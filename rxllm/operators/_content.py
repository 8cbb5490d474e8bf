"""``content``."""

from __future__ import annotations

from collections.abc import Sequence

from reactivex import abc

from rxllm.exceptions import RestartError
from rxllm.models import StreamChunk
from rxllm.models._chunk import text_of
from rxllm.operators._emission import FanOut
from rxllm.operators._stage import Operated, Receiver
from rxllm.typing import OperatorFunction


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
    return lambda source: Operated(source, _Contents)


class _Contents(Receiver[StreamChunk]):
    """One subscription."""

    def __init__(self, observer: abc.ObserverBase[str], scheduler: abc.SchedulerBase | None) -> None:
        del scheduler
        self._texts = FanOut(observer)
        self._has_emitted = False

    def on_next(self, value: StreamChunk) -> None:
        self.on_batch((value,))

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        texts: list[str] = []
        for chunk in items:
            if (self._has_emitted or texts) and chunk.restarts:
                self._emit(texts)
                self._texts.end(RestartError("content"))
                break
            if text := text_of(chunk):
                texts.append(text)
        else:
            self._emit(texts)
        return len(items)

    def _emit(self, texts: Sequence[str]) -> None:
        if texts:
            self._has_emitted = True
            self._texts.emit(texts)

    def on_error(self, error: Exception) -> None:
        self._texts.end(error)

    def on_completed(self) -> None:
        self._texts.end()

    def dispose(self) -> None:
        super().dispose()
        self._texts.dispose()
