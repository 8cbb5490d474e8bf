"""``accumulate``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import length_hint

from rxllm.accumulators import Stopwatch, StreamAccumulator
from rxllm.exceptions import attach_partial
from rxllm.flow import FanOut, Operation, current, operate, stopping
from rxllm.models import ChatCompletion, Repair, StreamChunk, ending_after
from rxllm.typing import OperatorFunction


def accumulate(
    *, strict: bool = False, on_repair: Callable[[Repair], None] | None = None
) -> OperatorFunction[StreamChunk, ChatCompletion]:
    """Join the chunks of an answer to one completion, and emit it at the end.

    ::

        source  --a-b-c---|
                accumulate() | rx_ops.map(lambda completion: completion.message.content)
        result  ----------(x|)

        a=text_chunk("Hel") b=text_chunk("lo") c=finish_chunk("stop") x="Hello"

    Time and memory are linear in the size of the answer: fragments are joined once. A source that completes without a
    chunk gives no completion. On error, ``error.partial`` has what had arrived: a ``ChatCompletion`` whose unfinished
    tool calls are ``IncompleteToolCall``. On dispose it is dropped.

    Args:
        strict: Whether to fail with a ``RepairError`` instead of repairing what may be a guess (see ``rxllm.Repair``).
        on_repair: Called with each repair. ``rxllm.Repair`` has a table of their kinds.

    Returns:
        An operator from ``StreamChunk`` to ``ChatCompletion``.

    Raises:
        ToolCallError: As ``on_error``: the fragments of a tool call do not fit together.
        RepairError: As ``on_error``: with ``strict``, something had to be repaired.
        MixedAnswersError: As ``on_error``: the chunks of a second answer came, for example from ``concat``.
            ``partials`` has both answers, as far as they had come.
        LimitExceededError: As ``on_error``: there are more calls or choices than ``StreamAccumulator`` allows.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> frames = '{"choices":[{"index":0,"delta":{"content":"Hello"}}]}', "[DONE]"
        >>> rxllm.run(reactivex.of(*frames).pipe(ops.parse(), ops.accumulate())).message.content
        'Hello'

    See also:
        ``accumulate_snapshots``, ``accumulate_tool_calls``, ``rxllm.StreamAccumulator``
    """
    return operate(_Accumulation, strict, on_repair)


class CompletionFold(Operation[StreamChunk, ChatCompletion]):
    """One subscription of an operator that puts chunks together to completions."""

    def __init__(
        self,
        out: FanOut[ChatCompletion],
        strict: bool,  # noqa: FBT001 - passed on
        on_repair: Callable[[Repair], None] | None,
    ) -> None:
        super().__init__(out)
        self.accumulator = StreamAccumulator(strict=strict, on_repair=on_repair)

    def on_failure(self, error: Exception, /) -> Iterable[ChatCompletion]:
        return attach_partial(error, partial(self.accumulator.partial, ending_after(error)))

    def on_end(self) -> Iterable[ChatCompletion]:
        if stopping():
            return (self.accumulator.partial("stopped"),)
        completion = self.accumulator.completion(ended=True)
        return (completion,) if self.is_due() else ()

    @abstractmethod
    def is_due(self) -> bool:
        """Whether the end brings a completion."""


class _Accumulation(CompletionFold):
    called = "accumulate"
    takes = (StreamChunk,)

    _is_due = False

    def __init__(
        self,
        out: FanOut[ChatCompletion],
        strict: bool,  # noqa: FBT001 - passed on
        on_repair: Callable[[Repair], None] | None,
    ) -> None:
        super().__init__(out, strict, on_repair)
        readings = out.readings
        self._now = readings.now
        self._add = self.accumulator.add_all
        self.accumulator.watch = watch = Stopwatch(readings.began, unix=readings.unix)
        self._tick = watch.tick

    def on_next(self, value: StreamChunk) -> None:
        self._is_due = True
        self.out.producer = flow = current()
        self._tick(1, self._now(), 0.0 if flow is None else flow.paused_before)
        try:
            self._add((value,))
        except Exception as error:
            self.on_error(self.explained(error, (value,)))

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        # All at once, which costs half as much: nothing is emitted that somebody could pause for.
        self._is_due = True
        self.out.producer = flow = current()
        self._tick(len(items), self._now(), 0.0 if flow is None else flow.paused_before)
        rest = iter(items)
        try:
            self._add(rest)
        except Exception as error:
            self.on_error(self.explained(error, items))
        return len(items) - length_hint(rest)

    def is_due(self) -> bool:
        return self._is_due

    def on_failure(self, error: Exception, /) -> Iterable[ChatCompletion]:
        self._note_end()
        return super().on_failure(error)

    def on_end(self) -> Iterable[ChatCompletion]:
        self._note_end()
        return super().on_end()

    def _note_end(self) -> None:
        flow = self.out.producer
        self._tick(0, self._now(), 0.0 if flow is None else flow.paused_time)
