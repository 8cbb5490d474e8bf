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
    place is free, the producer is paused. A call that cannot be carried out has a result, too, which tells the model
    why: no such tool, invalid arguments, an exception, too long. If several calls have the same identifier, only the
    first is run. The end and an error wait for the results. On dispose all coroutines that run are cancelled; a
    function in a thread cannot be stopped, and runs to its end. Times are measured by the running loop.

    With ``approve``, each call that can be run has to be approved first, one after the other, in the order in which
    they came. A call that is approved runs while others still wait.

    Args:
        registry: The tools.
        max_concurrency: How many run at a time, at least 1.
        timeout: How many seconds a tool may take, waiting for a thread included; any number if ``None``.
        on_error: ``"send"`` makes a result of a call that is not carried out, ``"raise"`` fails.
        ordered: Whether results come in the order of the calls, or as they are ready.
        approve: A coroutine function that says whether a call may run: see ``LLMClient.chat_with_tools``. ``timeout``
            begins when it has. A refusal is a result, whatever ``on_error`` says.
        telemetry: Whom to tell of each call, as in ``LLMClient``: one span a call, which is the current one while the
            tool runs. By default nobody.

    Returns:
        An operator from ``ToolCall`` to ``ToolResult``, whose ``message()`` goes into the next request.

    Raises:
        ToolExecutionError: As ``on_error``, like all but the last: a call was not carried out, and
            ``on_error="raise"``.
        ApprovalError: ``approve`` raised.
        TypeError: ``approve`` returned something else than a decision; at once if it cannot be called.
        BufferOverflowError: No place is free, and nobody can be paused: see ``map_async``.
        NoRunningLoopError: No event loop runs in this thread.
        ValueError: At once, like the last: ``max_concurrency``, ``timeout`` or ``on_error`` is not one of those.
        TypeError: ``registry`` is none, or a number is of another type.
        MissingExtraError: ``telemetry=True``, and the package ``opentelemetry-api`` is not installed.

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
    message = f"not run: there was a call with the identifier {excerpt(call.id)} before"
    if on_error == "raise":
        raise ToolExecutionError(message, kind="duplicate", name=call.function.name, call_id=call.id)
    return ToolResult(call=call, content=message, error="duplicate")
