"""``accumulate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import length_hint

from reactivex import abc

from rxllm.accumulators import StreamAccumulator
from rxllm.flow import FlowControl
from rxllm.models import ChatCompletion, Repair, StreamChunk
from rxllm.operators._emission import Expander
from rxllm.operators._stage import Operated
from rxllm.typing import OperatorFunction


def accumulate(
    *, strict: bool = False, on_repair: Callable[[Repair], None] | None = None
) -> OperatorFunction[StreamChunk, ChatCompletion]:
    """Put the chunks together to one completion, emitted at the end.

    ::

        source  --a-b-c---|
                accumulate() | rx_ops.map(lambda completion: completion.message.content)
        result  ----------(x|)

        a=text_chunk("Hel") b=text_chunk("lo") c=finish_chunk("stop") x="Hello"

    Time and memory are linear in the answer: fragments are joined once. A source that completes without a chunk
    gives no completion. On error, what had arrived is on ``error.partial``, a ``ChatCompletion`` whose unfinished tool
    calls are ``IncompleteToolCall``; on dispose it is forgotten.

    Args:
        strict: Whether to fail with a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.

    Returns:
        An operator from ``StreamChunk`` to ``ChatCompletion``.

    Raises:
        ToolCallError: As ``on_error``: a fragment of a tool call fits nowhere.
        RepairError: As ``on_error``: ``strict``, and something had to be put right.
        MixedAnswersError: As ``on_error``: the chunks of a second answer came, as behind ``concat``; ``partials`` has
            what there is of both.
        LimitExceededError: As ``on_error``: more calls or choices than the limits of ``StreamAccumulator`` admit.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> frames = '{"choices":[{"index":0,"delta":{"content":"Hello"}}]}', "[DONE]"
        >>> rxllm.run(reactivex.of(*frames).pipe(ops.parse(), ops.accumulate())).message.content
        'Hello'

    See also:
        ``accumulate_snapshots``, ``accumulate_tool_calls``, ``rxllm.StreamAccumulator``
    """
    return lambda source: Operated(source, _Accumulation, strict, on_repair)


class CompletionFold(Expander[StreamChunk, ChatCompletion]):
    """One subscription of an operator that puts chunks together to completions."""

    # Whether the end brings a completion, and of whose emission: while that producer is paused it waits.
    _is_due = False
    _flow: FlowControl | None = None

    def __init__(
        self,
        observer: abc.ObserverBase[ChatCompletion],
        strict: bool,  # noqa: FBT001 - passed on
        on_repair: Callable[[Repair], None] | None,
    ) -> None:
        super().__init__(observer)
        self._accumulator = StreamAccumulator(strict=strict, on_repair=on_repair)

    def on_error(self, error: Exception) -> None:
        attach_partial(error, self._accumulator.partial)
        super().on_error(error)

    def on_completed(self) -> None:
        try:
            completion = self._accumulator.completion(ended=True)
        except Exception as error:
            self.on_error(error)
            return
        if self._is_due:
            self._results.end(items=(completion,), producer=self._flow)
        else:
            self._results.end()


class _Accumulation(CompletionFold):
    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        self._is_due = True
        rest = iter(items)
        try:
            self._accumulator.add_all(rest)
        except Exception as error:
            self.on_error(error)
        return len(items) - length_hint(rest)


def attach_partial(error: Exception, partial: Callable[[], object]) -> None:
    """Put what was accumulated on an error of whatever class, unless an operator upstream has done so."""
    if getattr(error, "partial", None) is not None:
        return
    try:
        vars(error)["partial"] = partial()
    except Exception as failure:
        # The error that ended the stream counts, and has to arrive.
        error.add_note(f"what had arrived cannot be shown: {failure!r}")
