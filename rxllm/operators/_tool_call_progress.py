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

    Emits one item for each fragment of a call, at once. An item says what the fragment changed, and does not change
    later. Time is linear in the size of the arguments: each character is scanned once, and values are put together only
    when ``arguments`` is read. No item is a ``ToolCall`` to execute: ``accumulate_tool_calls`` emits those. Arguments
    ``{}`` count as complete; if they were a placeholder, the arguments that come after them become complete, too. If a
    chunk has several fragments, their items wait while a consumer below holds a pause. On error, ``error.gathered`` has
    the calls so far, a list of ``IncompleteToolCall``; on dispose they are forgotten.

    Args:
        strict: Whether to fail with a ``RepairError`` instead of repairing what may be a guess (see ``rxllm.Repair``).
        on_repair: Called with each repair. ``rxllm.Repair`` has a table of their kinds.

    Returns:
        An operator from ``StreamChunk`` to ``ToolCallProgress``.

    Raises:
        ToolCallError: As ``on_error``: a fragment belongs to no call, or arguments cannot become a JSON object any
            more.
        RepairError: As ``on_error``: with ``strict``, something had to be repaired.
        LimitExceededError: As ``on_error``: there are too many calls, or arguments are too long or nested too deeply.

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
