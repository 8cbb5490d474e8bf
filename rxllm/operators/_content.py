"""``content``."""

from __future__ import annotations

from collections.abc import Sequence

from rxllm.exceptions import RestartError
from rxllm.models import StreamChunk, text_of
from rxllm.operators._emission import Expander
from rxllm.operators._stage import Operated
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


class _Contents(Expander[StreamChunk, str]):
    """One subscription."""

    _has_emitted = False

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        texts: list[str] = []
        for chunk in items:
            if (self._has_emitted or texts) and chunk.restarts:
                self._emit_texts(texts)
                self._results.end(RestartError("content"))
                break
            if text := text_of(chunk):
                texts.append(text)
        else:
            self._emit_texts(texts)
        return len(items)

    def _emit_texts(self, texts: Sequence[str]) -> None:
        if texts:
            self._has_emitted = True
            self._emit(texts)
