"""``events`` of a log: a client goes on exactly where it was, and neither it nor its leaving touches the producer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import reactivex

import rxllm
from rxllm import SQLiteLog, serving
from rxllm.exceptions import APIStatusError, LogUnavailableError, StreamInterruptedError
from tests.serving.conftest import SECONDS, Client, Serve, Source, soon

Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
def log(tmp_path: Path) -> SQLiteLog:
    return SQLiteLog(tmp_path / "log.db")


def parsed(text: str) -> list[tuple[str | None, dict[str, Any]]]:
    """The frames: identifier and data."""
    frames: list[tuple[str | None, dict[str, Any]]] = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        frames.append((fields.get("id"), json.loads(fields["data"])))
    return frames


async def get(http: aiohttp.ClientSession, url: str, after: str | None = None) -> tuple[int, str]:
    headers = {} if after is None else {"Last-Event-ID": after}
    async with asyncio.timeout(SECONDS), http.get(url, headers=headers) as response:
        return response.status, await response.text()


async def test_from_each_position(serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog) -> None:
    await log.produce("s", reactivex.of(*"abcde"))
    url = await serve(lambda: rxllm.from_log(log, "s"))

    status, text = await get(http, url)
    frames = parsed(text)

    assert status == 200
    assert [data.get("text") for _, data in frames] == [*"abcde", None]
    assert [position for position, _ in frames][-1] == "end"
    for place, (position, _) in enumerate(frames[:-1], 1):
        assert position is not None
        assert parsed((await get(http, url, position))[1]) == frames[place:]
        assert parsed((await get(http, f"{url}?after={position}"))[1]) == frames[place:]
    assert await get(http, url, "end") == (204, "")


@pytest.mark.parametrize(
    ("after", "code"),
    [
        ("nonsense", 400),
        ("1", 400),
        ("1.2.3", 400),
        ("-1.0", 400),
        ("9" * 5_000 + ".0", 400),
        ("1.99", 400),
        ("1.0", 400),
    ],
)
async def test_what_is_no_position_of_it(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, after: str, code: int
) -> None:
    await log.produce("s", reactivex.of(*"abc"))
    url = await serve(lambda: rxllm.from_log(log, "s"))

    status, text = await get(http, url, after)

    assert status == code
    assert json.loads(text)["error"]["code"] == "bad_position"


@pytest.mark.parametrize("number", [3, 2**63 - 1, 2**63, 2**64])
async def test_beyond_the_end(serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, number: int) -> None:
    await log.produce("s", reactivex.of(*"abc"))
    url = await serve(lambda: rxllm.from_log(log, "s"))
    epoch = parsed((await get(http, url))[1])[0][0]
    assert epoch is not None

    assert (await get(http, url, f"{epoch.partition('.')[0]}.{number}"))[0] == 400


@pytest.mark.parametrize("after", [None, "1.0"])
async def test_a_stream_that_is_not_there(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, after: str | None
) -> None:
    url = await serve(lambda: rxllm.from_log(log, "nobody's"))

    status, text = await get(http, url, after)

    assert (status, json.loads(text)["error"]["code"]) == (404, "unknown_stream")


async def test_the_end_of_a_stream_that_failed_is_told_to_whoever_comes_back(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog
) -> None:
    failing = reactivex.concat(reactivex.of("a"), reactivex.throw(APIStatusError("canary", status=429)))
    await log.produce("s", failing)
    url = await serve(lambda: rxllm.from_log(log, "s"))
    position = parsed((await get(http, url))[1])[0][0]

    status, text = await get(http, url, position)

    assert status == 200
    assert parsed(text)[0][1]["error"]["code"] == "rate_limited"
    assert parsed(text)[0][0] == "end"


async def test_an_end_is_an_end_of_attached_streams_too(
    serve: Serve, http: aiohttp.ClientSession, source: Source
) -> None:
    url = await serve(source)

    assert await get(http, url, "end") == (204, "")
    assert source.subscriptions == 0


async def test_clients_that_leave_or_stand_still_do_not_touch_the_producer(
    serve: Serve, connect: Connect, http: aiohttp.ClientSession, log: SQLiteLog, source: Source
) -> None:
    production = asyncio.ensure_future(log.produce("s", source()))
    url = await serve(lambda: rxllm.from_log(log, "s"))
    source.put("a")
    leaves, stands = await connect(url), await connect(url)
    for client in (leaves, stands):
        client.ask("GET / HTTP/1.1", "Connection: close")
        await client.until(b'"text":"a"')
    leaves.reset()
    stands.stand_still()

    for _ in range(200):
        source.put("x" * 10_000)
    source.put(None)
    await production

    status, text = await get(http, url)
    assert status == 200
    assert len(parsed(text)) == 202
    stands.go_on()
    assert (await stands.rest()).endswith(b"0\r\n\r\n")


class Unavailable:
    """A log whose engine cannot be reached, once it is told so."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.is_down = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def follow(self, *arguments: Any, **options: Any) -> Any:
        if self.is_down:
            raise LogUnavailableError("redis://canary cannot be reached")
        return Reader(self, await self._engine.follow(*arguments, **options))


class Reader:
    def __init__(self, engine: Unavailable, reader: Any) -> None:
        self._engine = engine
        self._reader = reader
        self.close = reader.close

    async def read(self, *arguments: Any, **options: Any) -> Any:
        page = await self._reader.read(*arguments, **options)
        if self._engine.is_down:
            raise LogUnavailableError("redis://canary cannot be reached")
        return page


async def test_a_log_that_cannot_be_reached(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, source: Source
) -> None:
    production = asyncio.ensure_future(log.produce("s", source()))
    engine = Unavailable(log.engine)
    unsteady = rxllm.Log(cast("Any", engine))
    url = await serve(lambda: rxllm.from_log(unsteady, "s"))
    source.put("a")
    await source.begun.wait()

    async with asyncio.timeout(SECONDS), http.get(url) as response:
        position = (await response.content.readline()).decode().strip().removeprefix("id: ")
        engine.is_down = True
        source.put("b")
        # The body ends, and nothing in it says that the stream has: an EventSource comes back.
        assert '"end"' not in await response.text()

    assert (await get(http, url))[0] == 503
    # To whoever comes back any other status than 200 is the end of everything.
    assert await get(http, url, position) == (200, "")
    engine.is_down = False
    source.put(None)
    await production
    assert [data.get("text") for _, data in parsed((await get(http, url, position))[1])] == ["b", None]


async def test_a_stream_that_broke_off(serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog) -> None:
    failing = reactivex.concat(reactivex.of("a"), reactivex.throw(StreamInterruptedError("cut")))
    await log.produce("s", failing)
    url = await serve(lambda: rxllm.from_log(log, "s"))

    frames = parsed((await get(http, url))[1])

    assert frames[-1][1] == {
        "type": "end",
        "ending": "failed",
        "error": {"code": "interrupted", "message": "The answer broke off."},
    }


async def test_served_frames_have_positions_too(log: SQLiteLog) -> None:
    await log.produce("s", reactivex.of(*"ab"))

    frames = [each async for each in serving.frames(rxllm.from_log(log, "s"))]

    assert [frame.partition(b"\n")[0][-2:] for frame in frames] == [b".0", b".1", b"nd"]


async def test_the_producer_goes_on_when_its_server_does_not(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, source: Source
) -> None:
    production = asyncio.ensure_future(log.produce("s", source()))
    url = await serve(lambda: rxllm.from_log(log, "s"))
    source.put("a")
    await soon(source.begun)
    async with asyncio.timeout(SECONDS), http.get(url) as response:
        await response.content.readline()
        await serving.close_all()
        assert '"end"' not in await response.text()

    source.put("b", None)
    await production

    assert len(parsed((await get(http, url))[1])) == 3


async def test_before_the_first_item_whoever_comes_back_gets_200_also_when_the_server_stops(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, source: Source
) -> None:
    production = asyncio.ensure_future(log.produce("s", source()))
    url = await serve(lambda: rxllm.from_log(log, "s"), first=0.01)
    source.put("a")
    async with asyncio.timeout(SECONDS):
        async with http.get(url) as response:
            while not (line := await response.content.readline()).startswith(b"id: "):
                assert line == b": \n"
            position = line.decode().strip().removeprefix("id: ")
        async with http.get(url, headers={"Last-Event-ID": position}) as response:
            await serving.close_all()
            assert (response.status, await response.text()) == (200, ": \n")
    source.put(None)
    await production


async def test_who_cancelled_a_stream_may_say_why(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, source: Source
) -> None:
    production = asyncio.ensure_future(log.produce("s", source()))
    url = await serve(lambda: rxllm.from_log(log, "s"))
    source.put("a")
    async with asyncio.timeout(SECONDS), http.get(url) as response:
        await response.content.readline()
        await log.cancel("s", reason="enough", by="the button")
        text = await response.text()
    await production

    assert parsed("id: x\n" + text)[-1][1] == {"type": "end", "ending": "stopped", "reason": "enough"}


async def test_a_writer_that_begins_anew(
    serve: Serve, http: aiohttp.ClientSession, log: SQLiteLog, source: Source
) -> None:
    production = asyncio.ensure_future(log.produce("s", source()))
    url = await serve(lambda: rxllm.from_log(log, "s"))
    source.put("a")
    async with asyncio.timeout(SECONDS), http.get(url) as response:
        assert b"id: " in await response.content.readline()
        await log.produce("s", reactivex.of("x"), take_over=True)
        frames = parsed("id: x\n" + await response.text())
    with suppress(Exception):
        await production

    assert frames[-1][1] == {"type": "end", "ending": "completed"}
    assert [event["type"] for event in frames[-2][1]["events"]] == ["restarted", "text"]
