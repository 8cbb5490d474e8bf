"""A server for the judges."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from reactivex import Observable

from rxllm import serving
from rxllm.serving import ServingProtocol


@asynccontextmanager
async def served(pipelines: Callable[[], Observable[Any]], protocol: ServingProtocol) -> AsyncGenerator[str]:
    """Answer each request, whatever its path, with what the function gives; its URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, pipelines(), protocol=protocol)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
