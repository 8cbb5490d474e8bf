"""Telemetry that fails breaks nothing, and telemetry that is not installed is asked for by name."""

from __future__ import annotations

import importlib
import subprocess
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import loguru
import pytest
import reactivex
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NoOpTracerProvider, Tracer
from reactivex import Observable

import rxllm
from rxllm import ClientPool, LLMClient, StreamChunk
from rxllm import operators as ops
from rxllm.exceptions import AllAttemptsFailedError, MissingExtraError
from rxllm.models import marked
from rxllm.telemetry import OpenTelemetry
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk
from tests.telemetry.told import REQUEST, Told, facts

CALL = [*script.tool_call("where", {}), script.finish("tool_calls"), script.done()]


def where() -> str:
    """Where are you?"""
    return "here"


class Broken(SpanProcessor):
    """A processor that raises."""

    def __init__(self, *methods: str) -> None:
        for method in methods:
            setattr(self, method, self.fail)

    def fail(self, *_: object, **__: object) -> None:
        raise RuntimeError("broken")


class BrokenTracer(TracerProvider):
    def get_tracer(self, *_: Any, **__: Any) -> Tracer:
        tracer = NoOpTracerProvider().get_tracer("none")
        tracer.start_span = Broken("").fail  # type: ignore[method-assign,assignment]
        return tracer


class BrokenMeter(MeterProvider):
    def get_meter(self, *arguments: Any, **options: Any) -> Any:
        meter = super().get_meter(*arguments, **options)

        class Odd:
            def create_histogram(self, *given: Any, **named: Any) -> Any:
                histogram = meter.create_histogram(*given, **named)
                histogram.record = Broken("").fail  # type: ignore[method-assign]
                return histogram

        return Odd()


def broken(*methods: str) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(Broken(*methods))
    return provider


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    loguru.logger.enable("rxllm")
    handler = loguru.logger.add(lines.append, format="{message}")
    yield lines
    loguru.logger.remove(handler)
    loguru.logger.disable("rxllm")


@pytest.mark.parametrize(
    "provider", [broken("on_start"), broken("on_end"), BrokenTracer()], ids=["on_start", "on_end", "tracer"]
)
async def test_spans_that_raise_break_nothing(provider: TracerProvider, logged: list[str]) -> None:
    telemetry = OpenTelemetry(tracer_provider=provider, capture_content=True)
    async with ScriptedServer(CALL, "Hello") as server:
        client = LLMClient(base_url=server.base_url, telemetry=telemetry)
        events = [each async for each in client.chat_with_tools(REQUEST, rxllm.ToolRegistry([where]))]
    assert isinstance(events[-1], rxllm.ChatCompleted)
    assert events[-1].completion.text == "Hello"
    assert any("telemetry is incomplete" in line and "RuntimeError" in line for line in logged)


class Odd:
    """An item that raises when it is looked at."""

    @property
    def choices(self) -> tuple[()]:
        raise RuntimeError("no")


def test_items_that_raise_break_nothing(logged: list[str]) -> None:
    odd = Odd()
    assert rxllm.run(reactivex.of(odd).pipe(ops.trace())) is odd
    assert any("telemetry is incomplete" in line and "RuntimeError" in line for line in logged)


def test_histograms_that_raise_break_nothing(logged: list[str]) -> None:
    meter = BrokenMeter()
    telemetry = OpenTelemetry(meter_provider=meter)
    assert rxllm.run(reactivex.of(text_chunk("a")).pipe(ops.trace(telemetry), ops.content())) == "a"
    assert any("RuntimeError" in line for line in logged)
    meter.shutdown()


def test_a_chunk_that_cannot_be_looked_at_breaks_nothing(logged: list[str]) -> None:
    class Odd:
        @property
        def choices(self) -> Any:
            raise RuntimeError("odd")

    odd = Odd()
    assert rxllm.run(reactivex.of(odd).pipe(ops.trace())) is odd
    assert any("RuntimeError" in line for line in logged)


def test_a_chunk_of_another_library_is_counted() -> None:
    class Other:
        choices = (finish_chunk().choices[0],)

    assert isinstance(rxllm.run(reactivex.of(Other()).pipe(ops.trace())), Other)


def test_what_is_given_is_checked() -> None:
    any_: Any = OpenTelemetry
    with pytest.raises(TypeError, match="capture_content"):
        any_(capture_content="yes")
    with pytest.raises(TypeError, match="propagate"):
        any_(propagate=1)
    with pytest.raises(ValueError, match="chunk_times"):
        OpenTelemetry(chunk_times=-1)
    client: Any = LLMClient
    with pytest.raises(TypeError, match="write telemetry="):
        client(telemetry="otel")
    trace: Any = ops.trace
    for name in ("model", "provider", "conversation"):
        with pytest.raises(TypeError, match=name):
            trace(**{name: 5})
    for none in (None, False):
        with pytest.raises(TypeError, match="leave trace"):
            trace(none)
    with pytest.raises(TypeError, match="a request is"):
        trace(request=5)
    assert repr(OpenTelemetry()) == "OpenTelemetry(capture_content=False)"


async def test_true_is_one_with_the_defaults() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        for telemetry in (True, False):
            client = LLMClient(base_url=server.base_url, telemetry=telemetry)
            assert (await client.chat(REQUEST)).text == "Hello"
            assert (await ClientPool([client], telemetry=telemetry).chat(REQUEST)).text == "Hello"


@pytest.mark.parametrize(
    "ask",
    [
        OpenTelemetry,
        ops.trace,
        lambda: LLMClient(base_url="http://localhost/v1", telemetry=True),
        lambda: ops.run_tools(rxllm.ToolRegistry([where]), telemetry=True),
    ],
    ids=["OpenTelemetry", "trace", "LLMClient", "run_tools"],
)
def test_without_the_extra_it_says_what_to_install(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    room = importlib.import_module("rxllm.telemetry")
    monkeypatch.delattr(room, "_making", raising=False)
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "rxllm.telemetry._making"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("_making", "_operations", "_spans", "_instruments"):
        monkeypatch.delitem(sys.modules, f"rxllm.telemetry.{name}", raising=False)
        monkeypatch.delattr(room, name, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rxllm\[otel\]'") as caught:
        ask()
    assert caught.value.extra == "rxllm[otel]"


OFF = """
import sys
import rxllm
from rxllm import operators as ops
client = rxllm.LLMClient(base_url="http://localhost/v1")
client.chat_stream(model="m", messages=[]).pipe(ops.accumulate())
client.chat_with_tools(model="m", messages=[], registry=rxllm.ToolRegistry([]))
rxllm.ClientPool([client]).chat_stream(model="m", messages=[])
print([name for name in sys.modules if name.startswith(("opentelemetry", "rxllm.telemetry"))])
"""


def test_off_nothing_of_it_is_imported() -> None:
    output = subprocess.run([sys.executable, "-c", OFF], check=True, capture_output=True, text=True)
    assert output.stdout == "[]\n"


def test_a_wrong_argument_shows_no_key() -> None:
    client: Any = LLMClient
    with pytest.raises(TypeError) as caught:
        client(api_key="sk-0123456789abcdef", telemetry="otel")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "sk-0123456789abcdef" not in shown.partition("rxllm/client")[2]


# What others made


class ForeignError(ConnectionError):
    """An error of another library, which calls something else its stream."""

    stream = "stdout"


class AskedError(ConnectionError):
    @property
    def stream(self) -> Any:
        raise AssertionError


@pytest.mark.parametrize("error", [ForeignError(), AskedError()], ids=["stream", "property"])
def test_what_another_library_calls_a_stream_is_none_of_a_request(error: Exception, told: Told) -> None:
    def tries(second: Observable[StreamChunk]) -> Observable[StreamChunk]:
        return rxllm.fallback(reactivex.throw(error), second).pipe(ops.trace(told.telemetry))

    assert rxllm.run(tries(reactivex.of(text_chunk("a"))).pipe(ops.content())) == "a"
    with pytest.raises(AllAttemptsFailedError):
        rxllm.run(tries(reactivex.throw(error)))
    assert [span.name for span in told.spans] == ["attempt 1", "attempt 2", "chat"] * 2
    assert told.open_spans == []


def test_a_span_ends_though_nothing_can_be_said_of_it(told: Told, logged: list[str]) -> None:
    odd: Any = 5
    chunk = marked(text_chunk("a"), stream=rxllm.StreamInfo(host=odd))
    assert rxllm.run(reactivex.of(chunk).pipe(ops.trace(told.telemetry), ops.content())) == "a"
    assert told.open_spans == []
    assert any("AttributeError" in line for line in logged)


def test_what_cannot_be_said_of_a_server_takes_nothing_else_with_it(told: Told) -> None:
    odd: Any = 5
    chunk = marked(text_chunk("a"), stream=rxllm.StreamInfo(host=odd))
    rxllm.run(reactivex.of(chunk).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["rxllm.ending"] == "whole"
    assert [point.count for point in told.histogram("gen_ai.client.operation.duration")] == [1]


def test_what_cannot_be_said_of_an_interface_takes_no_histogram_with_it(told: Told) -> None:
    odd: Any = []
    chunk = marked(text_chunk("a"), stream=rxllm.StreamInfo(dialect=odd))
    rxllm.run(reactivex.of(chunk).pipe(ops.trace(told.telemetry, provider="openai")))
    assert told.open_spans == []
    assert [point.count for point in told.histogram("gen_ai.client.operation.duration")] == [1]
