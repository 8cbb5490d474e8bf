"""``tool_call_progress``."""

from __future__ import annotations

from collections.abc import Callable

from rxllm.accumulators import ToolCallProgressAccumulator
from rxllm.flow import Fold, operate
from rxllm.models import Repair, StreamChunk, ToolCallProgress
from rxllm.typing import OperatorFunction


def tool_call_progress(
    *, strict: bool = False, on_repair: Callable[[Repair], None] | None = None
) -> OperatorFunction[StreamChunk, ToolCallProgress]:
    r"""Emit each tool call as it grows, with its arguments so far, for live views.

    ::

        source  --a-b-c---|
                tool_call_progress() | rx_ops.map(lambda progress: progress.arguments)
        result  --x-y-----|

        a=tool_chunk(index=0, id="1", name="get_weather", arguments='{"city":"Pa')
        b=tool_chunk(index=0, arguments='ris"}') c=finish_chunk("tool_calls") x={"city": "Pa"} y={"city": "Paris"}

    One item for each fragment of a call, at once; it says what changed and does not change any more. Linear in the
    arguments: what is there of them is scanned once, and put together only when ``arguments`` is read. Nothing here is
    a ``ToolCall``: whether a call is finished, and may be executed, ``accumulate_tool_calls`` says. Arguments ``{}``
    are complete, and so are those behind them, if that was a placeholder. Several fragments in one chunk wait while a
    consumer below holds a pause. On error, the calls so far are on ``error.gathered``, a list of
    ``IncompleteToolCall``; on dispose they are forgotten.

    Args:
        strict: Whether to fail with a ``RepairError`` instead of putting something right.
        on_repair: Called with each repair: see the table of kinds of ``rxllm.Repair``.

    Returns:
        An operator from ``StreamChunk`` to ``ToolCallProgress``.

    Raises:
        ToolCallError: As ``on_error``: a fragment fits nowhere, or arguments cannot become a JSON object any more.
        RepairError: As ``on_error``: ``strict``, and something had to be put right.
        LimitExceededError: As ``on_error``: too many calls, or arguments that are nested too deep or too long.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> call = '{"index":0,"id":"1","function":{"name":"say","arguments":"{\\"text\\":\\"Hel"}}'
        >>> frames = '{"choices":[{"index":0,"delta":{"tool_calls":[' + call + "]}}]}", "[DONE]"
        >>> progress = rxllm.run(reactivex.of(*frames).pipe(ops.parse(), ops.tool_call_progress()))
        >>> progress.name, progress.arguments, progress.changes[0].delta
        ('say', {'text': 'Hel'}, 'Hel')

    See also:
        ``accumulate_tool_calls``, ``json_path``
    """
    return operate(
        Fold,
        lambda: ToolCallProgressAccumulator(strict=strict, on_repair=on_repair),
        called="tool_call_progress",
        takes=(StreamChunk,),
    )
