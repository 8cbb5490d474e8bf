"""Two processes of ``examples/browser_chat.py`` with a Redis server share the chats, and one of them is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rxllm.testing import ScriptedServer, script
from tests.judges.chat_page import ANSWER, IDLE, NUMBERS, ask, held, numbers, process_of
from tests.judges.chromium import Chromium, chromium
from tests.logs.redis_server import RedisServer


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with chromium() as running:
        yield running


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


class Balancer:
    """One address for several servers: a connection goes to the first of them that takes it."""

    def __init__(self, *urls: str) -> None:
        self.ports = [int(url.rstrip("/").rsplit(":", 1)[1]) for url in urls]
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for port in self.ports:
            with suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
                return
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()


async def test_the_page_goes_on_at_another_process_when_that_of_its_reader_is_killed(
    browser: Chromium, redis: RedisServer
) -> None:
    gate = asyncio.Event()
    async with (
        ScriptedServer(held(first=90, gate=gate)) as model,
        process_of("--redis", redis.url, OPENAI_BASE_URL=model.base_url) as (producing, _),
        process_of("--redis", redis.url, OPENAI_BASE_URL=model.base_url) as (reading, process),
        Balancer(reading, producing) as address,
    ):
        one = await browser.tab(producing)
        await ask(one, "Count")
        chat_path = await one.js("location.pathname.slice(1)")
        two = await browser.tab(address + chat_path)
        await two.until(f"({ANSWER}).includes('w89')")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        gate.set()

        for tab in (one, two):
            await tab.until(IDLE)
            assert numbers(await tab.js(ANSWER)) == NUMBERS
            assert not tab.exceptions
        assert len(model.requests) == 1


async def test_another_process_goes_on_when_that_of_the_producer_is_killed(
    browser: Chromium, redis: RedisServer
) -> None:
    whole = script.answer(script.words(" ".join(NUMBERS)))
    async with (
        ScriptedServer([*script.words("w0 w1 w2"), script.stall()], whole) as model,
        process_of("--redis", redis.url, OPENAI_BASE_URL=model.base_url) as (producing, process),
        process_of("--redis", redis.url, OPENAI_BASE_URL=model.base_url) as (reading, _),
        Balancer(producing, reading) as address,
    ):
        one = await browser.tab(address)
        await ask(one, "Count")
        await one.until(f"({ANSWER}) === 'w0 w1 w2'")
        two = await browser.tab(reading + await one.js("location.pathname.slice(1)"))
        await two.until(f"({ANSWER}) === 'w0 w1 w2'")
        process.send_signal(signal.SIGKILL)
        await process.wait()

        for tab in (one, two):
            await tab.until(f"{IDLE} && document.querySelector('section')")
            assert numbers(await tab.js(ANSWER)) == NUMBERS
            assert await tab.js("document.querySelectorAll('section').length") == 1
        assert len(model.requests) == 2
