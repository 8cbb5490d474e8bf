"""The body of a request that is too large to be sent at once."""

from __future__ import annotations

import asyncio
import io

import aiohttp
from aiohttp.abc import AbstractStreamWriter

LARGE_BODY_BYTES = 64 * 1024
"""What is shorter the kernel takes at once, whether the other side reads or not."""


class LargeBody(aiohttp.BytesIOPayload):
    """A body that is written in pieces, and that keeps no connection open once nobody wants its answer.

    aiohttp closes a connection when all that was written is sent: never, if the other side does not read.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(io.BytesIO(body))
        self._transport: asyncio.Transport | None = None

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it, as aiohttp asks for it."""
        self._transport = getattr(writer, "transport", None)
        try:
            await super().write_with_length(writer, content_length)
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Cut the connection that it is written to, if it has one."""
        if self._transport is not None:
            self._transport.abort()
