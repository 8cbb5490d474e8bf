"""Spans that break nothing, and where they are the current ones.

Rules:

1. Nothing that OpenTelemetry or an exporter raises reaches a stream. It is logged, and the span is what it is.
2. A span is current while its pipeline is subscribed to, so in the tasks that send the request, until the first items
   come. What stands below runs in the context of whoever subscribed, as if there were no span.
3. A span ends once, in the call in which its stream ends or is left.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import Token
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer

from rxllm.exceptions import APIStatusError, RxllmError, stream_of
from rxllm.flow import (
    FlowControl,
    Trial,
    TrialEnding,
    TryWatch,
    listening,
    reset_try_watch,
    set_try_watch,
    stopping,
    try_watch,
)
from rxllm.harmless import harmless, message_of
from rxllm.logs import logger
from rxllm.models import StreamInfo
from rxllm.telemetry._instruments import Instruments
from rxllm.telemetry._names import AttributeValue, Naming, plain

P = ParamSpec("P")
R = TypeVar("R")

Attributes = Mapping[str, AttributeValue]


def safely(do: Callable[P, R], default: R, /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call something of OpenTelemetry; what it raises is logged, and ``default`` is returned."""
    try:
        return do(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the stream has to go on
        told_incompletely(do, error)
        return default


def told_incompletely(do: Callable[..., object], error: Exception) -> None:
    """Log that something of OpenTelemetry, or what is done for it, has raised."""
    logger.warning("telemetry is incomplete: {} raised {}", getattr(do, "__name__", "it"), type(error).__name__)


@dataclass(frozen=True)
class Kit:
    """What spans are made with.

    Args:
        tracer: Makes them.
        instruments: The histograms.
        naming: Names the attributes.
        captures: Whether what is said is told, too.
        most_gaps: How many times between chunks are recorded of one answer at most.
    """

    tracer: Tracer
    instruments: Instruments
    naming: Naming
    captures: bool
    most_gaps: int

    def start(self, name: str, kind: SpanKind, attributes: Attributes, parent: Context) -> Span:
        """Start a span."""
        return safely(self.tracer.start_span, INVALID_SPAN, plain(name), parent, kind, attributes)

    def end(self, span: Span, attributes: Attributes, error: Exception | None = None, kind: str | None = None) -> None:
        """End a span.

        Args:
            span: The span.
            attributes: What became known.
            error: What it failed with.
            kind: What kind of failure it is; by default what the error says.
        """
        safely(self._tell, None, span, attributes, error, kind)
        safely(span.end, None)

    def _tell(self, span: Span, attributes: Attributes, error: Exception | None, kind: str | None) -> None:
        if not span.is_recording():
            return
        span.set_attributes(attributes)
        kind = kind or (None if error is None else error_type(error))
        if kind is None:
            return
        span.set_attributes(self.naming.attributes(error_type=kind))
        span.set_status(Status(StatusCode.ERROR))
        if error is not None:
            # A message may quote what was said.
            message = harmless(message_of(error)) if self.captures else None
            named = self.naming.attributes(exception_type=class_name(error), exception_message=message)
            span.add_event("exception", named)


def class_name(error: Exception) -> str:
    """The name of the class of an error, with its module unless that is ours or Python's."""
    kind = type(error)
    is_known = isinstance(error, RxllmError) or kind.__module__ == "builtins"
    return kind.__qualname__ if is_known else f"{kind.__module__}.{kind.__qualname__}"


def error_type(error: Exception) -> str:
    """What kind of failure an error is: the status of an answer, else the name of the class."""
    return str(error.status) if isinstance(error, APIStatusError) else class_name(error)


class Entered(AbstractContextManager[None]):
    """Makes a span the current one within, and has somebody hear of the tries that are made there; to be entered once.

    Args:
        inside: The context that has the span.
        watch: Who hears of the tries.
    """

    __slots__ = ("_inside", "_mark", "_token", "_watch")

    _token: Token[Context]
    _mark: Token[TryWatch]

    def __init__(self, inside: Context, watch: TryWatch) -> None:
        self._inside = inside
        self._watch = watch

    def __enter__(self) -> None:
        self._token, self._mark = context.attach(self._inside), set_try_watch(self._watch)

    def __exit__(self, *_: object) -> None:
        # A coroutine that is thrown away when its loop is gone ends in another context: there is nothing to reset.
        with suppress(ValueError):
            reset_try_watch(self._mark)
            context.detach(self._token)


class Scope:
    """The span of an operation, whose tries are its children.

    Args:
        kit: What it is made with.
        name: What it is called.
        kind: Whether it is a call to somebody else.
        attributes: What is known when it begins.
    """

    def __init__(self, kit: Kit, name: str, kind: SpanKind, attributes: Attributes) -> None:
        self.kit: Kit = kit
        self._outside = context.get_current()
        self._outer = try_watch()
        self.span: Span = kit.start(name, kind, attributes, self._outside)
        self._inside = trace.set_span_in_context(self.span, self._outside)
        self._tries = 0

    @property
    def scope(self) -> Scope:
        """The operation: for who asks a try, it is another."""
        return self

    def begin_try(self) -> Trial:
        """Begin the span of a try."""
        self._tries += 1
        return TrialSpan(self.kit, self, self._inside, self._tries)

    def subscribing(self) -> AbstractContextManager[None]:
        """The context within which the pipeline is subscribed to."""
        return Entered(self._inside, self)

    def leave(self) -> None:
        """Let the running task go on in the context of whoever subscribed, from here on."""
        if getattr(try_watch(), "scope", None) is self:
            set_try_watch(self._outer)
            context.attach(self._outside)

    def left(self) -> AbstractContextManager[None]:
        """Let what runs within be in the context of whoever subscribed."""
        return Entered(self._outside, self._outer)


class TrialSpan:
    """The span of a try. Those that are made within one are its children."""

    def __init__(self, kit: Kit, scope: Scope, parent: Context, number: int) -> None:
        self.scope = scope
        self._kit = kit
        named = kit.naming.attributes(attempt=number)
        self._span: Span | None = kit.start(f"attempt {number}", SpanKind.INTERNAL, named, parent)
        self._inside = trace.set_span_in_context(self._span, parent)
        self._flow: FlowControl | None = None
        self._tries = 0

    def begin_try(self) -> Trial:
        self._tries += 1
        return TrialSpan(self._kit, self.scope, self._inside, self._tries)

    @contextmanager
    def subscribing(self) -> Generator[None]:
        with Entered(self._inside, self), listening(self):
            yield

    def on_source(self, flow: FlowControl, /) -> None:
        """Hear of the source, which knows where its request goes."""
        self._flow = flow

    def end(self, ending: TrialEnding, error: Exception | None = None, stream: StreamInfo | None = None) -> None:
        span, self._span = self._span, None
        if span is None:
            return
        flow, self._flow = self._flow, None
        known = stream or stream_of(error) or (None if flow is None else flow.stream)
        address, port = server_of(known)
        word = "stopped" if ending == "left" and stopping() else ending
        named = self._kit.naming.attributes(server_address=address, server_port=port, ending=word)
        self._kit.end(span, named, error)


def server_of(stream: StreamInfo | None) -> tuple[str | None, int | None]:
    """Where a request went: the host, and the port if it is not the usual one."""
    if stream is None or not stream.host:
        return None, None
    host, colon, port = stream.host.rpartition(":")
    if colon and port.isdecimal():
        return host.strip("[]"), int(port)
    return stream.host.strip("[]"), None
