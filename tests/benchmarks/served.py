"""Answers that are passed on to many clients at once: through this library, and through FastAPI by hand."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import reactivex
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

import rxllm
from rxllm import serving
from tests.benchmarks.contenders import REQUEST
from tests.benchmarks.handwritten import Chunk

__all__ = ["AIOHTTP", "BY_HAND", "EVENT_SOURCE", "FASTAPI", "ask", "protocols", "serve"]

AIOHTTP = "rxllm, in aiohttp.web"
FASTAPI = "rxllm, in FastAPI"
EVENT_SOURCE = "a loop by hand, FastAPI's EventSourceResponse"
BY_HAND = "a loop by hand, FastAPI's StreamingResponse and json.dumps"


def protocols() -> list[str]:
    """Those that there are: the error about one that is not lists them."""
    try:
        serving.frames(reactivex.empty(), protocol="")
    except ValueError as error:
        return str(error).removeprefix("protocol must be one of ").partition(", not ")[0].split(", ")
    raise AssertionError


async def serve(*, who: str, protocol: str, upstream: str, clients: int, count: int, descriptor: str) -> float:
    """Serve so many clients, each an answer of so many chunks.

    Args:
        who: Who does.
        protocol: What is spoken.
        upstream: Where the provider is.
        clients: How many are waited for.
        count: How many chunks an answer has.
        descriptor: The file that is told the port.

    Returns:
        Microseconds of CPU per chunk.
    """
    left = _Countdown(clients)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        url = f"{upstream}/openai/events/{count}"
        host = _with_aiohttp if who == AIOHTTP else _with_fastapi
        async with host(who, protocol, session, url, left) as port:
            gc.collect()
            _tell(descriptor, str(port))
            await left.begun.wait()
            cpu = time.process_time()
            await left.ended.wait()
            cpu = time.process_time() - cpu
    return cpu / (clients * count) * 1e6


def _tell(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="ascii") as file:  # noqa: PTH123 - shorter
        file.write(text)
    os.replace(f"{path}.new", path)  # noqa: PTH105 - as above


class _Countdown:
    def __init__(self, number: int) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self._left = number

    async def around(self, answering: Awaitable[Any]) -> Any:
        self.begun.set()
        try:
            return await answering
        finally:
            self._left -= 1
            if not self._left:
                self.ended.set()


@asynccontextmanager
async def _with_aiohttp(
    _: str, protocol: str, session: aiohttp.ClientSession, url: str, left: _Countdown
) -> AsyncGenerator[int]:
    llm = rxllm.LLMClient(base_url=url, api_key="none", session=session)

    async def handle(request: web.Request) -> web.StreamResponse:
        pipeline = llm.chat_stream(REQUEST)
        answer: web.StreamResponse = await left.around(serving.aiohttp_response(request, pipeline, protocol=protocol))
        return answer

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _with_fastapi(
    who: str, protocol: str, session: aiohttp.ClientSession, url: str, left: _Countdown
) -> AsyncGenerator[int]:
    app = FastAPI()
    _ROUTES[who](app, protocol, session, url)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        await left.around(app(scope, receive, send))

    config = uvicorn.Config(counted, log_level="error", access_log=False, lifespan="off", backlog=1024)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def _ours(app: FastAPI, protocol: str, session: aiohttp.ClientSession, url: str) -> None:
    llm = rxllm.LLMClient(base_url=url, api_key="none", session=session)

    @app.get("/")
    async def answer() -> serving.StreamingResponse:
        return serving.StreamingResponse(llm.chat_stream(REQUEST), protocol=protocol)


def _event_source(app: FastAPI, protocol: str, session: aiohttp.ClientSession, url: str) -> None:
    del protocol

    @app.get("/", response_class=EventSourceResponse)
    async def answer() -> AsyncIterator[ServerSentEvent]:
        async for text in _texts(session, url):
            yield ServerSentEvent(data={"round": 1, "type": "text", "text": text})


def _by_hand(app: FastAPI, protocol: str, session: aiohttp.ClientSession, url: str) -> None:
    del protocol

    async def frames() -> AsyncIterator[str]:
        async for text in _texts(session, url):
            yield f"data: {json.dumps({'round': 1, 'type': 'text', 'text': text})}\n\n"

    @app.get("/")
    async def answer() -> StreamingResponse:
        return StreamingResponse(frames(), media_type="text/event-stream")


_ROUTES: dict[str, Callable[[FastAPI, str, aiohttp.ClientSession, str], None]] = {
    FASTAPI: _ours,
    EVENT_SOURCE: _event_source,
    BY_HAND: _by_hand,
}


async def _texts(session: aiohttp.ClientSession, url: str) -> AsyncIterator[str]:
    """The loop of ``handwritten``, as a generator."""
    async with session.post(f"{url}/chat/completions", json={}) as response:
        buffer = b""
        async for block in response.content.iter_any():
            *events, buffer = (buffer + block).split(b"\n\n")
            for event in events:
                data = event.removeprefix(b"data: ")
                if data == b"[DONE]":
                    return
                for choice in Chunk.model_validate_json(data).choices:
                    if choice.delta.content:
                        yield choice.delta.content


async def ask(clients: int, descriptor: str) -> int:
    """Be so many clients at once; returns how many bytes they read together."""
    while not os.path.exists(descriptor):  # noqa: ASYNC240, PTH110 - there is nothing else to do
        await asyncio.sleep(0.01)
    with open(descriptor, encoding="ascii") as file:  # noqa: ASYNC230, PTH123 - as above
        url = f"http://127.0.0.1:{file.read()}/"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> int:
            read = 0
            async with session.get(url) as response:
                response.raise_for_status()
                async for block in response.content.iter_any():
                    read += len(block)
            return read

        return sum(await asyncio.gather(*(one() for _ in range(clients))))
