"""How long it takes until something is noticed: the first chunk here, the consumer's leaving there.

All processes of a machine share the monotonic clock, so what one of them noted can be set against what another did.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

import rxllm
from rxllm import operators as ops
from tests.benchmarks.contenders import CLIENT, LOOP, REQUEST, UNREAD, operators
from tests.benchmarks.handwritten import Chunk

__all__ = ["first_chunk", "first_chunk_of_socket", "leaving", "reuse"]


async def first_chunk(who: str, url: str, count: int) -> list[float]:
    """Milliseconds from sending a request to the first chunk, for each of so many requests."""
    figures: list[float] = []
    async with aiohttp.ClientSession() as session:
        for _ in range(count + 1):
            began = time.perf_counter()
            seen = await _FIRST[who](session, url)
            figures.append((seen - began) * 1000)
    return figures[1:]


async def first_chunk_of_socket(url: str, count: int) -> list[float]:
    """The same without HTTP: for the bytes of the first chunk."""
    host, _, path = url.removeprefix("http://").partition("/")
    request = f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    name, _, port = host.partition(":")
    figures: list[float] = []
    reader, writer = await asyncio.open_connection(name, int(port))
    for _ in range(count + 1):
        began = time.perf_counter()
        writer.write(request)
        await reader.readuntil(b'"content":" the"')
        figures.append((time.perf_counter() - began) * 1000)
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return figures[1:]


async def _hand_written(session: aiohttp.ClientSession, url: str) -> float:
    seen = 0.0
    async with session.post(url, json={}) as response:
        buffer = b""
        async for block in response.content.iter_any():
            *events, buffer = (buffer + block).split(b"\n\n")
            for event in events:
                data = event.removeprefix(b"data: ")
                if data == b"[DONE]":
                    break
                chunk = Chunk.model_validate_json(data)
                if not seen and chunk.choices and chunk.choices[0].delta.content:
                    seen = time.perf_counter()
    return seen


async def _pipeline(session: aiohttp.ClientSession, url: str) -> float:
    seen: list[float] = []

    def note(chunk: rxllm.StreamChunk) -> None:
        if not seen and chunk.choices and chunk.choices[0].delta.content:
            seen.append(time.perf_counter())

    source: Any = rxllm.from_sse(url, json={}, session=session).pipe(*operators())
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    source.subscribe(note, done.set_exception, lambda: done.set_result(None))
    await done
    return seen[0]


async def _client(session: aiohttp.ClientSession, url: str) -> float:
    seen = 0.0
    client = rxllm.LLMClient(base_url=url.removesuffix("/chat/completions"), api_key="none", session=session)
    async for chunk in rxllm.iterate(client.chat_stream(REQUEST)):
        if not seen and chunk.text:
            seen = time.perf_counter()
    return seen


_FIRST: dict[str, Callable[[aiohttp.ClientSession, str], Awaitable[float]]] = {
    LOOP: _hand_written,
    CLIENT: _client,
    UNREAD: _pipeline,
}


async def leaving(how: str, origin: str, count: int) -> list[float]:
    """Milliseconds from a consumer's leaving to the server's seeing it, for each of so many streams."""
    figures: list[float] = []
    async with aiohttp.ClientSession() as session:
        for number in range(count):
            name = f"{how}-{number}"
            left = await _LEAVE[how](session, f"{origin}/hang/{name}/chat/completions")
            seen = None
            while seen is None:
                async with session.get(f"{origin}/report") as response:
                    seen = (await response.json(content_type=None))["left"].get(name)
            figures.append((seen - left) * 1000)
    return figures


def _answer(session: aiohttp.ClientSession, url: str) -> Any:
    return rxllm.from_sse(url, json={}, session=session).pipe(*operators())


async def _break(session: aiohttp.ClientSession, url: str) -> float:
    left = 0.0
    async for _ in rxllm.iterate(_answer(session, url)):
        left = time.monotonic()
        break
    return left


async def _dispose(session: aiohttp.ClientSession, url: str) -> float:
    came = asyncio.Event()

    def note(chunk: rxllm.StreamChunk) -> None:
        del chunk
        came.set()

    subscription = _answer(session, url).subscribe(note)
    await came.wait()
    left = time.monotonic()
    subscription.dispose()
    return left


async def _cancel(session: aiohttp.ClientSession, url: str) -> float:
    came = asyncio.Event()

    async def consume() -> None:
        async for _ in rxllm.iterate(_answer(session, url)):
            came.set()

    task = asyncio.create_task(consume())
    await came.wait()
    left = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return left


_LEAVE = {"break": _break, "dispose": _dispose, "cancel": _cancel}


async def reuse(origin: str, count: int) -> int:
    """How many connections so many requests in a row take."""
    async with aiohttp.ClientSession() as session:
        before = await _connections_seen(origin)
        for _ in range(count):
            await _answer(session, f"{origin}/openai/blocks/5/chat/completions").pipe(ops.accumulate())
        return await _connections_seen(origin) - before - 1  # the other report's own


async def _connections_seen(origin: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{origin}/report") as response:
        return int((await response.json(content_type=None))["connections"])
