"""``content``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from rxllm.exceptions import RestartError
from rxllm.flow import Operation, operate
from rxllm.models import StreamChunk
from rxllm.typing import OperatorFunction


def content() -> OperatorFunction[StreamChunk, str]:
    """Emit the text deltas of choice 0.

    ::

        source  --a-b-c-d-|
                content()
        result  --x-y-----|

        a=text_chunk("Hel") b=text_chunk("lo") c=text_chunk("other", choice=1) d=finish_chunk("stop")
        x="Hel" y="lo"

    Chunks without text, and those of other choices, are left out. Emits at once; errors pass through. Text that was
    emitted cannot be taken back: if the answer then begins anew, the stream fails.

    Returns:
        An operator from ``StreamChunk`` to ``str``; no item is empty.

    Raises:
        RestartError: As ``on_error``: the answer begins anew after some of its text was emitted.

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
    return operate(_Contents)


class _Contents(Operation[StreamChunk, str]):
    called = "content"
    takes = (StreamChunk,)

    _has_emitted = False

    def on_item(self, item: StreamChunk, /) -> Iterable[str]:
        if self._has_emitted:
            if item.restarts:
                raise RestartError("content")
        else:
            self.require(item)  # other classes have a text, too
        if not (text := item.text):
            return []
        self._has_emitted = True
        return [text]

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        self.emit_together(chain.from_iterable(map(self.on_item, items)), items)
        return len(items)
