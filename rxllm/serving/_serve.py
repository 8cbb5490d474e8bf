"""One answer over HTTP, whatever server it runs in.

Rules:

1. The status is that of the first item, which is waited for so long and no longer: an error before it is a status and a
   body. After that time the answer begins with 200, and errors are told as the protocol says.
2. As long as a write waits for the client, the provider is paused: see ``_outbox``.
3. A client that comes back for the rest of a stream gets 200 or 204, unless the stream or the position is none: an
   ``EventSource`` takes any other status for the end of everything.
4. A pipeline is subscribed to for ``GET`` and ``POST`` and the like, never for ``HEAD`` and ``OPTIONS``.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from reactivex import Observable

from rxllm.exceptions import PositionError, UnknownStreamError
from rxllm.flow import check_kind, check_seconds
from rxllm.models import LogPosition
from rxllm.serving._closing import listed
from rxllm.serving._event_stream import UNCOLLECTED
from rxllm.serving._events_protocol import END_ID
from rxllm.serving._outbox import Outbox
from rxllm.serving._protocol import AnswersWhole, Asked, ServingProtocol
from rxllm.serving._protocols import protocol_named
from rxllm.serving._public_error import PublicError, public_error
from rxllm.serving._telling import Telling
from rxllm.serving._whole_box import WholeBox
from rxllm.sources import LogStream

__all__ = ["FIRST_SECONDS", "HEARTBEAT_SECONDS", "Head", "Plan", "Served", "plan", "serve"]

FIRST_SECONDS = 15.0
"""How long the status waits for the first item."""

HEARTBEAT_SECONDS = 15.0
"""After how long a silence at most a comment is sent."""

LAST_WRITE_SECONDS = 5.0
"""How long the last write may take, when the server stops."""

_EVENT_STREAM: Mapping[str, str] = {"Content-Type": "text/event-stream; charset=utf-8", **UNCOLLECTED}
_JSON: Mapping[str, str] = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_TEXT: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_BAD_POSITION = PublicError(400, "bad_position", "Last-Event-ID or after is not a position of a stream.")
# Of a log, what no coming back mends.
_NOT_THERE = (UnknownStreamError, PositionError)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins.

    Attributes:
        status: The status.
        headers: The headers.
        body: All of the body; ``None`` if it is a stream.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is served, and how; the options of both hosts.

    Attributes:
        pipeline: What is served.
        protocol: How it is told.
        headers: More headers of the answer.
        first: For how many seconds the head waits for an item.
        heartbeat: After how many seconds of silence at most there is a comment.
    """

    pipeline: Observable[Any]
    protocol: ServingProtocol
    headers: Mapping[str, str]
    first: float
    heartbeat: float

    def without_pipeline(self, method: str) -> Head | None:
        """The answer to ``HEAD`` and ``OPTIONS``."""
        if method == "OPTIONS":
            return Head(204, _merged({"Allow": "GET, HEAD, OPTIONS, POST"}, self.headers), b"")
        return Head(200, self._headers(), b"") if method == "HEAD" else None

    def box(self, asked: Asked) -> Outbox | WholeBox:
        """What takes the items, for one client."""
        whole = self.protocol.whole(asked) if isinstance(self.protocol, AnswersWhole) else None
        return Outbox(Telling(self.protocol.writer(asked))) if whole is None else WholeBox(whole)

    def whole(self, body: bytes) -> Head:
        """An answer that is one object."""
        return Head(200, _merged(_JSON, self.headers), body)

    def stream(self) -> Head:
        """The head of a stream."""
        return Head(200, self._headers())

    def refused(self, error: PublicError) -> Head:
        """An answer that is an error."""
        body = self.protocol.refusal(error)
        if body is None:
            return Head(204, self.headers, b"")
        wait = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
        headers = _merged(_JSON if isinstance(body, bytes) else _TEXT, wait, self.headers)
        return Head(error.status, headers, body if isinstance(body, bytes) else body.encode())

    def _headers(self) -> Mapping[str, str]:
        return _merged(_EVENT_STREAM, self.protocol.headers, self.headers)


def _merged(*several: Mapping[str, str]) -> Mapping[str, str]:
    """Headers, of which each is there once: the last one counts, whether names are written large or small."""
    by_name = {name.lower(): (name, value) for headers in several for name, value in headers.items()}
    return dict(by_name.values())


def plan(
    pipeline: Observable[Any],
    protocol: str | ServingProtocol,
    *,
    headers: Mapping[str, str] | None,
    first: float,
    heartbeat: float,
) -> Plan:
    """Check what is to be served.

    Raises:
        TypeError: The pipeline is not an observable, or a time no number.
        ValueError: There is no such protocol, a time is not positive, or a header is none.
    """
    check_kind("pipeline", pipeline, Observable)
    check_seconds("first", first)
    check_seconds("heartbeat", heartbeat)
    for name, value in (headers or {}).items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name!r}: {value!r} is not a header: it has a character that a header must not have")
    return Plan(pipeline, protocol_named(protocol), dict(headers or {}), first, heartbeat)


class Served:
    """One answer: its head, then its body, block by block. Used as ``serve`` gives it.

    Args:
        plan: What is served.
        outbox: What waits for the client.
        returns: Whether the client was there before.
        abort: Ends the connection at once, if the host can do that.
    """

    block: Callable[[], Awaitable[bytes]]
    """What is to be written next of a stream, in whole frames; nothing at the end."""

    def __init__(
        self, plan: Plan, outbox: Outbox | WholeBox, *, returns: bool, abort: Callable[[], None] | None
    ) -> None:
        self._plan = plan
        self._outbox = outbox
        self._returns = returns
        self._abort = abort
        self._timer: asyncio.TimerHandle | None = None
        self.abandon = outbox.abandon

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._outbox.gone

    async def head(self) -> Head:
        """Wait for the first item, a while at most, and say how the answer begins."""
        outbox = self._outbox
        if isinstance(outbox, WholeBox):
            return await self._whole(outbox)
        await outbox.wait(self._plan.first)
        error = outbox.error
        if error is not None and (not self._returns or isinstance(error, _NOT_THERE)):
            return self._plan.refused(public_error(error))
        outbox.answer(self._plan.heartbeat)
        self.block = outbox.block
        return self._plan.stream()

    async def _whole(self, box: WholeBox) -> Head:
        try:
            return self._plan.whole(await box.body())
        except Exception as error:  # noqa: BLE001 - told to the client
            return self._plan.refused(public_error(error))

    def close(self) -> None:
        """End the answer, because the server stops; whoever does not take the end, is left."""
        self._outbox.close()
        if self._abort is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LAST_WRITE_SECONDS, self._abort)

    def leave(self) -> None:
        """Leave the pipeline."""
        self._outbox.dispose()
        if self._timer is not None:
            self._timer.cancel()


@asynccontextmanager
async def serve(
    plan: Plan, asked: Asked, *, after: str | None, abort: Callable[[], None] | None = None
) -> AsyncGenerator[Served | Head]:
    """Subscribe to a pipeline for one client; left, the pipeline is left.

    Args:
        plan: What is served.
        asked: What the client asked for.
        after: Where the client was: the ``id`` of the last frame that it has.
        abort: Ends the connection at once, if the host can do that.

    Yields:
        The answer; a head alone if there is nothing to serve.
    """
    pipeline = plan.pipeline
    returns = plan.protocol.resumes and after is not None
    if returns and after == END_ID:
        yield Head(204, plan.headers, b"")
        return
    if isinstance(pipeline, LogStream):
        try:
            position = LogPosition.parse(after) if returns and after is not None else None
        except ValueError:
            yield plan.refused(_BAD_POSITION)
            return
        # Also where nobody goes on: only so do items say that what came before them does not count.
        pipeline = pipeline.with_positions(position)
        asked = Asked(asked.body, resumes=plan.protocol.resumes)
    outbox = plan.box(asked)
    served = Served(plan, outbox, returns=returns, abort=abort)
    with listed(served.close):
        try:
            outbox.start(pipeline)
            yield served
        finally:
            served.leave()
            # The task of the source was cancelled; this is its turn to act on it.
            await asyncio.sleep(0)
