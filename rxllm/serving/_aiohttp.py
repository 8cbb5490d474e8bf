"""``aiohttp_response``."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from reactivex import Observable

from rxllm.serving._protocol import Asked, ServingProtocol
from rxllm.serving._serve import FIRST_SECONDS, HEARTBEAT_SECONDS, Head, serve


async def aiohttp_response(
    request: web.Request,
    pipeline: Observable[Any],
    *,
    protocol: str | ServingProtocol = "events",
    first: float = FIRST_SECONDS,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> web.StreamResponse:
    """Answer a request of ``aiohttp.web`` with a pipeline."""
    after = request.headers.get("Last-Event-ID") or request.query.get("after")
    async with serve(pipeline, protocol, Asked(), after=after, first=first, heartbeat=heartbeat) as served:
        head = served if isinstance(served, Head) else await served.head()
        if isinstance(served, Head) or head.body is not None:
            return web.Response(status=head.status, headers=head.headers, body=head.body)
        response = web.StreamResponse(status=head.status, headers=head.headers)
        await response.prepare(request)
        try:
            async for block in served.body():
                await response.write(block)
        except asyncio.CancelledError:
            await response.write(served.closing())
            raise
        await response.write_eof()
        return response
