"""Who is compared: coroutine functions from the address of an answer to its text.

Each is written as its documentation says. Those that are not installed are left out (extra ``bench``).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from reactivex import Observable

import rxllm
from rxllm import operators as ops
from rxllm.typing import Ending, OperatorFunction
from tests.benchmarks.handwritten import Chunk, hand_written
from tests.benchmarks.payload import digest

__all__ = ["CLIENT", "CONTENDERS", "LOOP", "READ", "REQUEST", "UNREAD", "Discard", "installed", "operators", "run"]

_NEEDS = {"httpx-sse": "httpx_sse", "aiohttp-sse-client2": "aiohttp_sse_client2", "openai": "openai"}


REQUEST = rxllm.ChatRequest(model="gpt-4o-mini", messages=[rxllm.Message(role=rxllm.Role.USER, content="Hello")])


class Discard:
    """A sink that takes everything and keeps nothing."""

    async def open(self) -> Discard:
        return self

    async def write(self, items: Sequence[object], /) -> None: ...

    async def close(self, ending: Ending, /) -> None: ...


def operators(sink: Discard | None = None) -> tuple[OperatorFunction[Any, Any], ...]:
    """What the pipeline has between ``from_sse`` and ``accumulate``."""
    sink = sink or Discard()
    return ops.parse(), ops.timeout_per_chunk(10), ops.tee_to(sink), ops.buffer_with_backpressure(256)


async def client(url: str) -> str:
    """As the README shows it, each chunk read."""
    base_url = url.removesuffix("/chat/completions")
    answer = rxllm.StreamAccumulator()
    async with rxllm.LLMClient(base_url=base_url, api_key="none") as llm:
        async for chunk in rxllm.iterate(llm.chat_stream(REQUEST)):
            _read(chunk)
            answer.add(chunk)
    return _answer_of(answer.completion())


async def pipeline(url: str) -> str:
    return await _pipeline(url, Discard())


class ReadEach(Discard):
    """A sink that reads every chunk."""

    async def write(self, items: Sequence[Any], /) -> None:
        for chunk in items:
            _read(chunk)


async def pipeline_read(url: str) -> str:
    """The pipeline with a sink that looks into each chunk."""
    return await _pipeline(url, ReadEach())


async def _pipeline(url: str, sink: Discard) -> str:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        chunks: Observable[rxllm.StreamChunk] = rxllm.from_sse(url, json={}, session=session).pipe(*operators(sink))
        completion = await chunks.pipe(ops.accumulate())
    return _answer_of(completion)


def _read(chunk: rxllm.StreamChunk) -> None:
    for choice in chunk.choices:
        _ = choice.delta.content


def _answer_of(completion: rxllm.ChatCompletion) -> str:
    calls = completion.message.tool_calls
    return calls[0].function.arguments if calls else completion.message.text


async def bytes_only(url: str) -> bytes:
    """The answer's bytes and nothing else; what they say is read when the clock has stopped."""
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        return b"".join([block async for block in response.content.iter_any()])


async def httpx_sse(url: str) -> str:
    httpx: Any = importlib.import_module("httpx")
    library: Any = importlib.import_module("httpx_sse")
    pieces: list[str] = []
    async with httpx.AsyncClient() as client, library.aconnect_sse(client, "POST", url, json={}) as source:
        async for event in source.aiter_sse():
            if event.data == "[DONE]":
                break
            _append(pieces, event.data)
    return "".join(pieces)


async def aiohttp_sse_client2(url: str) -> str:
    library: Any = importlib.import_module("aiohttp_sse_client2.client")
    pieces: list[str] = []
    async with library.EventSource(url, option={"method": "POST"}, json={}) as source:
        async for event in source:
            if event.data == "[DONE]":
                break
            _append(pieces, event.data)
    return "".join(pieces)


async def openai(url: str) -> str:
    library: Any = importlib.import_module("openai")
    pieces: list[str] = []
    async with library.AsyncOpenAI(base_url=url.removesuffix("/chat/completions"), api_key="none") as client:
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        async for chunk in stream:
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    return "".join(pieces)


def _append(pieces: list[str], data: str) -> None:
    chunk = Chunk.model_validate_json(data)
    pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]


CLIENT = "rxllm client, each chunk read"
READ = "rxllm pipeline, each chunk read"
UNREAD = "rxllm pipeline, no chunk read"
LOOP = "hand-written loop"

CONTENDERS: dict[str, Callable[[str], Awaitable[str | bytes]]] = {
    CLIENT: client,
    READ: pipeline_read,
    UNREAD: pipeline,
    LOOP: hand_written,
    "bytes only": bytes_only,
    "httpx-sse": httpx_sse,
    "aiohttp-sse-client2": aiohttp_sse_client2,
    "openai": openai,
}


def installed() -> list[str]:
    """The names of those that can run here."""
    return [name for name in CONTENDERS if name not in _NEEDS or importlib.util.find_spec(_NEEDS[name])]


async def run(name: str, url: str) -> dict[str, Any]:
    """One answer: seconds of CPU and of wall time, and what it was."""
    contender = CONTENDERS[name]
    wall, cpu = time.perf_counter(), time.process_time()
    answer = await contender(url)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    text = _text_of(answer) if isinstance(answer, bytes) else answer
    return {"cpu": cpu, "wall": wall, "digest": digest(text)}


def _text_of(body: bytes) -> str:
    events = [json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\n\n")[:-2]]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
