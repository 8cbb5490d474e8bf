"""What tests see of what is told: spans and histograms that an SDK has kept in memory."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from rxllm import ChatRequest
from rxllm.telemetry import OpenTelemetry

REQUEST = ChatRequest(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])


class _Started(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        del parent_context
        self.spans.append(span)


class Told:
    """An SDK whose exporters keep in memory.

    Args:
        **options: For ``OpenTelemetry``.
    """

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self._started = _Started()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(self._started)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self._meter_provider = MeterProvider([self._reader])
        self.telemetry = OpenTelemetry(
            tracer_provider=self.tracer_provider, meter_provider=self._meter_provider, **options
        )

    def close(self) -> None:
        """End it, and check that each span has ended once."""
        ended = [id(span.context) for span in self._exporter.get_finished_spans()]
        assert len(ended) == len(set(ended))
        assert sorted(span.name for span in self._started.spans) == sorted(span.name for span in self.spans)
        self.tracer_provider.shutdown()
        self._meter_provider.shutdown()

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        return list(self._exporter.get_finished_spans())

    @property
    def open_spans(self) -> list[str]:
        """The names of those that have not."""
        return [span.name for span in self._started.spans if span.end_time is None]

    def span(self, name: str) -> ReadableSpan:
        """The only span of a name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span

    @property
    def chat(self) -> ReadableSpan:
        """The only span of an answer."""
        (span,) = [span for span in self.spans if span.name.partition(" ")[0] == "chat"]
        return span

    def children(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """The children of a span, in the order in which they ended."""
        context = parent.context
        return [span for span in self.spans if span.parent and context and span.parent.span_id == context.span_id]

    def histogram(self, name: str) -> list[HistogramDataPoint]:
        """The points of a histogram."""
        data = self._reader.get_metrics_data()
        metrics = [
            metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]  # type: ignore[misc]

    def everything(self) -> str:
        """All that was told, as text."""
        points = [
            str(dict(point.attributes or {}))
            for name in ("client.token.usage", "client.operation.duration")
            for point in self.histogram(f"gen_ai.{name}")
        ]
        return "\n".join([*(span.to_json() for span in self.spans), *points])


def facts(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def ending(span: ReadableSpan) -> tuple[Any, bool, Any]:
    """How a span ended: our word, whether it is an error, and of what type."""
    attributes = facts(span)
    failed = span.status.status_code is StatusCode.ERROR
    return attributes["rxllm.ending"], failed, attributes.get("error.type")


@contextmanager
def telling(**options: Any) -> Generator[Told]:
    """An SDK for a test, which checks that each span that began has ended, once."""
    told = Told(**options)
    yield told
    told.close()
