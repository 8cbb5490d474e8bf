"""The body of a request, which sees what becomes of the connection that it is written to."""

from __future__ import annotations

import asyncio
import io
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from rxllm.sources._aiohttp_internals import has_answered, on_first_byte


class RequestBody(aiohttp.BytesIOPayload):
    """A body that keeps no connection open once nobody wants its answer, and knows whether the connection had died.

    aiohttp closes a connection when all that was written is sent: never, if the other side does not read.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(io.BytesIO(body))
        self._transport: asyncio.Transport | None = None
        self._awaits_byte = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it, as aiohttp asks for it."""
        connection = cast("Any", writer)
        self._transport = connection.transport
        self._awaits_byte = has_answered(connection.protocol)
        if self._awaits_byte:
            on_first_byte(connection.protocol, self._note_byte)
        try:
            await super().write_with_length(writer, content_length)
        except asyncio.CancelledError:
            self.abort()
            raise

    def _note_byte(self) -> None:
        self._awaits_byte = False

    def met_dead_connection(self, error: BaseException | None) -> bool:
        """Whether a connection that had been used before was lost before any byte of the answer came.

        Args:
            error: What aiohttp said of it.
        """
        lost = isinstance(error, (aiohttp.ClientConnectionError, ConnectionError))
        return self._awaits_byte and lost and not isinstance(error, TimeoutError)

    def abort(self) -> None:
        """Cut the connection that it is written to, if it has one."""
        if self._transport is not None:
            self._transport.abort()
