"""SIGTERM ends each answer in good order, and promptly, without a line of the application."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import rxllm
from rxllm import serving
from tests.serving.conftest import SECONDS, Client, Host, Serve, Source, running, soon

Connect = Callable[..., Awaitable[Client]]

# Answers without an end. The first line that it prints is where it listens.
PIPELINE = """
import asyncio, socket, sys
import rxllm
from rxllm import serving

async def words():
    yield "Hel"
    yield "lo"
    await asyncio.sleep(3600)

def pipeline():
    return rxllm.from_async_iterable(words)

log = rxllm.SQLiteLog(sys.argv[1])
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
"""

AIOHTTP = (
    PIPELINE
    + """
from aiohttp import web

async def attached(request):
    return await serving.aiohttp_response(request, pipeline())

async def kept(request):
    return await serving.aiohttp_response(request, rxllm.from_log(log, "words"))

async def produce(app):
    task = asyncio.ensure_future(log.produce("words", pipeline()))
    yield
    task.cancel()

app = web.Application()
app.cleanup_ctx.append(produce)
app.add_routes([web.get("/attached", attached), web.get("/kept", kept)])
web.run_app(app, sock=listening, print=None)
"""
)

UVICORN = (
    PIPELINE
    + """
import uvicorn

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        self.task = asyncio.ensure_future(log.produce("words", pipeline()))
        await super().startup(sockets)

    async def shutdown(self, sockets=None):
        await super().shutdown(sockets)
        self.task.cancel()

async def app(scope, receive, send):
    stream = pipeline() if scope["path"] == "/attached" else rxllm.from_log(log, "words")
    await serving.StreamingResponse(stream)(scope, receive, send)

Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run([listening])
"""
)

CLOSING = (
    'id: end\nevent: end\ndata: {"type":"end","ending":"closing","error":{"code":"closing",'
    '"message":"The server is going down. Try again."}}\n\n'
)


@pytest.fixture
async def server(host: Host, tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    program = AIOHTTP if host == "aiohttp" else UVICORN
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path / "log.db")),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ,
    )
    assert process.stdout is not None
    port = (await process.stdout.readline()).decode().strip()
    yield process, f"http://127.0.0.1:{port}/"
    if process.returncode is None:
        process.kill()
    await process.wait()


Server = tuple[asyncio.subprocess.Process, str]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be handled")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_each_answer_ends_as_its_protocol_says(
    server: Server, http: aiohttp.ClientSession, number: signal.Signals
) -> None:
    process, url = server
    async with asyncio.timeout(SECONDS), http.get(url + "attached") as attached, http.get(url + "kept") as kept:
        assert b"Hel" in await attached.content.readline()
        assert b"id: " in await kept.content.readline()

        process.send_signal(number)

        # A body that is cut is an error of the client.
        text, followed = await attached.text(), await kept.text()
        await process.wait()

    assert text.endswith(CLOSING)
    # It can be gone on with, here or elsewhere: no end is told.
    assert followed.endswith('data: {"round":1,"type":"text","text":"lo"}\n\n')


async def test_what_has_not_begun_is_refused(serve: Serve, http: aiohttp.ClientSession, source: Source) -> None:
    url = await serve(source)

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(http.get(url))
        await source.begun.wait()
        await serving.close_all()
        response = await asking
        text = await response.text()

    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert "closing" in text
    await soon(source.left)


async def test_on_demand(serve: Serve, http: aiohttp.ClientSession, source: Source) -> None:
    url = await serve(source)
    source.put("Hel")

    async with asyncio.timeout(SECONDS), http.get(url) as response:
        await response.content.readline()
        await serving.close_all()
        text = await response.text()

    assert text.endswith(CLOSING)
    await soon(source.left)
    # What comes afterwards is served as ever.
    source.put("lo", None)
    async with http.get(url) as response:
        assert response.status == 200


async def test_as_a_callback_of_an_application(http: aiohttp.ClientSession, source: Source) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, source())

    app = web.Application()
    app.router.add_get("/", handle)
    app.on_shutdown.append(serving.close_all)
    source.put("Hel")
    async with asyncio.timeout(SECONDS):
        async with running(app) as url:
            response = await http.get(url)
            await response.content.readline()
        text = await response.text()

    assert text.endswith(CLOSING)


async def test_a_handler_that_is_cancelled_ends_its_answer(
    serve: Serve, http: aiohttp.ClientSession, source: Source
) -> None:
    """As a server does that has waited long enough."""
    tasks: list[asyncio.Task[Any]] = []

    def pipeline() -> Any:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        return source()

    url = await serve(pipeline)
    source.put("Hel")

    async with asyncio.timeout(SECONDS), http.get(url) as response:
        await response.content.readline()
        tasks[0].cancel()
        text = await response.text()

    assert text.endswith(CLOSING)
    await soon(source.left)


async def test_from_another_thread(serve: Serve, http: aiohttp.ClientSession, source: Source) -> None:
    url = await serve(source)
    source.put("Hel")

    async with asyncio.timeout(SECONDS), http.get(url) as response:
        await response.content.readline()
        await asyncio.to_thread(lambda: asyncio.run(serving.close_all()))
        text = await response.text()

    assert text.endswith(CLOSING)


@pytest.mark.parametrize("host", ["aiohttp"])  # uvicorn, in this process, would stop
async def test_a_signal_reaches_the_handler_that_was_there(
    serve: Serve, http: aiohttp.ClientSession, source: Source
) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(_: int, __: FrameType | None) -> None:
        loop.call_soon_threadsafe(heard.set)

    before = signal.signal(signal.SIGTERM, hear)
    try:
        url = await serve(source)
        ours = signal.getsignal(signal.SIGTERM)
        source.put("Hel")
        async with asyncio.timeout(SECONDS), http.get(url) as response:
            await response.content.readline()
            os.kill(os.getpid(), signal.SIGTERM)
            await heard.wait()
            assert (await response.text()).endswith(CLOSING)
            # What a server takes before it stops to listen ends at once.
            async with http.get(url) as late:
                assert late.status == 503
        await soon(source.left)
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("has_ended", [True, False])
def test_an_answer_that_outlives_its_program_leaves_no_handler_of_it(*, has_ended: bool) -> None:
    source = Source()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def main() -> asyncio.Task[None]:
        before = signal.getsignal(signal.SIGINT)
        begun = asyncio.Event()

        async def send(_: Any) -> None:
            begun.set()

        source.put("Hel")
        response = serving.StreamingResponse(source())
        served = asyncio.create_task(response({"type": "http", "method": "GET", "headers": []}, receive, send))
        await begun.wait()
        assert signal.getsignal(signal.SIGINT) is not before
        if not has_ended:
            served.cancel()
            await asyncio.wait([served])
            assert signal.getsignal(signal.SIGINT) is before
        return served

    served = asyncio.run(main())
    assert served.cancelled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_process_that_handles_no_signal_is_left_alone() -> None:
    async def main() -> None:
        source = Source()
        response = serving.StreamingResponse(source())
        sent: list[Any] = []

        async def send(event: Any) -> None:
            sent.append(event)
            if len(sent) == 2:
                assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
                source.put(None)

        async def receive() -> Any:
            await asyncio.Event().wait()

        source.put("Hel")
        await response({"type": "http", "method": "GET", "headers": []}, receive, send)
        assert sent[-1] == {"type": "http.response.body", "body": b""}

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with asyncio.Runner() as runner:
            runner.run(main())
            # A loop that is closed, and that somebody still has, is no hindrance.
            loop = runner.get_loop()
        asyncio.run(serving.close_all())
        assert loop.is_closed()
        # In another thread nobody may handle signals.
        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_client_that_stands_still_is_waited_for_a_while_only(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.serving._serve.LAST_WRITE_SECONDS", 0.01)
    left = asyncio.Event()

    async def flood() -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 10_000
        finally:
            left.set()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, rxllm.from_async_iterable(flood))

    app = web.Application()
    app.router.add_get("/", handle)
    app.on_shutdown.append(serving.close_all)
    async with asyncio.timeout(SECONDS), running(app, shutdown_timeout=60) as url:
        client = await connect(url)
        client.ask()
        await client.until(b"xxx")
        client.stand_still()
        await asyncio.sleep(0.05)
    await soon(left)
