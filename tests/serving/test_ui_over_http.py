"""The protocol ``ui-message-stream`` over a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import reactivex
from aiohttp import web
from reactivex import Observable

import rxllm
from rxllm import SQLiteLog, serving
from rxllm.exceptions import APIStatusError, ClaimLostError
from rxllm.testing import finish_chunk, text_chunk
from tests.serving.ui_client import UIClient

PATIENCE = 20


@asynccontextmanager
async def answered(pipeline: Observable[Any]) -> AsyncGenerator[aiohttp.ClientResponse]:
    """The answer to a request."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, pipeline, protocol="ui-message-stream")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with (
            asyncio.timeout(PATIENCE),
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as response,
        ):
            yield response
    finally:
        await runner.cleanup()


async def test_the_client_is_told_the_version() -> None:
    async with answered(reactivex.of(text_chunk("Hello"), finish_chunk())) as response:
        assert response.status == 200
        assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert UIClient.read([await response.read()]).texts() == "Hello"


async def test_an_error_before_anything_is_a_sentence() -> None:
    async with answered(reactivex.throw(APIStatusError("sk-123", status=429))) as response:
        assert (response.status, response.content_type) == (429, "text/plain")
        assert await response.text() == "The model is busy. Try again in a while."


async def test_a_stream_of_a_log_comes_from_its_beginning(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")
    await log.produce("answer", reactivex.of(text_chunk("Hel"), text_chunk("lo"), finish_chunk()))
    async with answered(rxllm.from_log(log, "answer")) as response:
        assert UIClient.read([await response.read()]).texts() == "Hello"
    # A page asks for its stream whenever it is opened: that there is none is no error.
    async with answered(rxllm.from_log(log, "another")) as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_a_log_whose_writer_died(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")
    died = log.produce("answer", reactivex.concat(reactivex.of("Wro"), reactivex.never()))
    await died.claimed()
    async for text in rxllm.from_log(log, "answer"):
        assert text == "Wro"
        break
    await log.produce("answer", reactivex.of("Right"), take_over=True)
    with suppress(ClaimLostError):
        await died
    async with answered(rxllm.from_log(log, "answer")) as response:
        assert UIClient.read([await response.read()]).texts() == "Right"
    frames = [each async for each in serving.frames(rxllm.from_log(log, "answer"), protocol="ui-message-stream")]
    assert UIClient.read(frames).texts() == "Right"


async def test_a_stream_of_a_log_in_frames(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")
    await log.produce("answer", reactivex.of("Hel", "lo"))
    stream = rxllm.from_log(log, "answer", with_positions=True)
    frames = [frame async for frame in serving.frames(stream, protocol=serving.UIMessageStream(message_id="m1"))]
    assert UIClient.read(frames).texts() == "Hello"
