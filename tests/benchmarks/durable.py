"""What one writes to use a server of Durable Streams without a library: requests that append, and an SSE stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from rxllm import UnknownStreamError

__all__ = ["produce", "read"]

_JSON = {"Content-Type": "application/json"}
_FOREVER = aiohttp.ClientTimeout()


async def produce(origin: str, stream: str, batches: AsyncIterator[list[dict[str, Any]]]) -> None:
    """Append items, those that are there together in one request, and then close the stream."""
    url = _url(origin, stream)
    async with aiohttp.ClientSession(headers=_JSON, raise_for_status=True, timeout=_FOREVER) as session:
        await (await session.put(url)).read()
        async for batch in batches:
            # The server takes the array apart.
            await (await session.post(url, data=json.dumps(batch))).read()
        await (await session.post(url, headers={"Stream-Closed": "true"})).read()


async def read(origin: str, stream: str) -> AsyncIterator[dict[str, Any]]:
    """The items, as they come.

    Raises:
        UnknownStreamError: There is no such stream yet.
        RuntimeError: The server left before the stream was closed.
    """
    async with (
        aiohttp.ClientSession(timeout=_FOREVER) as session,
        session.get(_url(origin, stream), params={"offset": "-1", "live": "sse"}) as response,
    ):
        if response.status == HTTPStatus.NOT_FOUND:
            raise UnknownStreamError("there is no such stream yet", name=stream)
        response.raise_for_status()
        rest = b""
        async for block in response.content.iter_any():
            *events, rest = (rest + block).split(b"\n\n")
            for event in events:
                kind, data = _parsed(event)
                if kind == b"data":
                    for item in data:
                        yield item
                elif data.get("streamClosed"):
                    return
    raise RuntimeError("the server has left")


def _parsed(event: bytes) -> tuple[bytes, Any]:
    """The name of an event, and its data."""
    name, _, data = event.partition(b"\ndata:")
    return name.removeprefix(b"event: "), json.loads(data.replace(b"\ndata:", b"\n"))


def _url(origin: str, stream: str) -> str:
    return f"{origin}/{quote(stream)}"
