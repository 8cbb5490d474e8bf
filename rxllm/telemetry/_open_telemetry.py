"""``OpenTelemetry``: traces and metrics of answers, by the semantic conventions for generative AI."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from rxllm.exceptions import MissingExtraError
from rxllm.flow import Readings, check_count, check_kind
from rxllm.models import ToolCall, ToolResult
from rxllm.telemetry._asked import AskedFor
from rxllm.wire import RequestSigner

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from rxllm.telemetry._operations import AnswerSpan, ConversationSpan


class OpenTelemetry:
    """Traces and metrics of answers, according to the semantic conventions for generative AI.

    Give it to a client (``LLMClient(telemetry=…)``) or to ``operators.trace``. The guide "Telemetry" lists what is
    reported.

    Args:
        tracer_provider: Makes the spans; by default the one that the application has set.
        meter_provider: Makes the histograms; by default the one that the application has set.
        capture_content: Whether spans have the content: messages, answers, arguments and results of tools, and the
            messages of errors, which may quote them.
        propagate: Whether HTTP requests have the header ``traceparent``, and ``tracestate`` if the trace has one, so
            that the server can continue the trace. The headers have only identifiers; baggage is not sent.
        chunk_times: The most times between two chunks that are recorded for one answer. If an answer has more chunks,
            the recorded times are spread evenly over it. Recording one time costs as much as several chunks.

    Raises:
        MissingExtraError: The package ``opentelemetry-api`` is not installed.
        ValueError: ``chunk_times`` is less than 0.
        TypeError: An argument is of another type.

    Example:
        >>> import rxllm
        >>> from rxllm.telemetry import OpenTelemetry
        >>> client = rxllm.LLMClient(base_url="http://127.0.0.1:8080/v1", telemetry=OpenTelemetry())
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        capture_content: bool = False,
        propagate: bool = False,
        chunk_times: int = 4,
    ) -> None:
        check_kind("capture_content", capture_content, bool)
        check_kind("propagate", propagate, bool)
        check_count("chunk_times", chunk_times, least=0)
        try:
            from rxllm.telemetry import _making  # noqa: PLC0415 - of an extra
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "OpenTelemetry needs opentelemetry-api: pip install 'rxllm[otel]'", extra="rxllm[otel]"
            ) from error
        self._making = _making
        self._kit = _making.kit_of(tracer_provider, meter_provider, captures=capture_content, most_gaps=chunk_times)
        self._propagates = propagate

    def __repr__(self) -> str:
        return f"OpenTelemetry(capture_content={self._kit.captures})"

    def answer(self, asked: AskedFor, readings: Readings) -> AnswerSpan:
        """Begin the span of an answer, for one subscription. Operators call this.

        Args:
            asked: The request, as far as it is known.
            readings: The clock of the subscription.
        """
        return self._making.AnswerSpan(self._kit, asked, readings)

    def conversation(self, asked: AskedFor) -> ConversationSpan:
        """Begin the span of a conversation with tools, for one subscription. Operators call this."""
        return self._making.ConversationSpan(self._kit, asked)

    async def tool(self, call: ToolCall, running: Awaitable[ToolResult]) -> ToolResult:
        """Run a tool within a span. Operators call this.

        Args:
            call: The call.
            running: Runs the tool.

        Returns:
            The result of the tool.
        """
        return await self._making.run_tool(self._kit, call, running)

    def signer(self, sign: RequestSigner | None) -> RequestSigner | None:
        """Return the function that adds headers to a request when it is sent. Clients call this.

        Args:
            sign: The function that signs the request.

        Returns:
            ``sign``; with ``propagate``, a function that also adds the header of the trace.
        """
        return self._making.propagating(sign) if self._propagates else sign


def telemetry_of(given: OpenTelemetry | bool | None) -> OpenTelemetry | None:  # noqa: FBT001 - as it was given
    """What was given as ``telemetry``: ``True`` is one with the defaults.

    Raises:
        MissingExtraError: The package ``opentelemetry-api`` is not installed.
        TypeError: It is none of these.
    """
    if given is None or given is False:
        return None
    if given is True:
        return OpenTelemetry()
    check_kind("telemetry", given, OpenTelemetry, "write telemetry=rxllm.telemetry.OpenTelemetry()")
    return given
