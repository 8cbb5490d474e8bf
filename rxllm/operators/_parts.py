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

    A part is a text, reasoning, a refusal, a call, a tool that the server runs, or its result: see ``PartKind``.
    It begins with a ``PartStart``, gains text with each ``PartDelta``, and ends with a ``PartEnd`` that has all of it.
    They are made of the chunks alone, so a stream that was stored and replayed gives the same.

    Where the dialect says which part a piece belongs to, these are the parts of the answer's ``Message.parts``, and
    each ends when the provider has finished it. Elsewhere, as with chat completions, they are found, in the order in
    which they begin: a text ends where another part begins, so one that goes on behind a call or behind reasoning is
    another part. A call ends with the answer.

    The end of the answer ends what is open. What the provider had not finished, and calls of an answer that was cut,
    are not ``final``. On error nothing is ended; the parts that were open are on ``error.gathered``, a list of
    ``MessagePart``. Several events of one chunk wait while a consumer below holds a pause; on dispose they are
    dropped. Events that were emitted cannot be taken back: if the answer then begins anew, that is an error.

    Returns:
        An operator from ``StreamChunk`` to ``PartStart``, ``PartDelta`` and ``PartEnd``. None of them is a call that
        may be executed: see ``accumulate_tool_calls``.

    Raises:
        ToolCallError: As ``on_error``: the fragments of a call do not fit together.
        RestartError: As ``on_error``: the answer begins anew, and something was told of it.
        LimitExceededError: As ``on_error``: too many parts, calls or choices, or too much text.

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
