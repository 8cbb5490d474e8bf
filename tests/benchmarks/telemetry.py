"""What it costs to tell OpenTelemetry of answers, and how late a first chunk is by what is told of it.

The SDK keeps spans and histograms in memory. What an exporter costs is not measured: it works beside.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import rxllm
from rxllm.telemetry import OpenTelemetry
from tests.benchmarks.contenders import REQUEST
from tests.benchmarks.payload import digest

__all__ = ["first_chunks", "run"]


@contextmanager
def _telling(**options: Any) -> Generator[tuple[OpenTelemetry, InMemorySpanExporter]]:
    exporter, tracers, meters = InMemorySpanExporter(), TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield OpenTelemetry(tracer_provider=tracers, meter_provider=meters, **options), exporter
    tracers.shutdown()
    meters.shutdown()


async def run(url: str, *, answers: int, tells: bool, captures: bool = False) -> dict[str, Any]:
    """The CPU time of some answers, each chunk read, and the text of the last."""
    with _telling(capture_content=captures) as (telemetry, _):
        given = telemetry if tells else None
        async with rxllm.LLMClient(base_url=url, api_key="none", telemetry=given) as client:
            text = await _answer(client)  # warms up
            before = time.process_time()
            for _ in range(answers):
                text = await _answer(client)
            return {"cpu": time.process_time() - before, "digest": digest(text)}


async def _answer(client: rxllm.LLMClient) -> str:
    answer = rxllm.StreamAccumulator()
    async for chunk in rxllm.iterate(client.chat_stream(REQUEST)):
        for choice in chunk.choices:
            _ = choice.delta.content
        answer.add(chunk)
    return answer.completion().text


async def first_chunks(url: str, *, count: int) -> list[float]:
    """By how many milliseconds the time to the first chunk that is told is longer than that on the wire."""
    late: list[float] = []
    with _telling() as (telemetry, exporter):
        async with rxllm.LLMClient(base_url=url, api_key="none", telemetry=telemetry) as client:
            for _ in range(count):
                exporter.clear()
                written, requested = "", 0.0
                async for chunk in client.chat_stream(REQUEST):
                    written = written or chunk.text
                    requested = (chunk.stream and chunk.stream.requested_at) or requested
                span = exporter.get_finished_spans()[-1]
                told = (span.attributes or {})["gen_ai.response.time_to_first_chunk"]
                # The text of the first chunk is when it was due, on the monotonic clock.
                wire = float(written) + time.time() - time.monotonic() - requested
                late.append((float(str(told)) - wire) * 1e3)
    return late
