"""What one writes without a library: a stream in Redis, and a loop that reads it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

__all__ = ["produce", "read"]

_PAGE = 64
_BLOCK = 5000


async def produce(url: str, stream: str, batches: AsyncIterator[list[dict[str, Any]]]) -> None:
    """Add items, those that are there together in one round trip, and then one that says that it was the last."""
    client = _connect(url)
    async with client:
        async for batch in batches:
            async with client.pipeline(transaction=False) as pipeline:
                for item in batch:
                    pipeline.xadd(stream, {"item": json.dumps(item)})
                await pipeline.execute()
        await client.xadd(stream, {"end": ""})


async def read(url: str, stream: str) -> AsyncIterator[dict[str, Any]]:
    """The items, as they come."""
    client = _connect(url)
    last: bytes = b"0-0"
    async with client:
        while True:
            for _, entries in await client.xread({stream: last}, count=_PAGE, block=_BLOCK):
                for last, fields in entries:  # noqa: B007 - it is where the next page begins
                    if b"end" in fields:
                        return
                    yield json.loads(fields[b"item"])


def _connect(url: str) -> Any:
    # The form of answers depends on the version of the protocol, and that on the version of redis-py.
    return Redis.from_url(url, protocol=2)  # pyright: ignore[reportUnknownMemberType]
