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
    """Emit the tool calls of an answer when they may be executed.

    ::

        source  --a-b-c---|
                accumulate_tool_calls() | rx_ops.map(lambda call: call.function.arguments)
        result  ----------(x|)

        a=tool_chunk(index=0, id="1", name="get_weather", arguments='{"city":')
        b=tool_chunk(index=0, arguments='"Paris"}') c=finish_chunk("tool_calls") x='{"city":"Paris"}'

    Calls may be executed when the answer is ``completed`` (see ``ChatCompletion.ending``), which is known at its end.
    Arguments that merely parse already may still go on, and an error may come behind the reason for the end. If the
    answer was cut by its length, or ended with a word that nobody knows or with none, its calls are an error. They come
    in the order of their index, all of a choice together; while a consumer below holds a pause they wait here. A stream
    that is cut leaves its calls on ``error.gathered``, a list of ``IncompleteToolCall``; on dispose they are forgotten.

    A call whose arguments are no JSON object is emitted as it is: ``function.parsed`` raises, and ``run_tools`` answers
    it. What is no call, for want of a name or with two objects for arguments, is an error behind all others. A call
    without an identifier of its own gets one that is made up, the same from each operator over this answer.

    Args:
        eager: Emit a call as soon as its arguments have closed structurally, and the next call of its choice has begun
            or the choice has completed. With ``{}`` for arguments, which may be a placeholder, it waits for the end of
            the choice. A fragment that then still comes for it is an error, unless it says the same again.
        strict: Whether to fail with a ``RepairError`` instead of putting something right.
        on_repair: Called with each thing that was put right: see the table of kinds of ``rxllm.Repair``.

    Returns:
        An operator from ``StreamChunk`` to ``ToolCall``.

    Raises:
        ToolCallError: As ``on_error``: a fragment fits nowhere; or at the end, a call has no name, or two objects for
            arguments.
        TruncatedStreamError: As ``on_error``: there are calls, and the answer is not ``completed``.
        RepairError: As ``on_error``: ``strict``, and something had to be put right.
        LimitExceededError: As ``on_error``: more calls than the limit of ``ToolCallAccumulator`` admits.

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
