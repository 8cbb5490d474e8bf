"""``accumulate_snapshots``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rxllm.flow import operate
from rxllm.models import ChatCompletion, Repair, StreamChunk
from rxllm.operators._accumulate import CompletionFold
from rxllm.typing import OperatorFunction


def accumulate_snapshots(
    *, strict: bool = False, on_repair: Callable[[Repair], None] | None = None
) -> OperatorFunction[StreamChunk, ChatCompletion]:
    """Emit the completion so far with each chunk, for live views.

    ::

        source  --a-b-c---|
                accumulate_snapshots() | rx_ops.map(lambda completion: completion.message.content)
        result  --x-y-y---|

        a=text_chunk("Hel") b=text_chunk("lo") c=finish_chunk("stop") x="Hel" y="Hello"

    A snapshot costs only what changed: its text is joined when it is read. A snapshot does not change when the stream
    goes on. While a choice goes on, its tool calls are ``IncompleteToolCall``. Emits at once. The last item equals what
    ``accumulate`` gives: if no chunk said that the choices have finished, it comes with the end. On error,
    ``error.partial`` also has what had arrived.

    Args:
        strict: Whether to fail with a ``RepairError`` instead of repairing what may be a guess (see ``rxllm.Repair``).
        on_repair: Called with each repair. ``rxllm.Repair`` has a table of their kinds.

    Returns:
        An operator from ``StreamChunk`` to ``ChatCompletion``.

    Raises:
        ToolCallError: As ``on_error``: the fragments of a tool call do not fit together.
        RepairError: As ``on_error``: with ``strict``, something had to be repaired.
        LimitExceededError: As ``on_error``: there are more calls or choices than ``StreamAccumulator`` allows.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> frames = '{"choices":[{"index":0,"delta":{"content":"Hello"}}]}', "[DONE]"
        >>> rxllm.run(reactivex.of(*frames).pipe(ops.parse(), ops.accumulate_snapshots())).message.content
        'Hello'

    See also:
        ``accumulate``
    """
    return operate(_Snapshots, strict, on_repair)


class _Snapshots(CompletionFold):
    called = "accumulate_snapshots"
    takes = (StreamChunk,)

    _latest: ChatCompletion | None = None

    def on_item(self, item: StreamChunk, /) -> Iterable[ChatCompletion]:
        self.accumulator.add(item)
        self._latest = snapshot = self.accumulator.snapshot()
        return [snapshot]

    def is_due(self) -> bool:
        # Asked of the last one only: to be asked, a snapshot is put together.
        return self._latest is not None and not self._latest.complete
