"""``accumulate_tool_calls``."""

from __future__ import annotations

from collections.abc import Callable

from rxllm.accumulators import ToolCallAccumulator
from rxllm.flow import Fold, operate
from rxllm.models import Repair, StreamChunk, ToolCall
from rxllm.typing import OperatorFunction


def accumulate_tool_calls(
    *, eager: bool = False, strict: bool = False, on_repair: Callable[[Repair], None] | None = None
) -> OperatorFunction[StreamChunk, ToolCall]:
    """Emit the tool calls of an answer as soon as they may be executed.

    ::

        source  --a-b-c---|
                accumulate_tool_calls() | rx_ops.map(lambda call: call.function.arguments)
        result  ----------(x|)

        a=tool_chunk(index=0, id="1", name="get_weather", arguments='{"city":')
        b=tool_chunk(index=0, arguments='"Paris"}') c=finish_chunk("tool_calls") x='{"city":"Paris"}'

    Calls may be executed when the answer is ``completed`` (see ``ChatCompletion.ending``), which is known at its end.
    Arguments that parse are no proof: more of them may come, and an error may come after the finish reason. If the
    answer was cut by its length, or has no finish reason or an unknown one, and there are calls, the stream fails. The
    calls come in the order of their index, all calls of a choice together. While a consumer below holds a pause, they
    wait here. If the stream is cut, ``error.gathered`` has its calls, a list of ``IncompleteToolCall``. On dispose they
    are dropped.

    A call whose arguments are not a JSON object is emitted as it is: ``function.parsed`` raises, and ``run_tools``
    answers it with an error. If a call has no name, or two objects as arguments, the stream fails after all other calls
    were emitted. A call without an identifier gets one; every operator gives it the same one.

    Args:
        eager: Emit a call as soon as its arguments have closed structurally, and the next call of its choice has begun
            or the choice has completed. With ``{}`` for arguments, which may be a placeholder, it waits for the end of
            the choice. If another fragment comes for a call that was emitted, the stream fails, unless the fragment
            repeats what came.
        strict: Whether to fail with a ``RepairError`` instead of repairing what may be a guess (see ``rxllm.Repair``).
        on_repair: Called with each repair. ``rxllm.Repair`` has a table of their kinds.

    Returns:
        An operator from ``StreamChunk`` to ``ToolCall``.

    Raises:
        ToolCallError: As ``on_error``: the fragments of a call do not fit together; or at the end, a call has no
            name, or two objects as arguments.
        TruncatedStreamError: As ``on_error``: there are calls, and the answer is not ``completed``.
        RepairError: As ``on_error``: with ``strict``, something had to be repaired.
        LimitExceededError: As ``on_error``: there are more calls than ``ToolCallAccumulator`` allows.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> call = '{"index":0,"id":"1","function":{"name":"now","arguments":"{}"}}'
        >>> delta = '{"tool_calls":[' + call + "]}"
        >>> frames = '{"choices":[{"index":0,"delta":' + delta + ',"finish_reason":"tool_calls"}]}', "[DONE]"
        >>> rxllm.run(reactivex.of(*frames).pipe(ops.parse(), ops.accumulate_tool_calls())).function.name
        'now'

    See also:
        ``accumulate``, ``run_tools``
    """
    return operate(
        Fold,
        lambda: ToolCallAccumulator(eager=eager, strict=strict, on_repair=on_repair),
        called="accumulate_tool_calls",
        takes=(StreamChunk,),
    )
