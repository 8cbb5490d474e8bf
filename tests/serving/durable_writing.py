"""The writing side of Durable Streams, as far as the protocol's own tests of reading need it: PUT and POST."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from rxllm.serving import DurableStreams, close_all
from rxllm.stores import Log
from rxllm.typing import Ending


class Writing:
    """Streams of a log that are made and written over HTTP.

    Args:
        log: The log.
    """

    def __init__(self, log: Log, **options: Any) -> None:
        self._log = log
        self._types: dict[str, str] = {}
        self._open: dict[str, Any] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.reading = DurableStreams(log, content_type=lambda name: self._types.get(name, "text/plain"), **options)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        if request.method == "PUT":
            return await self._put(request)
        return await (self._post(request) if request.method == "POST" else self.reading.aiohttp_response(request))

    async def close(self) -> None:
        """Let go of all streams."""
        for stream in self._open.values():
            await stream.release()

    async def _put(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        kind = request.headers.get("Content-Type", "application/octet-stream")
        is_new = name not in self._types
        if not is_new and self._types[name] != kind:
            return web.Response(status=409)
        if is_new:
            self._types[name] = kind
            self._open[name] = await self._log.sink(name).open()
            await self._write(request, name)
        headers = {"Location": str(request.url), "Content-Type": kind, **self._said(name)}
        return web.Response(status=201 if is_new else 200, headers=headers)

    async def _post(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._types:
            return web.Response(status=404)
        if name not in self._open:
            return web.Response(status=409, headers={"Stream-Closed": "true"})
        await self._write(request, name)
        return web.Response(status=204, headers=self._said(name))

    async def _write(self, request: web.Request, name: str) -> None:
        stream, body = self._open[name], await request.read()
        items: Sequence[Any] = [body] if body else []
        if body and self._types[name].startswith("application/json"):
            value: Any = json.loads(body)
            items = value if body.lstrip().startswith(b"[") else [value]
        async with self._locks[name]:
            await stream.write(items)
        self._last = stream.position
        if request.headers.get("Stream-Closed") == "true":
            await self._open.pop(name).close(Ending("completed"))

    def _said(self, name: str) -> dict[str, str]:
        count, epoch = (0, 0) if self._last is None else (self._last.number + 1, self._last.epoch)
        closed = {} if name in self._open else {"Stream-Closed": "true"}
        return {"Stream-Next-Offset": f"{count:016d}_{epoch}", **closed}


@asynccontextmanager
async def written_and_read(log: Log, **options: Any) -> AsyncGenerator[str]:
    """A server for both sides; gives its URL."""
    writing = Writing(log, **options)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{name:.+}", writing.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await close_all()
        await runner.cleanup()
        await writing.close()
