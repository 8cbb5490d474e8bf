"""``run_tools``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from rxllm.exceptions import ToolExecutionError, excerpt
from rxllm.flow import FanOut, check_kind, check_seconds, operate
from rxllm.models import ToolCall, ToolResult
from rxllm.operators._map_async import MapAsync, map_async
from rxllm.tools import Approve, Approver, OnToolError, ToolRegistry
from rxllm.typing import OperatorFunction

if TYPE_CHECKING:
    from rxllm.telemetry import OpenTelemetry


def run_tools(
    registry: ToolRegistry,
    *,
    max_concurrency: int = 8,
    timeout: float | None = None,
    on_error: OnToolError = "send",
    ordered: bool = True,
    approve: Approve | None = None,
    telemetry: OpenTelemetry | bool | None = None,
) -> OperatorFunction[ToolCall, ToolResult]:
    """Run the tools that the model calls, several at a time, and emit the result of each call.

    ::

        source  --a-b-----|
                run_tools(registry) | rx_ops.map(lambda result: result.content)
        result  -----(xy)-|

        a=ToolCall(id="1", function=FunctionCall(name="upper", arguments='{"text": "hel"}'))
        b=ToolCall(id="2", function=FunctionCall(name="lower", arguments='{"text": "LO"}'))
        x="HEL" y="there is no tool 'lower'; there are: upper"

    A call occupies one of ``max_concurrency`` places from its arrival until the consumer has taken its result. While no
    place is free, the producer is paused. If a call cannot be carried out, its result tells the model why: there is no
    such tool, the arguments are invalid, the tool raised an exception, or it took too long. If several calls have the
    same identifier, only the first is run. The end and an error wait for the results. On dispose all running coroutines
    are cancelled; a function in a thread cannot be stopped, and runs to its end. Times are measured by the running
    loop.

    With ``approve``, each call that can be run has to be approved first. Calls are approved one after the other, in the
    order in which they came. A call that is approved runs while others still wait.

    Args:
        registry: The tools.
        max_concurrency: How many calls may run at a time, at least 1.
        timeout: How many seconds a tool may take, including its wait for a thread. ``None``: no limit.
        on_error: What to do if a call is not carried out. ``"send"`` emits a result that tells the model why;
            ``"raise"`` fails the stream.
        ordered: Whether results come in the order of the calls; else each comes as soon as it is ready.
        approve: A coroutine function that says whether a call may run: see ``LLMClient.chat_with_tools``. ``timeout``
            begins after the approval. A refusal is always sent as a result, also with ``on_error="raise"``.
        telemetry: Where spans of the calls go, as in ``LLMClient``. Each call has one span, which is the current span
            while the tool runs. By default there are no spans.

    Returns:
        An operator from ``ToolCall`` to ``ToolResult``, whose ``message()`` goes into the next request.

    Raises:
        ToolExecutionError: As ``on_error``: a call was not carried out, with ``on_error="raise"``.
        ApprovalError: As ``on_error``: ``approve`` raised an exception.
        TypeError: As ``on_error``: ``approve`` returned something else than a decision. At once: ``registry`` is not a
            ``ToolRegistry``, ``approve`` cannot be called, or a number is of another type.
        BufferOverflowError: As ``on_error``: no place is free, and the producer cannot be paused: see ``map_async``.
        NoRunningLoopError: As ``on_error``: no event loop runs in this thread.
        ValueError: At once: ``max_concurrency`` or ``timeout`` is out of range, or ``on_error`` is not one of these
            words.
        TypeError: ``registry`` is none, or a number is of another type.
        MissingExtraError: At once: ``telemetry`` is ``True``, and the package ``opentelemetry-api`` is not installed.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> def add(a: int, b: int) -> int:
        ...     return a + b
        >>> call = rxllm.ToolCall(id="1", function=rxllm.FunctionCall(name="add", arguments='{"a": 1, "b": 2}'))
        >>> rxllm.run(reactivex.of(call).pipe(ops.run_tools(rxllm.ToolRegistry([add])))).content
        '3'

    See also:
        ``accumulate_tool_calls``, ``map_async``, ``rxllm.ToolRegistry``, ``rxllm.LLMClient.chat_with_tools``
    """
    check_kind("registry", registry, ToolRegistry, "write ToolRegistry([…])")
    if timeout is not None:
        check_seconds("timeout", timeout)
    if on_error not in get_args(OnToolError):
        raise ValueError(f"on_error must be one of {', '.join(get_args(OnToolError))}, not {on_error!r}")
    map_async(registry.run, max_concurrency=max_concurrency)  # a wrong argument is reported where it stands

    told: OpenTelemetry | None = None
    if approve is not None:
        Approver(approve)
    if telemetry is not None:
        from rxllm.telemetry import telemetry_of  # noqa: PLC0415 - only where it is asked for

        told = telemetry_of(telemetry)

    def begin(out: FanOut[ToolResult]) -> MapAsync[ToolCall, ToolResult]:
        started: set[str] = set()
        approver = None if approve is None else Approver(approve)

        async def run(call: ToolCall) -> ToolResult:
            operation.require(call)
            if call.id in started:
                return _duplicate(call, on_error)
            started.add(call.id)
            running = registry.run(call, timeout=timeout, on_error=on_error, approve=approver)
            return await (running if told is None else told.tool(call, running))

        operation = MapAsync(out, run, max_concurrency, ordered)
        operation.called, operation.takes = "run_tools", (ToolCall,)
        return operation

    return operate(begin)


def _duplicate(call: ToolCall, on_error: OnToolError) -> ToolResult:
    message = f"not run: an earlier call has the same identifier {excerpt(call.id)} before"
    if on_error == "raise":
        raise ToolExecutionError(message, kind="duplicate", name=call.function.name, call_id=call.id)
    return ToolResult(call=call, content=message, error="duplicate")
