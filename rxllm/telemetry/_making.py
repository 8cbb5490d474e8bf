"""What ``OpenTelemetry`` makes: all of it that needs the package ``opentelemetry-api``."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from importlib.metadata import version
from inspect import isawaitable

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanKind, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rxllm.exceptions import ToolExecutionError
from rxllm.flow import NOBODY_WATCHES
from rxllm.models import ToolCall, ToolResult
from rxllm.telemetry._instruments import Instruments
from rxllm.telemetry._messages import bounded
from rxllm.telemetry._names import Naming
from rxllm.telemetry._operations import AnswerSpan, ConversationSpan
from rxllm.telemetry._spans import Entered, Kit, class_name, safely
from rxllm.wire import RequestSigner, UnsignedRequest

__all__ = ["AnswerSpan", "ConversationSpan", "kit_of", "propagating", "run_tool"]

_SCOPE, _VERSION = "rxllm", version("rxllm")
# Not those that the application has set: they may send baggage, which is whatever it has put there.
_traceparent = TraceContextTextMapPropagator()


def kit_of(
    tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, *, captures: bool, most_gaps: int
) -> Kit:
    """What spans are made with."""
    return Kit(
        tracer=trace.get_tracer(_SCOPE, _VERSION, tracer_provider=tracer_provider),
        instruments=Instruments(metrics.get_meter(_SCOPE, _VERSION, meter_provider=meter_provider)),
        naming=Naming.of_environment(),
        captures=captures,
        most_gaps=most_gaps,
    )


async def run_tool(kit: Kit, call: ToolCall, running: Awaitable[ToolResult]) -> ToolResult:
    """Run a tool within a span of its own, which is the current one for the code of the tool.

    What that subscribes to is none of the conversation: nobody hears of its tries.
    """
    name = call.function.name
    named = kit.naming.attributes(
        operation="execute_tool",
        tool_name=name,
        tool_type=call.type,
        tool_call=call.id,
        tool_arguments=bounded(call.function.arguments) if kit.captures else None,
    )
    outside = context.get_current()
    span = kit.start(f"execute_tool {name}", SpanKind.INTERNAL, named, outside)
    word, content = "left", None
    kind: str | None = None
    failure: Exception | None = None
    try:
        with Entered(trace.set_span_in_context(span, outside), NOBODY_WATCHES):
            result = await running
        word, content = "whole", result.content
        if result.error is not None and result.error != "refused":
            word, kind = "failed", _kind(result.error, result.exception)
    except Exception as error:
        word, failure = "failed", error
        kind = _kind(error.kind, error.__cause__) if isinstance(error, ToolExecutionError) else None
        raise
    finally:
        told = bounded(content) if kit.captures and content is not None else None
        kit.end(span, kit.naming.attributes(ending=word, tool_result=told), failure, kind)
        failure = None
    return result


def _kind(kind: str, cause: object) -> str:
    """Why a call was not carried out: the class of what the tool raised, else what kind of failure it is."""
    return class_name(cause) if kind == "failed" and isinstance(cause, Exception) else kind


def propagating(sign: RequestSigner | None) -> RequestSigner:
    """What adds the header of the trace to the headers of a request, when it is sent."""

    async def signed(request: UnsignedRequest) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        safely(_traceparent.inject, None, headers)
        if sign is not None:
            given = sign(request)
            headers |= await given if isawaitable(given) else given
        return headers

    return signed
