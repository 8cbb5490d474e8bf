"""A chat server on a loopback port that answers as it is told to, over SSE and WebSocket.

Rules:

1. The first request gets the first script, the second the second. A function answers every request from its turn on.
2. A client that asks for a WebSocket gets one. Its first message is the request; each event is a text frame; at the
   end of the script the WebSocket is closed with 1000.
3. A request for which no script is left gets status 400, and leaving the server's block says so.
4. Leaving the block ends what is under way and leaves no task, socket or timer behind. It raises what went wrong in
   the server; if the block itself failed, that is added to the failure as a note.

With ``async with`` it runs in the event loop of its client, so that events of the two can be awaited in one test. With
``with`` it has an event loop in a thread of its own, for synchronous clients and those of other loops: then nothing of
it can be awaited, but what it reports can be read, and ``requests`` are complete once a client has its answer.
"""

from __future__ import annotations

import asyncio
import ssl as tls
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from rxllm.testing._server_connection import Connection
from rxllm.testing._server_http import RequestHead
from rxllm.testing._server_request import ReceivedRequest, Signal
from rxllm.testing.script import (
    Answer,
    Fragment,
    Framing,
    Renderer,
    ScriptDialect,
    StepLike,
    api_error,
    as_answer,
    renderer_of,
)
from rxllm.testing.script._answers import NO_SCRIPT

__all__ = ["Script", "ScriptedServer"]

PlainScript: TypeAlias = Answer | str | bytes | Iterable[StepLike]
Script: TypeAlias = PlainScript | Callable[[ReceivedRequest], PlainScript]
"""What answers a request: see the rules of ``rxllm.testing.script``, or a function of the request."""

NO_SCRIPT_LEFT = "no script is left for this request"
# As many clients as a test likes may connect at once; the default of 100 makes some of them wait for a second.
BACKLOG = 4096
# Between accept(2) and the connection's first callback, asyncio takes this many turns of the loop at most.
ACCEPT_TURNS = 4


class ScriptedServer:
    """A chat server on a loopback port that answers as its scripts say.

    ``fragment``, ``line_end``, ``framing`` and ``delay_per_chunk`` apply to scripts that are not an ``Answer``;
    ``rxllm.testing.script.Answer`` explains them.

    Args:
        *scripts: The answers to the requests, in order.
        dialect: The dialect that the server speaks. The scripts are the same in all dialects; see
            ``rxllm.testing.script``.
        repeat: Whether the last script answers all further requests, too.
        fragment: How bodies are split into writes.
        line_end: What ends a line of an event stream.
        framing: How the client learns that a body has ended.
        delay_per_chunk: Seconds to wait before each event.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        ssl: A context for TLS. The URLs then begin with ``https`` and ``wss``.

    Raises:
        ValueError: There is no such dialect.

    Example:
        >>> import asyncio, aiohttp
        >>> from rxllm.testing import ScriptedServer
        >>> async def main():
        ...     async with ScriptedServer("It is late.") as server, aiohttp.ClientSession() as session:
        ...         async with session.post(server.url, json={"messages": []}) as response:
        ...             body = await response.text()
        ...     print(body.count("data: "), "events for", server.requests[0].json)
        >>> asyncio.run(main())
        7 events for {'messages': []}
    """

    def __init__(
        self,
        *scripts: Script,
        dialect: ScriptDialect = "openai-chat",
        repeat: bool = False,
        fragment: Fragment = None,
        line_end: Literal["\n", "\r", "\r\n"] = "\n",
        framing: Framing = "chunked",
        delay_per_chunk: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        usual = Answer(fragment=fragment, line_end=line_end, framing=framing, delay_per_chunk=delay_per_chunk)
        self._renderer = renderer_of(dialect)
        self._desk = _Desk(scripts, repeat=repeat, usual=usual, renderer=self._renderer)
        self._host = host
        self._port = port
        self._ssl = ssl

    def add(self, *scripts: Script) -> None:
        """Add scripts for further requests, after the scripts that are there.

        Args:
            *scripts: As for the constructor. The other arguments of the constructor apply to these, too.
        """
        self._desk.add(scripts)

    # Addresses

    @property
    def origin(self) -> str:
        """Scheme, host and port, ``http://127.0.0.1:8000`` for example."""
        return f"http{'s' * bool(self._ssl)}://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """The base URL for a client: the origin and ``/v1``; without ``/v1`` for Anthropic."""
        return f"{self.origin}{self._renderer.base_path}"

    @property
    def url(self) -> str:
        """The URL of chat completions, or of the same in another dialect. All other paths get the same answers."""
        return f"{self.origin}{self._renderer.path}"

    @property
    def ws_url(self) -> str:
        """The same URL for a WebSocket."""
        return f"ws{self.url.removeprefix('http')}"

    # What happened

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests that came, in order."""
        return self._desk.requests

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return self._desk.connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._desk.open)

    async def wait_for_request(self, number: int = 0) -> ReceivedRequest:
        """Wait until the request with this number, counted from 0, has come."""
        await self._desk.changed.until(lambda: len(self.requests) > number)
        return self.requests[number]

    async def wait_disconnected(self) -> None:
        """Wait until no connection is open."""
        await self._desk.changed.until(lambda: not self._desk.open)

    # Life

    def __enter__(self) -> Self:
        self._own_loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._own_loop.run_forever, name="scripted server", daemon=True)
        self._thread.start()
        try:
            self._run_in_thread(self.__aenter__())
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._run_in_thread(self.__aexit__(kind, error, traceback))
        finally:
            self._end_thread()

    def _run_in_thread(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._own_loop).result()

    def _end_thread(self) -> None:
        self._own_loop.call_soon_threadsafe(self._own_loop.stop)
        self._thread.join()
        self._own_loop.close()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._desk),
            self._host,
            self._port,
            ssl=self._ssl,
            backlog=BACKLOG,
            start_serving=False,
        )
        try:
            await self._listener.start_serving()
        except BaseException:
            # Nobody has the server yet who could leave it.
            self._listener.close()
            raise
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._desk.close()
        # asyncio forgets a socket that is accepted but has no transport yet when its listener closes: let it get one.
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._listener.close()
        await self.wait_disconnected()
        await self._desk.wait_tasks()
        await self._listener.wait_closed()
        self._report(error)

    def _report(self, error: BaseException | None) -> None:
        failures = self._desk.failures
        shown = failures[0] if error is None and failures else error
        for failure in failures:
            if shown is not None and shown is not failure:
                shown.add_note(f"the scripted server failed too: {failure!r}")
        if shown is not None and shown is not error:
            raise shown


class _Desk:
    """Hands out the scripts and keeps the books: the ``Host`` of the connections."""

    def __init__(self, scripts: Sequence[Script], *, repeat: bool, usual: Answer, renderer: type[Renderer]) -> None:
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.open: set[Connection] = set()
        self.failures: list[BaseException] = []
        self.changed = Signal()
        self._scripts = list(scripts)
        self._repeat = repeat
        self._usual = usual
        self._renderer = renderer
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # Connections

    def opened(self, connection: Connection) -> int:
        """Register a connection; returns its number."""
        self.open.add(connection)
        self.connections += 1
        if self._closing:
            connection.abort()
        return self.connections - 1

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.open.discard(connection)
        self.changed.fire()

    def watch(self, task: asyncio.Task[None]) -> None:
        """Wait for the task when the server stops, and report its failure."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self.failures.append(failure)

    def close(self) -> None:
        """Abort all connections, those too that are about to open."""
        self._closing = True
        for connection in self.open:
            connection.abort()

    async def wait_tasks(self) -> None:
        """Wait until everything that was under way has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Requests

    def add(self, scripts: Sequence[Script]) -> None:
        """Take further scripts."""
        self._scripts += scripts

    def received(self, head: RequestHead, connection: int) -> ReceivedRequest:
        """Register a request."""
        path, _, query = head.target.partition("?")
        request = ReceivedRequest(len(self.requests), connection, head.method, path, query, head.headers)
        request.received_at = asyncio.get_running_loop().time()
        self.requests.append(request)
        self.changed.fire()
        return request

    def announced_answer(self) -> Answer | None:
        """The next answer, if it does not depend on the request."""
        script = self._script
        return None if callable(script) else self._as_answer(script)

    def answer(self, request: ReceivedRequest) -> Answer:
        """Take the next script and make an answer of it, in the dialect."""
        return self._renderer(request.number).rendered(self._next_answer(request))

    def _next_answer(self, request: ReceivedRequest) -> Answer:
        script = self._script
        if callable(script):
            return self._as_answer(script(request))
        if script is None:
            self.failures.append(AssertionError(f"request {request.number} (counted from 0): {NO_SCRIPT_LEFT}"))
        else:
            self._next += 1
        return self._as_answer(script)

    @property
    def _script(self) -> Script | None:
        left = self._scripts[self._next :] or (self._scripts[-1:] if self._repeat else ())
        return left[0] if left else None

    def _as_answer(self, script: PlainScript | None) -> Answer:
        if isinstance(script, Answer):
            return script
        if script is None:
            return api_error(400, NO_SCRIPT_LEFT, type=NO_SCRIPT)
        return replace(self._usual, steps=as_answer(script).steps)
