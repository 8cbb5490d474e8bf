"""Reads Durable Streams as the protocol says, without a client of somebody else's."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from yarl import URL

from rxllm.serving import DurableStreams
from rxllm.stores import Log

PATIENCE = 30.0


class Reading:
    """A server for a log, and a client of it.

    Args:
        url: What stands before the names of streams.
        session: What asks.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    def ask(self, name: str, query: str = "", *, method: str = "GET", **headers: str) -> Any:
        """A request for a stream: its name is quoted, its query is sent as it is."""
        url = URL(f"{self.url}/{quote(name, safe='')}{'?' + query if query else ''}", encoded=True)
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return self._session.request(method, url, headers=sent, timeout=aiohttp.ClientTimeout(PATIENCE))

    async def items(self, name: str, query: str = "") -> tuple[Any, Any]:
        """The messages of an answer, and its headers."""
        async with self.ask(name, query) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json(), answer.headers

    async def status(self, name: str, query: str = "", **options: Any) -> tuple[int, str]:
        """The status of an answer, and the code in its body."""
        async with self.ask(name, query, **options) as answer:
            return answer.status, (await answer.json())["code"] if answer.status >= 400 else ""

    async def batches(self, name: str, offset: str = "-1") -> AsyncIterator[tuple[Any, Any]]:
        """Answers behind one another, until one is up to date."""
        while True:
            items, headers = await self.items(name, f"offset={offset}")
            offset = headers["Stream-Next-Offset"]
            yield items, headers
            if "Stream-Up-To-Date" in headers:
                return

    async def events(self, name: str, query: str) -> AsyncIterator[tuple[str, str]]:
        """The events of an event stream: type and data."""
        async with self.ask(name, query) as answer:
            assert answer.status == 200
            event, lines = "", list[str]()
            async for line in answer.content:
                field, _, value = line.decode().removesuffix("\n").partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    event = value
                elif field == "data":
                    lines.append(value)
                else:
                    yield event, "\n".join(lines)
                    lines = []

    async def told(self, name: str, query: str) -> AsyncIterator[tuple[Any, Any]]:
        """What an event stream in JSON tells, batch by batch: its messages, and what stands behind them."""
        items: Any = []
        async for event, data in self.events(name, query):
            if event == "data":
                items = json.loads(data)
            else:
                yield items, json.loads(data)
                items = []


@asynccontextmanager
async def serving(log: Log, **options: Any) -> AsyncGenerator[Reading]:
    """Serve a log on a loopback port."""
    app = web.Application()
    DurableStreams(log, **options).add_to(app, "/streams/")
    async with aiohttp.ClientSession() as session, served(app) as url:
        yield Reading(f"{url}/streams", session)


@asynccontextmanager
async def served(app: web.Application) -> AsyncGenerator[str]:
    """Serve an application on a loopback port, at the URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
