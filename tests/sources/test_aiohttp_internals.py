"""What is used of aiohttp beyond its public interface is still as it was when this was written."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import TimerContext

from rxllm.sources._aiohttp_internals import take_rest


@pytest.fixture
async def reader() -> aiohttp.StreamReader:
    loop = asyncio.get_running_loop()
    timer = TimerContext(loop)
    timer.timeout()
    reader = aiohttp.StreamReader(BaseProtocol(loop), 2**16, timer=timer, loop=loop)
    reader.feed_data(b"arrived ")
    reader.feed_data(b"before")
    reader.set_exception(aiohttp.ClientConnectionError("lost"))
    return reader


async def test_aiohttp_changed_how_a_failed_reader_gives_out_what_it_holds(reader: aiohttp.StreamReader) -> None:
    assert take_rest(reader) == b"arrived before"
    assert take_rest(reader) == b""


async def test_aiohttp_changed_so_that_its_public_interface_will_do(reader: aiohttp.StreamReader) -> None:
    with pytest.raises(aiohttp.ClientConnectionError, match="lost"):
        reader.read_nowait()
    no_error: Any = None
    reader.set_exception(no_error)
    with pytest.raises(TimeoutError):
        reader.read_nowait()
