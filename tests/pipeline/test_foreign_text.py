"""What a server, a model or a file says is harmless in every text of an error, and in the log.

Each control character and each one that turns the order of a text is put into each place from which it may get into a
message.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import sqlite3
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from loguru import logger
from pydantic import BaseModel, ConfigDict, field_validator

import rxllm
from rxllm import operators as ops
from rxllm.dialects import OpenAIChat
from rxllm.exceptions import APIError, RxllmError
from rxllm.sinks import SQLiteSink
from rxllm.testing import Script, ScriptedServer, replay, script
from rxllm.wire import ServerSentEvent

C0 = [chr(code) for code in range(0x20)]
C1 = [chr(code) for code in range(0x7F, 0xA0)]
DIRECTIONS = [*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
OTHERS = [*"\u2028\u2029\ufeff\ufffe\U000e0041", "\ud800"]
HARMFUL = [*C0, *C1, *DIRECTIONS, *OTHERS]
SEQUENCES = ["\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;http://a\x1b\\", "\x9b2J", "\r\n\x1b[1A"]
LONG = [*SEQUENCES, "".join(HARMFUL), "x\u202e" * 15_000]
WORDS = [*(f"a{each}b" for each in HARMFUL), *LONG]

LONGEST = 1_100
"""No text of an error is longer."""

LINES = {"traceback": 10, "log": 20}
"""How much more the lines of the program that stand with it may be."""

REQUEST = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "How late is it?"}])


@contextlib.contextmanager
def log() -> Generator[list[str]]:
    """What is logged meanwhile, with the values of variables, but for those of these tests above an error."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level=0, backtrace=False, diagnose=True, colorize=False)
    logger.enable("rxllm")
    try:
        yield lines
    finally:
        logger.disable("rxllm")
        logger.remove(sink)


def texts_of(error: BaseException, *, logged: bool) -> Iterator[tuple[str, str]]:
    """What may be printed of an error, each with where it stands."""
    if isinstance(error, RxllmError):
        yield "str", str(error)
        yield "repr", repr(error)
    yield from (("a note", note) for note in getattr(error, "__notes__", ()))
    # These have lines of their own; foreign ones in them are found in the others.
    yield "traceback", "".join(traceback.format_exception(error)).replace("\n", "")
    if logged:
        with log() as lines:
            logger.opt(exception=error).error("it failed: {}", error)
        yield "log", "".join(lines).replace("\n", "")


def harms_of(error: BaseException, *, logged: bool) -> set[tuple[str, str]]:
    """What is harmful in an error's texts."""
    texts = [*texts_of(error, logged=logged)]
    found = {(where, ascii(each)) for where, text in texts for each in {*text} & {*HARMFUL}}
    return found | {(where, "too long") for where, text in texts if len(text) > LONGEST * LINES.get(where, 1)}


async def error_of(answer: Awaitable[object]) -> Exception | None:
    try:
        await answer
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error
    return None


Fails: TypeAlias = Callable[[str], Awaitable[object]]


async def assert_harmless(fail: Fails, *, always: bool = True) -> None:
    """Put each word into its place, and look at what comes of it."""
    harms: dict[str, set[tuple[str, str]]] = {}
    with log() as lines:
        for word in WORDS:
            error = await error_of(fail(word))
            assert error is not None or not always, ascii(word)
            if error is not None and (found := harms_of(error, logged=word in LONG)):
                harms[f"{word!a} in {type(error).__name__}: {str(error)[:100]!r}"] = found
    assert not harms
    assert not {*"".join(lines).replace("\n", "")} & {*HARMFUL}


# What is in the events of a stream.


def event(value: Any) -> str:
    return json.dumps(value)


def choice(**fields: Any) -> str:
    return event({"choices": [{"index": 0, "delta": {}, **fields}]})


def delta(**fields: Any) -> str:
    return choice(delta=fields)


def call(name: str = "f", arguments: str = "{}", call_id: str = "c", **fields: Any) -> str:
    return delta(tool_calls=[{"index": 0, "id": call_id, "function": {"name": name, "arguments": arguments}, **fields}])


STOP = choice(finish_reason="stop")
CALLS = choice(finish_reason="tool_calls")

ERRORS: dict[str, Callable[[str], Any]] = {
    "message": lambda word: {"error": {"message": word}},
    "type": lambda word: {"error": {"type": word}},
    "code": lambda word: {"error": {"code": word}},
    "param": lambda word: {"error": {"param": word, "code": 400}},
    "a string": lambda word: {"error": word},
    "a list": lambda word: {"error": [word, {word: word}]},
    "an object in it": lambda word: {"error": {"message": {word: [word]}}},
    "its names": lambda word: {"error": {word: 1}},
    "type error": lambda word: {"type": "error", "message": word},
    "object error": lambda word: {"object": "error", "message": word, "code": word},
    "detail": lambda word: {"detail": [{"loc": [word], "msg": word}]},
    "errors": lambda word: {"errors": [word]},
    "status": lambda word: {"status": "error", "message": word},
    "base_resp": lambda word: {"base_resp": {"status_code": 1000, "status_msg": word}},
    "error_msg": lambda word: {"error_code": 17, "error_msg": word},
}


def in_event(of: Callable[[str], Any], word: str) -> tuple[str, ...]:
    return (event(of(word)),)


EVENTS: dict[str, Callable[[str], tuple[str | ServerSentEvent, ...]]] = {
    **{f"error: {name}": partial(in_event, of) for name, of in ERRORS.items()},
    "error in a choice": lambda word: (choice(error={"message": word}),),
    "an event called error": lambda word: (ServerSentEvent(f"x{word}", "error"),),
    "the name of an event that is an error": lambda word: (ServerSentEvent("x", f"{word}Error"),),
    "the name of an event that is none": lambda word: (ServerSentEvent('{"a": 1}', f"{word}x"),),
    "no JSON": lambda word: (f"x{word}",),
    "JSON that is cut": lambda word: ('{"choices": ["' + word,),
    "the names of something else": lambda word: (event({f"x{word}": 1}),),
    "choices": lambda word: (event({"choices": word}),),
    "an index": lambda word: (choice(index=word), "x"),
    "a delta": lambda word: (choice(delta=f"x{word}"), "x"),
    "tool_calls": lambda word: (delta(tool_calls=[word]), "x"),
    "the index of a call": lambda word: (delta(tool_calls=[{"index": {word: word}}]), "x"),
    "usage": lambda word: (event({"choices": [], "usage": {word: word, "prompt_tokens": word}}), "x"),
    "names in a chunk": lambda word: (event({"choices": [{"delta": {word: 1}, word: 1}], "created": word}), "x"),
    "another protocol": lambda word: (event({"type": f"response.{word}", "response": word}),),
    "a reason of failure": lambda word: (choice(finish_reason="error"), event({"error": word})),
}


def events(*items: str | ServerSentEvent) -> rxllm.Stream[Any]:
    async def produce() -> AsyncGenerator[str | ServerSentEvent]:
        for item in items:
            yield item

    return rxllm.from_async_iterable(produce)


@pytest.mark.parametrize("place", EVENTS.values(), ids=EVENTS)
async def test_in_events(place: Callable[[str], tuple[str | ServerSentEvent, ...]]) -> None:
    await assert_harmless(lambda word: events(*place(word)).pipe(ops.parse(), ops.accumulate()))


async def test_in_events_that_are_passed_over() -> None:
    lenient = OpenAIChat(skip_malformed=True)
    for place in (EVENTS["no JSON"], EVENTS["JSON that is cut"], EVENTS["choices"]):

        def skip(word: str, place: Callable[[str], tuple[str | ServerSentEvent, ...]] = place) -> Awaitable[object]:
            return events(*place(word), STOP, "[DONE]").pipe(ops.parse(lenient), ops.accumulate())

        await assert_harmless(skip, always=False)


CALLED: dict[str, Callable[[str], tuple[str, ...]]] = {
    "arguments": lambda word: (call(arguments=f"x{word}"), CALLS),
    "the name of a call with bad arguments": lambda word: (call(f"x{word}", arguments="[]"), CALLS),
    "arguments that are two": lambda word: (call(f"x{word}", arguments='{}{"a": 1}'), CALLS),
    "a call without a name": lambda word: (call("", event({word: word})), CALLS),
    "a name that is unknown": lambda word: (call(f"x{word}"), CALLS),
    "arguments of a known one": lambda word: (call("upper", event({"text": word, word: word})), CALLS),
    "many of them": lambda word: (call("upper", event({f"{word}{number}": 1 for number in range(30)})), CALLS),
    "an argument of another type": lambda word: (call("double", event({"number": word})), CALLS),
    "a call that was there": lambda word: (
        call("upper", '{"text": "a"}', word + "1"),
        call("upper", '{"text": "a"}', word + "1", index=1),
        CALLS,
    ),
    "a reason that is unknown": lambda word: (call(), choice(finish_reason=f"x{word}")),
    "a fragment that fits nowhere": lambda word: (
        call(),
        call(call_id="d", index=1),
        delta(tool_calls=[{"function": {"arguments": f"x{word}"}}]),
        CALLS,
    ),
}


def upper(text: str) -> str:
    return text.upper()


def double(number: int) -> int:
    return number * 2


@pytest.mark.parametrize("place", CALLED.values(), ids=CALLED)
async def test_in_calls(place: Callable[[str], tuple[str, ...]]) -> None:
    registry = rxllm.ToolRegistry([upper, double])
    run = ops.run_tools(registry, on_error="raise")

    def fail(word: str) -> Awaitable[object]:
        return events(*place(word), "[DONE]").pipe(ops.parse(), ops.accumulate_tool_calls(), run)

    await assert_harmless(fail, always=False)


async def test_in_repairs() -> None:
    def fail(word: str) -> Awaitable[object]:
        chunks = events(call(f"x{word}"), call(f"y{word}"), CALLS, "[DONE]").pipe(ops.parse())
        return chunks.pipe(ops.accumulate(strict=True))

    await assert_harmless(fail)


class Dish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Literal["soup"]

    @field_validator("name", mode="before")
    @classmethod
    def known(cls, name: object) -> object:
        if name == "none":
            raise ValueError(f"no {name}")
        return name


class Menu(BaseModel):
    dishes: dict[str, Dish]

    @field_validator("dishes")
    @classmethod
    def some(cls, dishes: dict[str, Dish]) -> dict[str, Dish]:
        if any("!" in name for name in dishes):
            raise ValueError(f"no {next(iter(dishes))}")
        return dishes


STRUCTURED: dict[str, Callable[[str], str]] = {
    "no JSON": lambda word: f"x{word}",
    "behind it": lambda word: f"{{}} x{word}",
    "a value": lambda word: event({"dishes": {"a": {"name": f"x{word}"}}}),
    "a key": lambda word: event({"dishes": {word: 1}}),
    "a key of an object": lambda word: event({"dishes": {"a": {"name": "soup", f"x{word}": 1}}}),
    "the words of a validator": lambda word: event({"dishes": {f"!{word}": {"name": "soup"}}}),
}


@pytest.mark.parametrize("place", STRUCTURED.values(), ids=STRUCTURED)
async def test_in_structured_output(place: Callable[[str], str]) -> None:
    def fail(word: str) -> Awaitable[object]:
        return events(delta(content=place(word)), STOP, "[DONE]").pipe(ops.parse(), ops.parse_structured(Menu))

    await assert_harmless(fail)


# What is in the answer of a server.

Answers: TypeAlias = Callable[[bytes], bytes]


def answered(head: bytes, body: bytes = b"", content_type: bytes = b"text/event-stream") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nConnection: close\r\n\r\n%b" % (head, content_type, body)


def headed(head: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + head, *headers, b"Connection: close", b"", b"x"))


HTTP: dict[str, Answers] = {
    "the reason of a refusal": lambda word: answered(b"500 x" + word, b"x"),
    "the reason of a redirect": lambda word: headed(b"302 x" + word),
    "the status line": lambda word: b"HTTP/1.1 2" + word + b"\r\n\r\n",
    "the version": lambda word: b"HTTP/" + word + b" 200 OK\r\n\r\n",
    "no HTTP": lambda word: word + b"x\r\n\r\n",
    "a header": lambda word: headed(b"200 OK", b"X-Any: x" + word),
    "the name of a header": lambda word: headed(b"200 OK", b"X-" + word + b": x"),
    "the media type": lambda word: answered(b"200 OK", b"x", b"text/x" + word),
    "the media type of a refusal": lambda word: answered(b"400 No", b"x", b"text/x" + word),
    "the identifier": lambda word: headed(b"429 No", b"X-Request-Id: x" + word, b"Retry-After: " + word),
    "a cookie": lambda word: headed(b"500 No", b"Set-Cookie: x" + word + b"=1", b"Set-Cookie: x=1" + word),
    "where to": lambda word: headed(b"302 Found", b"Location: http://x" + word + b"/"),
    "where to, a path": lambda word: headed(b"302 Found", b"Location: /" + word),
    "where to, no URL": lambda word: headed(b"302 Found", b"Location: x" + word + b"://["),
    "the length": lambda word: headed(b"200 OK", b"Content-Length: " + word),
    "the encoding": lambda word: headed(b"200 OK", b"Content-Encoding: " + word),
    "the framing": lambda word: headed(b"200 OK", b"Transfer-Encoding: " + word),
    "the size of a chunk": lambda word: headed(b"200 OK", b"Transfer-Encoding: chunked") + word + b"\r\n",
    "what is compressed": lambda word: answered(b"200 OK\r\nContent-Encoding: gzip", b"x" + word),
    "a refusal in JSON": lambda word: answered(b"400 No", json.dumps({"error": decoded(word)}).encode()),
    "a refusal": lambda word: answered(b"503 No", b"<html>" + word),
    "a page": lambda word: answered(b"200 OK", b"<html>" + word, b"text/html"),
    "an error in JSON": lambda word: answered(b"200 OK", json.dumps({"error": decoded(word)}).encode(), b"a/json"),
    "JSON": lambda word: answered(b"200 OK", json.dumps({decoded(word): 1}).encode(), b"application/json"),
    "lines": lambda word: answered(b"200 OK", b'{"a": "' + word + b'"}\n{"b": "' + word + b'"}\n', b"a/ndjson"),
    "no event": lambda word: answered(b"200 OK", b"x" + word),
    "a line with an error": lambda word: answered(b"200 OK", b"error: x" + word + b"\n\n"),
    "an event": lambda word: answered(b"200 OK", b"data: x" + word + b"\n\n"),
    "an event with an error": lambda word: answered(b"200 OK", b"event: error\ndata: x" + word + b"\n\n"),
    "the name of an event": lambda word: answered(b"200 OK", b"event: x" + word + b'\ndata: {"a": 1}\n\n'),
}


def decoded(word: bytes) -> str:
    return word.decode(errors="surrogatepass")


@contextlib.asynccontextmanager
async def raw_server(answer: Callable[[bytes], bytes]) -> AsyncGenerator[str]:
    """A server that answers each request with the bytes that are made of its head, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
            await writer.drain()
            writer.write_eof()
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("place", HTTP.values(), ids=HTTP)
async def test_in_the_answer_of_a_server(place: Answers) -> None:
    said = b""
    async with (
        raw_server(lambda _: place(said)) as host,
        rxllm.LLMClient(retries=0, base_url=f"http://{host}/v1", api_key="") as client,
    ):

        async def fail(word: str) -> None:
            nonlocal said
            said = word.encode(errors="surrogatepass")
            await client.chat(REQUEST)

        # Some are good answers still, in which the word is passed over.
        await assert_harmless(fail, always=False)


@pytest.mark.parametrize("between", ["", "\r", "\x1b", "\u202e", "\u2028"])
async def test_a_key_is_blotted_out_before_and_does_not_become_whole(between: str) -> None:
    key = "sk-a-secret-that-is-long"
    echo = f"{key}\x1b {key[:10]}{between}{key[10:]} \x9b{key}"
    answers: list[Script] = [[script.text("It is "), script.error(echo)], script.status(401, {"error": echo})]
    for answer in answers:
        async with (
            ScriptedServer(answer) as server,
            rxllm.LLMClient(retries=0, base_url=server.base_url, api_key=key) as client,
        ):
            error = await error_of(client.chat(REQUEST))

        assert isinstance(error, APIError)
        assert "…" in str(error)
        assert not [text for _, text in texts_of(error, logged=False) if key in text]
        assert key not in error.message


def frame(opcode: int, payload: bytes) -> bytes:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    return bytes([0x80 | opcode]) + size + payload


WEBSOCKET: dict[str, Answers] = {
    "the reason of a close": lambda word: frame(8, (1011).to_bytes(2) + word[:120]),
    "a frame": lambda word: frame(1, b"x" + word),
    "an error": lambda word: frame(1, json.dumps({"error": decoded(word)}).encode()),
    "a binary frame": lambda word: frame(2, word),
    "no frame": lambda word: word * 3,
}
HANDSHAKES: dict[str, Answers] = {
    "the reason": lambda word: answered(b"403 x" + word),
    "a header": lambda word: headed(b"101 Go", b"Upgrade: x" + word, b"Connection: x" + word),
    "the protocol": lambda word: headed(b"101 Go", b"Sec-WebSocket-Protocol: x" + word),
    "the media type": lambda word: answered(b"200 OK", b"x", b"text/x" + word),
    "the body": lambda word: answered(b"400 No", b"x" + word),
    "where to": lambda word: headed(b"302 Found", b"Location: http://x" + word + b"/"),
}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accepted(head: bytes) -> bytes:
    key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("place", "greets"),
    [
        *(pytest.param(place, True, id=name) for name, place in WEBSOCKET.items()),
        *(pytest.param(place, False, id=f"the handshake: {name}") for name, place in HANDSHAKES.items()),
    ],
)
async def test_over_a_websocket(place: Answers, *, greets: bool) -> None:
    said = b""
    async with raw_server(lambda head: (accepted(head) if greets else b"") + place(said)) as host:

        async def fail(word: str) -> None:
            nonlocal said
            said = word.encode(errors="surrogatepass")
            await rxllm.from_websocket(f"ws://{host}/", protocols=("a",)).pipe(ops.parse(), ops.accumulate())

        await assert_harmless(fail)


# What is in a recording.


def lines_of(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


BEGIN = {"stream": "s", "record": "begin", "version": 2, "began": "2026-01-01T00:00:00Z"}
ITEM = {"stream": "s", "record": "item", "position": 0, "seconds": 0.1, "kind": "text", "value": "Hello"}
END = {"stream": "s", "record": "end", "ending": "failed", "items": 1, "seconds": 0.2}


def failed(**error: Any) -> bytes:
    return lines_of(
        BEGIN, ITEM, {**END, "error": {"type": "APIStreamError", "message": "no", "attributes": {}} | error}
    )


RECORDINGS: dict[str, Callable[[str], bytes]] = {
    "no recording": lambda word: word.encode(errors="surrogatepass"),
    "the message of an error": lambda word: failed(message=word),
    "the type of an error": lambda word: failed(type=word, message=word),
    "the attributes of an error": lambda word: failed(attributes={"type": word, "code": word, "partial": word}),
    "a version": lambda word: lines_of({**BEGIN, "version": word}),
    "a time": lambda word: lines_of({**BEGIN, "began": word}),
    "a kind": lambda word: lines_of(BEGIN, {**ITEM, "kind": word}, END),
    "a value": lambda word: lines_of(BEGIN, {**ITEM, "kind": "chunk", "value": {"choices": word}}, END),
    "a value of another kind": lambda word: lines_of(BEGIN, {**ITEM, "kind": "message", "value": {word: word}}, END),
    "an event": lambda word: lines_of(BEGIN, {**ITEM, "kind": "sse", "value": {word: word}}, END),
    "bytes": lambda word: lines_of(BEGIN, {**ITEM, "kind": "bytes", "value": word}, END),
    "a position": lambda word: lines_of(BEGIN, {**ITEM, "position": word}, END),
    "slots": lambda word: lines_of(BEGIN, {**ITEM, "kind": "chunk", "value": {}, "slots": {"repairs": word}}, END),
    "the request": lambda word: lines_of(
        BEGIN, {**ITEM, "kind": "chunk", "value": {}, "slots": {"stream": {"bytes": word, word: 1}}}, END
    ),
    "an ending": lambda word: lines_of(BEGIN, ITEM, {**END, "ending": word}),
    "the name of a stream": lambda word: lines_of({**BEGIN, "stream": word}),
}


@pytest.mark.parametrize("place", RECORDINGS.values(), ids=RECORDINGS)
async def test_in_a_recording_of_lines(place: Callable[[str], bytes], tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    async def fail(word: str) -> None:
        path.write_bytes(place(word))
        await rxllm.from_recording(path)

    await assert_harmless(fail)


async def test_in_the_name_of_a_stream_and_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"

    async def fail(word: str) -> None:
        path.write_bytes(lines_of({**BEGIN, "stream": word}))
        await rxllm.from_recording(path, stream=f"x{word}")

    await assert_harmless(fail)
    await assert_harmless(lambda word: rxllm.from_recording(tmp_path / f"x{word}.jsonl"))
    await assert_harmless(lambda word: rxllm.from_recording(tmp_path / f"x{word}.db"))


DATABASES: dict[str, tuple[str, Callable[[str], tuple[str, ...]]]] = {
    "an error": ("UPDATE streams SET error = ?", lambda word: (event({"type": "x", "message": word}),)),
    "an error that is none": ("UPDATE streams SET error = ?", lambda word: (word,)),
    "a kind": ("UPDATE chunks SET kind = ?", lambda word: (word,)),
    "a value": ("UPDATE chunks SET value = ?", lambda word: (word,)),
    "slots": ("UPDATE chunks SET slots = ?", lambda word: (event({"stream": {word: word, "bytes": word}}),)),
    "a position": ("UPDATE chunks SET position = ?", lambda word: (word,)),
    "an ending": ("UPDATE streams SET ending = ?", lambda word: (word,)),
    "a time": ("UPDATE streams SET began = ?", lambda word: (word,)),
    "the schema": ("UPDATE sqlite_master SET sql = ? WHERE name = 'chunks'", lambda word: (f"CREATE TABLE {word} (",)),
    "the name of a table": ("UPDATE sqlite_master SET name = ?", lambda word: (f"x{word}",)),
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording of a stream that failed."""
    path = tmp_path_factory.mktemp("recorded") / "r.db"

    async def stream() -> AsyncGenerator[rxllm.StreamChunk]:
        yield rxllm.StreamChunk.from_wire(CALLS)
        raise RxllmError("no")

    with pytest.raises(RxllmError):
        rxllm.run(rxllm.from_async_iterable(stream).pipe(ops.tee_to(SQLiteSink(path))))
    return path.read_bytes()


@pytest.mark.parametrize(("statement", "place"), DATABASES.values(), ids=DATABASES)
async def test_in_a_database(
    statement: str, place: Callable[[str], tuple[str, ...]], database: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "r.db"

    async def fail(word: str) -> None:
        path.write_bytes(database)
        word = word.replace("\ud800", "")  # which SQLite refuses
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(statement, place(word))
        await rxllm.from_recording(path)

    await assert_harmless(fail)


def wire_lines(answer: str | None = None, **end: Any) -> bytes:
    request = {"version": 1, "transport": "sse", "method": "POST", "url": "http://a/", "began": "2026-01-01T00:00:00Z"}
    headers = {"content-type": "text/event-stream" if answer is None else answer}
    return lines_of(
        {"record": "request", **request, **end.pop("request", {})},
        {"record": "response", "at": 0.1, "status": 200, "headers": headers, **end.pop("response", {})},
        {"record": "read", "at": 0.2, "text": "data: x\n\n", **end.pop("read", {})},
        {"record": "end", "at": 0.3, "ending": "eof", **end},
    )


WIRE: dict[str, Callable[[str], bytes]] = {
    "no recording": lambda word: word.encode(errors="surrogatepass") + b"\n",
    "no whole line": lambda word: word.replace("\n", "").encode(errors="surrogatepass"),
    "a version": lambda word: wire_lines(request={"version": word}),
    "a transport": lambda word: wire_lines(request={"transport": word}),
    "a URL": lambda word: wire_lines(request={"url": f"http://a/{word}"}, ending="lost", error="x"),
    "a time": lambda word: wire_lines(request={"began": word}),
    "a status": lambda word: wire_lines(response={"status": word}),
    "a header": lambda word: wire_lines(f"text/{word}", response={}),
    "a body": lambda word: wire_lines("text/html", read={"text": f"<{word}"}),
    "a refusal": lambda word: wire_lines(response={"status": 500}, read={"text": f"<{word}"}),
    "what is no text": lambda word: wire_lines(read={"text": None, "base64": word}),
    "an error": lambda word: wire_lines(ending="lost", error=word),
    "what the client refused": lambda word: wire_lines(ending="refused", error=word),
    "an ending": lambda word: wire_lines(ending=word),
    "a detail": lambda word: wire_lines(ending="lost", code=word),
    "the reason of a close": lambda word: wire_lines(
        request={"transport": "websocket"},
        response={"status": 101},
        read={"text": "{}"},
        ending="closed",
        code=1011,
        reason=word,
    ),
}


@pytest.mark.parametrize("place", WIRE.values(), ids=WIRE)
async def test_in_a_recording_of_what_was_read(place: Callable[[str], bytes], tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"

    async def fail(word: str) -> None:
        path.write_bytes(place(word))
        await replay(path, timing="none").pipe(ops.parse(), ops.accumulate())

    await assert_harmless(fail)
