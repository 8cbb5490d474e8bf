"""``parts``."""

from __future__ import annotations

from rxllm.accumulators import PartsAccumulator
from rxllm.flow import Fold, operate
from rxllm.models import PartEvent, StreamChunk
from rxllm.typing import OperatorFunction


def parts() -> OperatorFunction[StreamChunk, PartEvent]:
    """Emit an event when a part of the answer begins, grows or ends, for live views.

    ::

        source  --a-----b-c------d-|
                parts() | rx_ops.map(lambda event: (event.type, event.index))
        result  --(st)--u-(vwx)----(y|)

        a=text_chunk("Hel") b=text_chunk("lo") c=tool_chunk("{}", index=0, id="1", name="now")
        d=finish_chunk("tool_calls") s=("part_start", 0) t=("part_delta", 0) u=("part_delta", 0)
        v=("part_end", 0) w=("part_start", 1) x=("part_delta", 1) y=("part_end", 1)

    A part is a text, reasoning, a refusal, a call, a tool that the server runs, or its result: see ``PartKind``. It
    begins with a ``PartStart``, gains text with each ``PartDelta``, and ends with a ``PartEnd`` that has all of it. The
    events depend on the chunks alone, so a stream that was stored and replayed gives the same events.

    Some dialects say which part each piece belongs to. There the parts are those of ``Message.parts``, and each ends
    when the provider has finished it. In other dialects, such as chat completions, the parts are inferred from the
    chunks, in the order in which they begin: a text ends where another part begins, so text that goes on after a call
    or after reasoning is a new part. A call ends with the answer.

    The end of the answer ends the parts that are open. A part that the provider had not finished, and a call of an
    answer that was cut, is not ``final``. On error no part is ended; ``error.gathered`` has the parts that were open, a
    list of ``MessagePart``. Several events of one chunk wait while a consumer below holds a pause; on dispose they are
    dropped. Events that were emitted cannot be taken back: if the answer then begins anew, the stream fails.

    Returns:
        An operator from ``StreamChunk`` to ``PartStart``, ``PartDelta`` and ``PartEnd``. Do not execute calls from
        these events: ``accumulate_tool_calls`` emits the calls that may be executed.

    Raises:
        ToolCallError: As ``on_error``: the fragments of a call do not fit together.
        RestartError: As ``on_error``: the answer begins anew after events of it were emitted.
        LimitExceededError: As ``on_error``: there are too many parts, calls or choices, or there is too much text.

    Example:
        >>> import reactivex, rxllm
        >>> from reactivex import operators as rx_ops
        >>> from rxllm import operators as ops
        >>> thought, text = (f'{{"choices":[{{"delta":{{"{name}":"Hm"}}}}]}}' for name in ("reasoning", "content"))
        >>> events = rxllm.run(reactivex.of(thought, text, "[DONE]").pipe(ops.parse(), ops.parts(), rx_ops.to_list()))
        >>> [(event.part.index, event.part.kind.value, event.part.text) for event in events if event.type == "part_end"]
        [(0, 'reasoning', 'Hm'), (1, 'text', 'Hm')]

    See also:
        ``accumulate``, ``tool_call_progress``, ``rxllm.Message.parts``
    """
    return operate(Fold, PartsAccumulator, called="parts", takes=(StreamChunk,))
