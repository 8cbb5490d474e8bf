"""One answer over HTTP, whatever server it runs in.

Rules:

1. The status is that of the first item, which is waited for so long and no longer: an error before it is a status and a
   body. After that time the answer begins with 200, and errors are told as the protocol says.
2. What waits is one frame after another: as long as a write waits for the client, nothing is taken of the pipeline, and
   so the provider is paused. Who stops writing leaves the pipeline.
3. While nothing comes, a comment keeps the connection alive.
4. A stream of a log goes on exactly where the client was, if the protocol has positions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from reactivex import Observable

from rxllm.bridges import iterate
from rxllm.flow import Iteration, check_kind, check_seconds
from rxllm.models import LogPosition
from rxllm.serving._event_stream import COMMENT
from rxllm.serving._events_protocol import END_ID
from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._protocols import protocol_named
from rxllm.serving._public_error import PublicError, public_error
from rxllm.serving._telling import Telling
from rxllm.sources import LogStream

__all__ = ["FIRST_SECONDS", "HEARTBEAT_SECONDS", "Head", "Served", "serve"]

FIRST_SECONDS = 15.0
"""How long the status waits for the first item."""

HEARTBEAT_SECONDS = 15.0
"""After how long a silence a comment is sent."""

_EVENT_STREAM: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    # nginx and those who follow it collect an answer unless they are told not to.
    "X-Accel-Buffering": "no",
}
_JSON: Mapping[str, str] = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_BAD_POSITION = PublicError(400, "bad_position", "Last-Event-ID or after is no position of a stream.")


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins.

    Attributes:
        status: The status.
        headers: The headers.
        body: All of the body, if it is no stream.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None = None


class Served:
    """One answer: its head, then its body. Used as ``serve`` gives it.

    Args:
        items: The items.
        protocol: How they are told.
        asked: What the client asked for.
        first: For how many seconds the head waits.
        heartbeat: After how many seconds of silence there is a comment.
    """

    def __init__(
        self, items: Iteration[Any], protocol: ServingProtocol, asked: Asked, *, first: float, heartbeat: float
    ) -> None:
        self._items = items
        self._protocol = protocol
        self._telling = Telling(protocol.writer(asked))
        self._first = first
        self._heartbeat = heartbeat
        self._begun = b""

    async def head(self) -> Head:
        """Wait for the first item, a while at most, and say how the answer begins."""
        try:
            items = await self._items.take_all(self._first)
        except StopAsyncIteration:
            self._begun = self._telling.completed(stopped=self._items.stopped)
        except Exception as error:  # noqa: BLE001 - told to the client
            return refused(self._protocol, public_error(error))
        else:
            self._begun = self._telling.items(items) or COMMENT
        return Head(200, {**_EVENT_STREAM, **self._protocol.headers})

    async def body(self) -> AsyncIterator[bytes]:
        """Whole frames, until the end is told."""
        yield self._begun
        while not self._telling.over:
            yield await self._next()

    def closing(self) -> bytes:
        """The end, because the server stops."""
        return self._telling.closing()

    async def _next(self) -> bytes:
        try:
            items = await self._items.take_all(self._heartbeat)
        except StopAsyncIteration:
            return self._telling.completed(stopped=self._items.stopped)
        except Exception as error:  # noqa: BLE001 - told to the client
            return self._telling.failed(error)
        return self._telling.items(items) if items else COMMENT


@asynccontextmanager
async def serve(
    pipeline: Observable[Any],
    protocol: str | ServingProtocol,
    asked: Asked,
    *,
    after: str | None = None,
    first: float = FIRST_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[Served | Head]:
    """Subscribe to a pipeline for one client; left, the pipeline is left.

    Args:
        pipeline: What is served.
        protocol: How.
        asked: What the client asked for.
        after: Where the client was: the ``id`` of the last frame that it has.
        first: For how many seconds the head waits for an item.
        heartbeat: After how many seconds of silence there is a comment.

    Yields:
        The answer; a head alone if there is nothing to serve.
    """
    check_kind("pipeline", pipeline, Observable)
    check_seconds("first", first)
    check_seconds("heartbeat", heartbeat)
    chosen = protocol_named(protocol)
    if isinstance(pipeline, LogStream) and chosen.resumes:
        if after == END_ID:
            yield Head(204, {})
            return
        try:
            position = None if after is None else LogPosition.parse(after)
        except ValueError:
            yield refused(chosen, _BAD_POSITION)
            return
        pipeline = pipeline.with_positions(position)
    async with iterate(pipeline, buffer_size=256) as items:
        yield Served(items, chosen, asked, first=first, heartbeat=heartbeat)


def refused(protocol: ServingProtocol, error: PublicError) -> Head:
    """An answer that is an error."""
    headers = dict(_JSON)
    if error.retry_after is not None:
        headers["Retry-After"] = str(round(error.retry_after))
    return Head(error.status, headers, protocol.refusal(error))
