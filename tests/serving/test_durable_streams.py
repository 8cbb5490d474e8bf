"""Streams of a log over HTTP, in Electric's protocol: what a reader is told."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import reactivex
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reactivex import Subject

import rxllm
from rxllm import Log, LogPosition, RedisLog, SQLiteLog
from rxllm import operators as ops
from rxllm.exceptions import APIStatusError, ClaimLostError, PositionError, StreamInterruptedError
from rxllm.models import (
    ChatCompleted,
    ChatCompletion,
    Delta,
    FunctionCall,
    Message,
    Origin,
    Role,
    RoundCompleted,
    StreamChunk,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolResultEvent,
)
from rxllm.serving import DurableStreams, close_all
from rxllm.stores import LogPage, LogReader
from rxllm.testing import text_chunk
from tests.logs.redis_server import RedisServer
from tests.serving.durable_reading import PATIENCE, Reading, served, serving
from tests.thorough import times

SECRET = "sk-secret"  # noqa: S105 - of nobody


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    if request.param == "sqlite":
        return SQLiteLog(tmp_path / "log.db")
    server: RedisServer = request.getfixturevalue("redis")
    return RedisLog(server.url, prefix=tmp_path.name)


@pytest.fixture
async def reading(log: Log) -> AsyncIterator[Reading]:
    async with serving(log, long_poll=0.05) as reading:
        yield reading


def has_left(request: web.Request) -> bool:
    return request.transport is None


async def numbers() -> AsyncIterator[int]:
    for number in range(1000):
        yield number
    await asyncio.Event().wait()


async def test_all_items_are_there_as_they_were_recorded(reading: Reading, log: Log) -> None:
    items = [
        "a\nb",
        text_chunk("Hi"),
        TextDelta(round=1, text="é"),
        {"n": [1, None, 2.5]},
        b"\0\xff",
        Delta(content="a"),
    ]
    await log.produce("monday", reactivex.of(*items))
    found, headers = await reading.items("monday")
    assert found[0] == "a\nb"
    assert found[1]["choices"][0]["delta"]["content"] == "Hi"
    assert (found[2]["type"], found[2]["text"]) == ("text", "é")
    assert found[3:] == [{"n": [1, None, 2.5]}, base64.b64encode(b"\0\xff").decode(), {"content": "a"}]
    assert headers["Content-Type"] == "application/json"
    assert (headers["Stream-Closed"], headers["Stream-Up-To-Date"]) == ("true", "true")
    assert headers["Stream-Ending"] == "completed"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert (await reading.items("monday", "offset=-1"))[0] == found
    assert (await reading.items("monday", f"offset={headers['Stream-Next-Offset']}"))[0] == []


async def test_what_json_does_not_have_is_told_all_the_same(reading: Reading, log: Log) -> None:
    nan = float("nan")
    items = [nan, [float("inf")], "half \ud83d", ["\ud83d", nan], 2**70, TextDelta(round=1, text="\ud83d")]
    await log.produce("odd", reactivex.of(*items))
    async with reading.ask("odd") as answer:
        text = await answer.text()
    event = r'{"round":1,"type":"text","text":"\ud83d"}'
    assert text == rf'[null,[null],"half \ud83d",["\ud83d",null],1180591620717411303424,{event}]'


async def test_a_long_stream_comes_in_batches_and_offsets_rise_as_texts(log: Log) -> None:
    await log.produce("long", reactivex.of(*[f"{number} " + "x" * 1000 for number in range(150)]))
    async with serving(log, batch_bytes=10_000) as reading:
        batches = [batch async for batch in reading.batches("long")]
    items = [item for batch, _ in batches for item in batch]
    assert [item.split()[0] for item in items] == [*map(str, range(150))]
    assert all(len(batch) <= 11 for batch, _ in batches)
    assert len(batches) >= 14
    offsets = [headers["Stream-Next-Offset"] for _, headers in batches]
    assert offsets == sorted(offsets)
    assert ["Stream-Closed" in headers for _, headers in batches] == [False] * (len(batches) - 1) + [True]


async def test_an_item_that_is_larger_than_a_batch_comes_alone(log: Log) -> None:
    await log.produce("large", reactivex.of("a", "x" * 300_000, "b"))
    async with serving(log, batch_bytes=1) as reading:
        batches = [items async for items, _ in reading.batches("large")]
    assert batches == [["a"], ["x" * 300_000], ["b"], []]


async def test_what_is_there_already_is_not_sent_again(log: Log) -> None:
    subject: Subject[str] = Subject()
    await log.produce("monday", subject).claimed()
    subject.on_next("a")
    async with serving(log, cache_control="public, max-age=60") as reading:
        async with reading.ask("monday", "offset=-1&live=long-poll") as answer:
            assert await answer.json() == ["a"]
        async with reading.ask("monday") as answer:
            etag = answer.headers["ETag"]
            # It grows, and is asked for again.
            assert answer.headers["Cache-Control"] == "private, no-cache"
        for sent in (etag, f'"other", W/{etag}', "*"):
            async with reading.ask("monday", If_None_Match=sent) as answer:
                assert (answer.status, await answer.read()) == (304, b"")
                assert answer.headers["ETag"] == etag
        subject.on_completed()
        while True:
            async with reading.ask("monday", If_None_Match=etag) as answer:
                if answer.status == 200:
                    break
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        assert answer.headers["Stream-Closed"] == "true"
    async with serving(log, cache_control="no-store") as reading, reading.ask("monday") as answer:
        assert answer.headers["Cache-Control"] == "no-store"


async def test_nothing_is_stored_where_the_application_says_so(log: Log) -> None:
    production = log.produce("open", reactivex.never())
    async with serving(log, cache_control="no-store") as reading, reading.ask("open") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
    production.cancel()
    await production


async def test_a_reader_is_told_that_a_stream_failed_and_nothing_of_why(reading: Reading, log: Log) -> None:
    error = APIStatusError(f"quota of {SECRET}", status=429)
    await log.produce("bad", reactivex.concat(reactivex.of("a"), reactivex.throw(error)))
    end = {"type": "end", "ending": "failed", "error": {"code": "rate_limited"}}
    items, headers = await reading.items("bad")
    message = items[1]["error"].pop("message")
    assert (items, headers["Stream-Ending"]) == (["a", end], "failed")
    assert SECRET not in message
    # The end stands behind the last item, and has an offset of its own.
    behind = headers["Stream-Next-Offset"].removesuffix("_end")
    assert behind < headers["Stream-Next-Offset"]
    rest, again = await reading.items("bad", f"offset={behind}")
    assert [each["type"] for each in rest] == ["end"]
    assert again["Stream-Next-Offset"] == headers["Stream-Next-Offset"]
    rest, again = await reading.items("bad", f"offset={headers['Stream-Next-Offset']}")
    assert (rest, again["Stream-Closed"]) == ([], "true")
    told = [each async for each in reading.told("bad", "offset=-1&live=sse")]
    assert [(len(items), control.get("streamEnding")) for items, control in told] == [(2, "failed")]
    told = [each async for each in reading.told("bad", "offset=now&live=sse")]
    assert [(items, control["streamEnding"]) for items, control in told] == [([], "failed")]


async def test_a_stream_that_failed_before_its_first_item_has_its_end(reading: Reading, log: Log) -> None:
    await log.produce("bad", reactivex.throw(ValueError(SECRET)))
    items, headers = await reading.items("bad")
    assert [(each["ending"], each["error"]["code"]) for each in items] == [("failed", "internal_error")]
    assert (await reading.items("bad", f"offset={headers['Stream-Next-Offset']}"))[0] == []


async def test_a_reader_is_told_that_a_stream_was_stopped(reading: Reading, log: Log) -> None:
    production = log.produce("stopped", reactivex.never())
    await production.claimed()
    await log.cancel("stopped", "the user has read enough")
    await production
    silent = log.produce("silent", reactivex.never())
    await silent.claimed()
    silent.cancel()
    await silent
    trigger: Subject[None] = Subject()
    by_operator = log.produce("operator", reactivex.never().pipe(ops.stop_when(trigger)))
    await by_operator.claimed()
    trigger.on_next(None)
    await by_operator
    end = {"type": "end", "ending": "stopped"}
    items, headers = await reading.items("stopped")
    assert (items, headers["Stream-Ending"]) == ([end | {"reason": "the user has read enough"}], "stopped")
    assert (await reading.items("silent"))[0] == [end]
    assert (await reading.items("operator"))[0] == [end]


async def test_an_answer_that_begins_anew_says_so(log: Log) -> None:
    for name, item in {"chunks": text_chunk("b"), "texts": "b", "events": TextDelta(round=2, text="b")}.items():
        first = log.produce(name, reactivex.concat(reactivex.of(item), reactivex.never()))
        await first.claimed()
        while first.position is None:
            await asyncio.sleep(0)
        await log.produce(name, reactivex.of(item), take_over=True)
        async with serving(log) as reading:
            items, _ = await reading.items(name)
        assert len(items) == 3
        assert items[1]["type"] == "restarted"
        with pytest.raises(ClaimLostError):
            await first


async def test_what_a_tool_raised_is_not_for_clients(reading: Reading, log: Log) -> None:
    call = ToolCall(id="a", function=FunctionCall(name="f", arguments="{}"))
    result = ToolResult(call=call, content=f"KeyError: {SECRET}", error="failed")
    good = ToolResult(call=call, content="42")
    completion = ChatCompletion.model_validate({"id": "c", "choices": [], "model": "m"})
    origin = Origin(dialect="openai-chat", host="internal.example")
    messages = (Message(role=Role.ASSISTANT, content="Hm", origin=origin), result.message(), good.message())
    items = [
        result,
        good,
        result.message(),
        completion,
        ToolResultEvent(round=1, result=result),
        RoundCompleted(round=1, completion=completion, messages=messages),
        ChatCompleted(round=1, completion=completion, messages=messages),
    ]
    await log.produce("tools", reactivex.of(*items))
    found, _ = await reading.items("tools")
    assert SECRET not in json.dumps(found)
    assert "internal.example" not in json.dumps(found)
    assert [each.get("content") for each in found[:3]] == ["The tool failed.", "42", "The tool failed."]
    assert found[4]["result"]["error"] == "failed"
    assert [each["content"] for each in found[5]["messages"]] == ["Hm", "The tool failed.", "42"]
    assert [each["content"] for each in found[6]["messages"]] == ["Hm", "The tool failed.", "42"]


async def test_what_a_provider_says_of_an_error_is_not_for_clients(reading: Reading, log: Log) -> None:
    failing = {"index": 0, "delta": {"content": "Hi"}, "error": {"code": 502, "message": SECRET}}
    good = {"index": 1, "delta": {"content": "Ho"}}
    await log.produce("a", reactivex.of(StreamChunk.from_wire({"id": "x", "choices": [failing, good]})))

    found, _ = await reading.items("a")

    assert [[choice["delta"]["content"] for choice in each["choices"]] for each in found] == [["Hi", "Ho"]]
    assert SECRET not in repr(found)


async def test_a_long_poll_waits_for_what_comes(log: Log) -> None:
    subject: Subject[str] = Subject()
    production = log.produce("live", subject)
    await production.claimed()
    async with serving(log, long_poll=PATIENCE) as reading:
        waiting = asyncio.create_task(reading.items("live", "offset=now&live=long-poll"))
        while not waiting.done():  # what is there already when it is asked is not news
            subject.on_next("a")
            await asyncio.sleep(0.01)
        items, headers = await waiting
        assert ({*items}, "ETag" in headers) == ({"a"}, False)
        async with reading.ask("live", method="HEAD") as answer:
            offset = answer.headers["Stream-Next-Offset"]
        waiting = asyncio.create_task(reading.items("live", f"offset={offset}&live=long-poll"))
        subject.on_next("b")
        items, headers = await waiting
        assert (items, "ETag" in headers) == (["b"], True)
        offset = headers["Stream-Next-Offset"]
        polling = asyncio.create_task(reading.status("live", f"offset={offset}&live=long-poll"))
        subject.on_completed()
        assert await polling == (204, "")
        async with reading.ask("live", f"offset={offset}&live=long-poll") as answer:
            assert (answer.status, answer.headers["Stream-Closed"]) == (204, "true")
            assert answer.headers["Stream-Next-Offset"] == offset
    await production


async def test_a_long_poll_without_news_says_so_and_its_cursor_rises(reading: Reading, log: Log) -> None:
    production = log.produce("quiet", reactivex.never())
    cursors = [""]
    for _ in range(3):
        async with reading.ask("quiet", f"offset=-1&live=long-poll&cursor={cursors[-1]}") as answer:
            assert (answer.status, answer.headers["Stream-Up-To-Date"]) == (204, "true")
            assert (await answer.read(), "Stream-Closed" in answer.headers) == (b"", False)
            cursors.append(answer.headers["Stream-Cursor"])
    assert [*map(int, cursors[1:])] == sorted({*map(int, cursors[1:])})
    for odd in ("x", "-5", "9" * 500, "%D9%A1"):
        async with reading.ask("quiet", f"offset=-1&live=long-poll&cursor={odd}") as answer:
            assert int(answer.headers["Stream-Cursor"]) <= int(cursors[1]) + 1
    production.cancel()
    await production


async def test_an_event_stream_goes_on_where_its_reader_was(log: Log) -> None:
    subject: Subject[int] = Subject()
    production = log.produce("live", subject)
    await production.claimed()
    seen: list[int] = []
    offset = "-1"
    async with serving(log) as reading:
        while (next_one := len(seen)) < 10:
            subject.on_next(next_one)
            async for items, control in reading.told("live", f"offset={offset}&live=sse"):
                seen += items
                offset = control["streamNextOffset"]
                if items:
                    assert int(control["streamCursor"]) > 0
                    break
        subject.on_completed()
        told = [each async for each in reading.told("live", f"offset={offset}&live=sse")]
    assert seen == [*range(10)]
    assert told[-1] == ([], {"streamNextOffset": offset, "streamClosed": True, "streamEnding": "completed"})
    await production


async def test_an_event_stream_tells_much_in_batches_and_then_that_it_is_up_to_date(log: Log) -> None:
    production = log.produce("much", rxllm.from_async_iterable(numbers))
    await production.claimed()
    seen: list[int] = []
    async with serving(log, batch_bytes=100) as reading:
        async for items, control in reading.told("much", "offset=-1&live=sse"):
            seen += items
            assert len(items) <= 64
            if len(seen) == 1000 and control.get("upToDate"):
                break
    assert seen == [*range(1000)]
    production.cancel()
    await production


async def test_an_event_stream_ends_after_a_while_and_gives_a_sign_before(log: Log) -> None:
    production = log.produce("quiet", reactivex.never())
    async with serving(log, long_poll=0.05, sse_seconds=0.3) as reading:
        told = [each async for each in reading.told("quiet", "offset=now&live=sse")]
    assert len(told) > 2
    assert all(items == [] and control["upToDate"] for items, control in told)
    production.cancel()
    await production


async def test_those_who_wait_leave_when_the_server_stops(log: Log) -> None:
    production = log.produce("quiet", reactivex.never())
    await production.claimed()
    async with asyncio.timeout(PATIENCE), serving(log, long_poll=1000.0, sse_seconds=1000.0) as reading:
        streams = reading.told("quiet", "offset=-1&live=sse")
        await anext(streams)
        polling = asyncio.create_task(reading.status("quiet", "offset=-1&live=long-poll"))
        async with reading.ask("quiet", method="HEAD"):
            pass
    with pytest.raises(StopAsyncIteration):
        await anext(streams)
    assert await polling == (204, "")
    production.cancel()
    await production


async def test_readers_of_a_dead_writer_wait_until_somebody_goes_on(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.1)
    writer = await log.engine.claim("orphan", lease=0.1)
    await writer.release()
    with pytest.raises(StreamInterruptedError):
        await rxllm.from_log(log, "orphan")
    async with serving(log, long_poll=0.05) as reading:
        items, headers = await reading.items("orphan")
        assert (items, "Stream-Closed" in headers) == ([], False)
        assert await reading.status("orphan", "offset=-1&live=long-poll") == (204, "")
    async with serving(log, long_poll=PATIENCE) as reading:
        waiting = asyncio.create_task(reading.items("orphan", "offset=-1&live=long-poll"))
        async with reading.ask("orphan", method="HEAD"):
            pass
        await log.produce("orphan", reactivex.of("again"))
        assert (await waiting)[0] == ["again"]


async def test_a_head_says_where_a_stream_is(reading: Reading, log: Log) -> None:
    subject: Subject[str] = Subject()
    production = log.produce("open", subject)
    await production.claimed()
    async with reading.ask("open", method="HEAD") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Content-Type"] == "application/json"
        assert (answer.headers["Cache-Control"], "Stream-Closed" in answer.headers) == ("no-store", False)
    subject.on_next("a")
    subject.on_completed()
    await production
    _, headers = await reading.items("open")
    async with reading.ask("open", method="HEAD") as answer:
        assert answer.headers["Stream-Next-Offset"] == headers["Stream-Next-Offset"]
        assert answer.headers["Stream-Closed"] == "true"
    items, now = await reading.items("open", "offset=now")
    assert (items, now["Stream-Next-Offset"]) == ([], headers["Stream-Next-Offset"])
    assert (now["Cache-Control"], "ETag" in now) == ("no-store", False)


async def test_an_engine_that_does_not_say_which_item_is_the_last(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.produce("monday", reactivex.of(*"abc"))
    follow = log.engine.follow

    async def forgetful(stream: str, after: LogPosition | None, *, back: int = 0) -> LogReader:
        try:
            return await follow(stream, after, back=back)
        except PositionError as error:
            error.last = None
            raise

    monkeypatch.setattr(log.engine, "follow", forgetful)
    async with serving(log, batch_bytes=1) as reading:
        items, headers = await reading.items("monday", "offset=now")
    assert (items, headers["Stream-Closed"]) == ([], "true")


async def test_a_reader_that_stands_still_holds_a_few_batches(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.produce("large", reactivex.of(*["x" * 150_000] * 200))
    asked: list[None] = []
    follow = log.engine.follow

    async def counted(stream: str, after: LogPosition | None, *, back: int = 0) -> LogReader:
        reader = await follow(stream, after, back=back)
        read = reader.read

        async def counting(wait: float, *, size: int) -> LogPage:
            asked.append(None)
            return await read(wait, size=size)

        monkeypatch.setattr(reader, "read", counting, raising=False)
        return reader

    async with asyncio.timeout(PATIENCE), serving(log, batch_bytes=200_000) as reading:
        monkeypatch.setattr(log.engine, "follow", counted)
        host, _, port = reading.url.removeprefix("http://").partition("/")[0].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
        writer.write(b"GET /streams/large?offset=-1&live=sse HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await writer.drain()
        while not asked:
            await asyncio.sleep(0)
        monkeypatch.setattr(log.engine, "follow", follow)
        batches = [len(items) async for items, _ in reading.told("large", "offset=-1&live=sse")]
        assert sum(batches) == 200
        # What the system holds for the connection, and a batch.
        assert len(asked) < 80 <= len(batches)
        # What it did not take yet, it does not get when the server stops.
        await close_all()
        rest = await reader.read()
        assert rest.count(b"event: data") < 80
        writer.close()
        await writer.wait_closed()


async def test_streams_are_read_and_not_written(reading: Reading, log: Log) -> None:
    await log.produce("monday", reactivex.of("a"))
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        async with reading.ask("monday", method=method) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with reading.ask("monday", method="OPTIONS") as answer:
        assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    "name",
    ["a/b", "/a", "%2F", "über 😀", "a?b#c&d=e", "a\r\nSet-Cookie: b=c", "..", "x" * 1000, " ", "a%00b", '"'],
    ids=ascii,
)
async def test_any_name_is_found(name: str, reading: Reading, log: Log) -> None:
    await log.produce(name, reactivex.of(name))
    items, headers = await reading.items(name)
    assert items == [name]
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("name", ["none", "x" * 1001, "a\r\nb"], ids=ascii)
async def test_a_stream_that_is_not_there(name: str, reading: Reading) -> None:
    for query in ("", "offset=now", "offset=-1&live=sse", "offset=now&live=long-poll"):
        assert await reading.status(name, query) == (404, "unknown_stream")
    async with reading.ask(name, method="HEAD") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "query",
    [
        *("offset=", "offset=a", "offset=1", "offset=-2", "offset=0,1", "offset=0%20", "offset=-1&offset=-1"),
        *("offset=0000000000000001_1%0D%0AX:1", "offset=000000000000000%D9%A1_1", "offset=0000000000000001_1_END"),
        *("live=sse", "live=long-poll", "offset=-1&live=ws", "offset=-1&live=sse&live=sse"),
    ],
)
async def test_a_query_that_is_none(query: str, reading: Reading, log: Log) -> None:
    await log.produce("monday", reactivex.of("a"))
    assert await reading.status("monday", query) == (400, "bad_request")


async def test_an_offset_that_is_not_in_the_stream(reading: Reading, log: Log) -> None:
    await log.produce("monday", reactivex.of("a"))
    _, headers = await reading.items("monday")
    offset = headers["Stream-Next-Offset"]
    epoch = offset.partition("_")[2]
    for wrong in (f"0000000000000002_{epoch}", f"0000000000000001_{int(epoch) - 1}", f"{'9' * 16}_{'9' * 18}"):
        assert await reading.status("monday", f"offset={wrong}") == (400, "bad_position")
    assert (await reading.items("monday", f"offset={offset}&other=1&other=2"))[0] == []


async def test_a_stream_that_is_removed_while_it_is_followed(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", lease=0.05)
    writer = await log.engine.claim("gone", lease=0.05)
    await writer.release()
    async with serving(log, long_poll=PATIENCE) as reading, asyncio.timeout(PATIENCE):
        streams = reading.told("gone", "offset=-1&live=sse")
        await anext(streams)
        polling = asyncio.create_task(reading.status("gone", "offset=-1&live=long-poll"))
        async with reading.ask("gone", method="HEAD"):
            pass
        while not await log.expire(0):
            await asyncio.sleep(0.01)
        assert [each async for each in streams] == []
        assert await polling == (404, "unknown_stream")


async def test_texts_stand_behind_one_another_in_a_type_of_text(log: Log) -> None:
    texts = [" a", "b\r\nc\rd\n", "", "é"]
    await log.produce("text", reactivex.concat(reactivex.of(*texts), reactivex.throw(ValueError())))
    async with serving(log, content_type="text/plain; charset=utf-8") as reading:
        async with reading.ask("text") as answer:
            assert await answer.read() == "".join(texts).encode()
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert answer.headers["Stream-Ending"] == "failed"
        async with reading.ask("text", "offset=now") as answer:
            assert await answer.read() == b""
        events = [each async for each in reading.events("text", "offset=-1&live=sse")]
    # An event stream has but one kind of line end.
    assert events[0] == ("data", " ab\nc\nd\né")


@given(text=st.text(st.sampled_from("aé€😀\n "), min_size=1), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=30))
@settings(max_examples=times(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_character_that_is_cut_is_told_whole(text: str, cuts: list[int], tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / f"{uuid4().hex}.db")
    rest, items = text.encode(), list[bytes]()
    for cut in cuts:
        items.append(rest[:cut])
        rest = rest[cut:]
    await log.produce("text", reactivex.of(*items, rest))
    async with serving(log, content_type="text/plain", batch_bytes=len(text.encode())) as reading:
        events = [each async for each in reading.events("text", "offset=-1&live=sse")]
        assert "".join(data for event, data in events if event == "data") == text
        # From each place on that was told, the rest is told.
        seen = ""
        for event, data in events:
            if event == "data":
                seen += data
            else:
                offset = json.loads(data)["streamNextOffset"]
                async with reading.ask("text", f"offset={offset}") as answer:
                    assert text.encode().startswith(seen.encode() + await answer.read())


async def test_what_is_held_back_of_a_character_is_bounded(log: Log) -> None:
    await log.produce("text", reactivex.of(*["€".encode()[:1]] * 50))
    async with serving(log, content_type="text/plain", batch_bytes=10) as reading:
        events = [data async for event, data in reading.events("text", "offset=-1&live=sse") if event == "data"]
    assert "".join(events) == "\ufffd" * 50
    assert len(events) > 1


async def test_a_type_may_be_said_for_each_name(log: Log) -> None:
    await log.produce("bytes", reactivex.of(b"\0\xff", "é", b"\n"))
    await log.produce("lines", reactivex.of({"a": 1}, [2]))
    types = {"bytes": "application/octet-stream", "lines": "application/x-ndjson"}
    async with serving(log, content_type=types.__getitem__) as reading:
        async with reading.ask("bytes") as answer:
            assert await answer.read() == b"\0\xff\xc3\xa9\n"
        async with reading.ask("lines") as answer:
            assert await answer.read() == b'{"a":1}\n[2]\n'
        async with reading.ask("bytes", "offset=-1&live=sse") as answer:
            assert answer.headers["Stream-SSE-Data-Encoding"] == "base64"
        events = [each async for each in reading.events("bytes", "offset=-1&live=sse")]
    assert base64.b64decode(events[0][1]) == b"\0\xff\xc3\xa9\n"


async def test_a_damaged_stream_is_an_error_and_what_is_good_can_be_read(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")
    await log.produce("monday", reactivex.of("a", "b", "c"))
    await log.produce("kinds", reactivex.of("a", "b"))
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        database.execute("DELETE FROM chunks WHERE number = 1 AND position = 1")
        database.execute(
            """UPDATE chunks SET kind = 'Message', value = '{"role":7}' WHERE number = 2 AND position = 1"""
        )
        database.commit()
    async with serving(log, batch_bytes=1) as reading:
        for name in ("monday", "kinds"):
            items, headers = await reading.items(name)
            assert items == ["a"]
            assert await reading.status(name, f"offset={headers['Stream-Next-Offset']}") == (500, "internal_error")
            told = [items async for items, _ in reading.told(name, "offset=-1&live=sse")]
            assert told == [["a"]]


async def test_a_reader_that_has_left_before_it_is_answered(tmp_path: Path) -> None:
    streams = DurableStreams(SQLiteLog(tmp_path / "log.db"))
    statuses: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        while not has_left(request):
            await asyncio.sleep(0)
        response = await streams.aiohttp_response(request, "monday")
        statuses.append(response.status)
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    async with served(app) as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(url)
        while not statuses:
            await asyncio.sleep(0)
    assert {*statuses} == {499}


@pytest.mark.parametrize("live", ["long-poll", "sse"])
async def test_a_reader_that_leaves_is_waited_for_no_longer(
    live: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = log.produce("quiet", reactivex.never())
    await production.claimed()
    closed = asyncio.Event()
    follow = log.engine.follow

    async def followed(stream: str, after: LogPosition | None, *, back: int = 0) -> LogReader:
        reader = await follow(stream, after, back=back)
        close = reader.close

        async def closing() -> None:
            await close()
            closed.set()

        monkeypatch.setattr(reader, "close", closing, raising=False)
        opened.set()
        return reader

    opened = asyncio.Event()
    async with serving(log, long_poll=1000.0, sse_seconds=1000.0) as reading, asyncio.timeout(PATIENCE):
        monkeypatch.setattr(log.engine, "follow", followed)
        host, _, port = reading.url.removeprefix("http://").partition("/")[0].partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /streams/quiet?offset=-1&live={live} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await opened.wait()
        writer.close()
        await writer.wait_closed()
        await closed.wait()
    production.cancel()
    await production


def test_arguments_are_checked_at_once(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db")
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"long_poll": 0}, ValueError),
        ({"sse_seconds": "1"}, TypeError),
        ({"batch_bytes": 0}, ValueError),
        ({"content_type": 7}, TypeError),
        ({"content_type": "json"}, ValueError),
        ({"content_type": "text/plain\r\nX: y"}, ValueError),
        ({"cache_control": "a\nb"}, ValueError),
        ({"cache_control": None}, TypeError),
    ]
    for options, error in wrong:
        with pytest.raises(error):
            DurableStreams(log, **options)
    with pytest.raises(TypeError, match="log"):
        DurableStreams("log")  # type: ignore[arg-type]
