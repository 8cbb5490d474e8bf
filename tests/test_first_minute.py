# ruff: noqa: ISC004 - each pair is a mistake and its message
"""What a beginner gets wrong is told at the earliest moment, with what to write instead."""

from __future__ import annotations

import asyncio
import io
import math
import re
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
import reactivex
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import dialects, flow, sinks
from rxllm import operators as ops
from rxllm.sources import from_sse
from rxllm.testing import ScriptedServer, text_chunk

any_: Any = rxllm
"""The library as whoever does not check types sees it."""
any_ops: Any = ops
any_number: Any = 5
NO_TOOLS = rxllm.ToolRegistry()
QUESTION: Any = {"model": "any", "messages": [{"role": "user", "content": "Why?"}]}


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


async def chunks() -> AsyncIterator[rxllm.StreamChunk]:
    yield text_chunk("Hel")


def stream() -> Any:
    return rxllm.from_async_iterable(chunks)


def no_return(_: object) -> None:
    """Forgets what it has made."""


class City(pydantic.BaseModel):
    name: str


class Awaited:
    def __await__(self) -> Any:
        """Is awaited by nobody."""


EVENTS = "chat_with_tools() gives events: give it the operator as through=…, or take the text of each TextDelta"

WRONG_ORDER: dict[str, tuple[Callable[[Any], Awaitable[Any]], str]] = {
    "content behind accumulate": (
        lambda s: s.pipe(ops.accumulate(), ops.content()),
        "content() takes StreamChunk and got ChatCompletion: put it before accumulate()",
    ),
    "accumulate twice": (
        lambda s: s.pipe(ops.accumulate(), ops.accumulate()),
        "accumulate() takes StreamChunk and got ChatCompletion: that has been done already, leave this "
        "accumulate() out",
    ),
    "tee_to_display behind accumulate": (
        lambda s: s.pipe(ops.accumulate(), ops.tee_to_display(io.StringIO())),
        "a display shows StreamChunk, ServerSentEvent, AWSFrame, str and events of a chat, and got ChatCompletion: "
        "put the display before accumulate()",
    ),
    "parse of chunks": (
        lambda s: s.pipe(ops.parse()),
        "parse() takes ServerSentEvent or AWSFrame or str or bytes and got StreamChunk: that has been done already, "
        "leave this parse() out",
    ),
    "accumulate behind content": (
        lambda s: s.pipe(ops.content(), ops.accumulate()),
        "accumulate() takes StreamChunk and got str: put parse() in front of it; after content() there are no chunks "
        "any more",
    ),
    "json_path behind accumulate": (
        lambda s: s.pipe(ops.accumulate(), ops.json_path("$")),
        "json_path() takes StreamChunk and got ChatCompletion: put it before accumulate()",
    ),
    "run_tools of chunks": (
        lambda s: s.pipe(ops.run_tools(NO_TOOLS)),
        "run_tools() takes ToolCall and got StreamChunk: put accumulate_tool_calls() in front of it",
    ),
    "run_tools of a completion": (
        lambda s: s.pipe(ops.accumulate(), ops.run_tools(NO_TOOLS)),
        "run_tools() takes ToolCall and got ChatCompletion: put accumulate_tool_calls() in the place of accumulate()",
    ),
    "a function that is no coroutine": (
        lambda s: s.pipe(any_ops.map_async(no_return)),
        "map_async() takes a coroutine function, and this one gave NoneType: write it with 'async def', or use "
        "map() of reactivex.operators",
    ),
}


@pytest.mark.parametrize(("use", "message"), WRONG_ORDER.values(), ids=WRONG_ORDER)
async def test_operators_in_a_wrong_order(use: Callable[[Any], Awaitable[Any]], message: str) -> None:
    async with ScriptedServer("Rivers.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        with pytest.raises(TypeError) as caught:
            await use(client.chat_stream(QUESTION))

    assert str(caught.value) == message


@pytest.mark.parametrize("use", [ops.content(), ops.accumulate()])
async def test_events_of_a_conversation_are_no_chunks(use: Any) -> None:
    async with ScriptedServer("Rivers.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        with pytest.raises(TypeError, match=re.escape(f"takes StreamChunk and got TextDelta: {EVENTS}")):
            await client.chat_with_tools(QUESTION, NO_TOOLS).pipe(use)


async def test_a_display_of_events_of_a_conversation() -> None:
    screen = io.StringIO()
    async with ScriptedServer("Rivers.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        await client.chat_with_tools(QUESTION, NO_TOOLS).pipe(ops.tee_to_display(screen))

    assert screen.getvalue() == "Rivers.\n\n"


@pytest.mark.parametrize("use", [ops.content(), ops.accumulate()])
async def test_events_of_a_server_are_parsed_first(use: Any) -> None:
    async with ScriptedServer("Rivers.") as server:
        with pytest.raises(TypeError, match=r"got ServerSentEvent: put parse\(\) in front of it"):
            await from_sse(server.url, json={"stream": True}).pipe(use)


def make_function(_: object) -> object:
    return no_return


def choices(chunk: Any) -> object:
    return chunk.choices


async def coroutine_function(_: object) -> None:
    """Is awaited by nobody."""


IN_PIPE: dict[str, tuple[Any, str]] = {
    "a sink": (sinks.ConsoleSink(), "ConsoleSink is a sink: write tee_to(…) around it"),
    "the class of a sink": (sinks.SQLiteSink, "SQLiteSink is a class: tee_to() takes a sink made of it"),
    "a class": (City, "City is a class: make one"),
    "of reactivex": (rx_ops.map, "map makes one and has to be called: write map()"),
    "a list": ([ops.accumulate()], "write them one after the other, pipe(a, b), and not in a list"),
    "nothing": (None, "None is not one: does a function lack its 'return'?"),
    "a number": (5, "int is not one"),
    "an observable": (
        stream(),
        "Stream is an observable: reactivex.operators has merge() and concat() for two streams",
    ),
    "a coroutine function": (coroutine_function, "coroutine_function is a coroutine function: map_async() calls it"),
    "one that makes functions": (make_function, "make_function made a function and no observable of the stream"),
}


@pytest.mark.parametrize(("operator", "message"), IN_PIPE.values(), ids=IN_PIPE)
def test_what_is_no_operator_in_pipe(operator: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        stream().pipe(operator)

    assert str(caught.value) == f"pipe() takes operators: {message}"


NEED_ARGUMENTS = ("buffer_with_backpressure", "map_async", "parse_structured", "run_tools", "stop_when", "tee_to")


@pytest.mark.parametrize("name", ops.__all__)
def test_an_operator_without_brackets_in_pipe(name: str) -> None:
    dots = "…" if name in {*NEED_ARGUMENTS, "timeout_per_chunk", "json_path", "deadline", "rate_limit"} else ""
    with pytest.raises(TypeError) as caught:
        stream().pipe(getattr(ops, name))

    assert str(caught.value) == f"pipe() takes operators: {name} makes one and has to be called: write {name}({dots})"


def test_a_function_of_items_in_pipe_is_called_with_the_stream() -> None:
    with pytest.raises(AttributeError, match="Stream has no 'choices': its items may have, 'await' it") as caught:
        stream().pipe(choices)

    assert caught.value.__notes__ == [
        "raised by choices, which pipe() calls with the whole stream and not with each item"
    ]
    with pytest.raises(TypeError, match="make_function stands behind something that made NoneType and no obs"):
        stream().pipe(no_return, make_function)


def test_a_stream_has_no_text() -> None:
    with pytest.raises(AttributeError, match="Stream has no 'text': its items may have, 'await' it for the last one"):
        _ = stream().text
    with pytest.raises(AttributeError, match=r"Stream has no '_text'$"):
        _ = stream()._text


SINKS: dict[str, tuple[Any, str]] = {
    "a path": ("chats.db", "write tee_to(SQLiteSink('chats.db')), with 'from rxllm.sinks import SQLiteSink'"),
    "a path of lines": (
        Path("chats.jsonl"),
        "write tee_to(JSONLinesSink('chats.jsonl')), with 'from rxllm.sinks import JSONLinesSink'",
    ),
    "a class": (sinks.SQLiteSink, "SQLiteSink is a class: write SQLiteSink(…)"),
    "a file": (io.StringIO(), "StringIO is a file: tee_to_display() writes text to it"),
    "a stream": (stream(), "Stream is a stream: in pipe() write tee_to(sink)"),
    "a function": (
        no_return,
        "function is not a sink: to call a function or an observer, use do_action() of reactivex.operators",
    ),
    "an observer": (
        reactivex.Observer[int](),
        "Observer is not a sink: to call a function or an observer, use do_action() of reactivex.operators",
    ),
    "something else": (5, "int is not a sink: it has no 'async def open()', see rxllm.Sink"),
}


@pytest.mark.parametrize(("sink", "message"), SINKS.values(), ids=SINKS)
def test_what_is_no_sink(sink: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        ops.tee_to(sink)

    assert str(caught.value) == f"tee_to() takes a sink: {message}"


@pytest.mark.parametrize("file", ["out.txt", sinks.ConsoleSink, io.BytesIO()])
def test_what_is_no_file_to_display_in(file: Any) -> None:
    with pytest.raises(
        TypeError, match=r"a display writes to an open text file, not to (str|type|BytesIO): open\(…, 'w"
    ):
        ops.tee_to_display(file)


@pytest.mark.parametrize(("model", "name"), [(dict, "dict"), (list[City], "list"), ("City", "this"), (5, "this")])
def test_a_structure_that_is_no_model(model: Any, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        ops.parse_structured(model)

    assert str(caught.value) == (
        f"parse_structured() takes a pydantic model class, and {name} is not one: write "
        "'class Answer(pydantic.BaseModel): …' and parse_structured(Answer); without a schema, "
        "json_path('$', of='content') gives the JSON"
    )


def test_an_instance_of_a_model_is_not_its_class() -> None:
    model: Any = City(name="Lyon")
    with pytest.raises(
        TypeError, match=r"the class of a pydantic model, not an instance: write parse_structured\(City\)"
    ):
        ops.parse_structured(model)


SECONDS: dict[str, Callable[[Any], object]] = {
    "timeout_per_chunk": ops.timeout_per_chunk,
    "first": lambda first: ops.timeout_per_chunk(1, first=first),
    "run_tools": lambda timeout: ops.run_tools(NO_TOOLS, timeout=timeout),
    "a heartbeat": lambda heartbeat: rxllm.from_websocket("ws://127.0.0.1", heartbeat=heartbeat),
    "a client": lambda timeout: rxllm.LLMClient(timeout=timeout),
    "one request": lambda timeout: rxllm.LLMClient().chat_stream(QUESTION, timeout=timeout),
}
NOT_NEGATIVE: dict[str, Callable[[Any], object]] = {
    "the grace period of a client": lambda seconds: rxllm.LLMClient(grace_period=seconds),
    "of from_sse": lambda seconds: from_sse("http://127.0.0.1", grace_period=seconds),
    "of from_websocket": lambda seconds: rxllm.from_websocket("ws://127.0.0.1", grace_period=seconds),
}
COUNTS: dict[str, Callable[[Any], object]] = {
    "a buffer": ops.buffer_with_backpressure,
    "tee_to": lambda size: ops.tee_to(sinks.ConsoleSink(), buffer_size=size),
    "tee_to_display": lambda size: ops.tee_to_display(buffer_size=size),
    "map_async": lambda count: ops.map_async(coroutine_function, max_concurrency=count),
    "run_tools": lambda count: ops.run_tools(NO_TOOLS, max_concurrency=count),
    "decode_aws_frames": lambda size: ops.decode_aws_frames(max_event_bytes=size),
    "decode_ndjson": lambda size: ops.decode_ndjson(max_event_bytes=size),
    "decode_sse": lambda size: ops.decode_sse(max_event_bytes=size),
    "iterate": lambda size: rxllm.iterate(stream(), buffer_size=size),
    "iterate_sync": lambda size: rxllm.iterate_sync(stream(), buffer_size=size),
    "from_http": lambda size: rxllm.from_http("http://127.0.0.1", framing="ndjson", max_event_bytes=size),
    "from_sse": lambda size: from_sse("http://127.0.0.1", max_event_bytes=size),
    "from_websocket": lambda size: rxllm.from_websocket("ws://127.0.0.1", max_frame_bytes=size),
    "a client": lambda size: rxllm.LLMClient(max_event_bytes=size),
    "rounds": lambda rounds: rxllm.LLMClient().chat_with_tools(QUESTION, NO_TOOLS, max_rounds=rounds),
}


@pytest.mark.parametrize("use", [*SECONDS.values(), *NOT_NEGATIVE.values()], ids=[*SECONDS, *NOT_NEGATIVE])
def test_a_time_is_a_number(use: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"must be a number of seconds, not the text '10': leave out the quotes"):
        use("10")
    with pytest.raises(TypeError, match=r"must be a number of seconds, not the text '10 s'$"):
        use("10 s")
    with pytest.raises(TypeError, match=r"must be a number of seconds, not list$"):
        use([10])
    for wrong in (-1, math.nan):
        with pytest.raises(ValueError, match=f"must be (positive|at least 0), a number of seconds, not {wrong}"):
            use(wrong)
    with pytest.raises(ValueError, match="must be a number of seconds that a float can hold"):
        use(10**400)


@pytest.mark.parametrize("use", SECONDS.values(), ids=SECONDS)
def test_no_time_at_all_is_too_short(use: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match="must be positive, a number of seconds, not 0"):
        use(0)


@pytest.mark.parametrize("use", COUNTS.values(), ids=COUNTS)
def test_a_count_is_a_whole_number(use: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="must be a whole number, not the text '10': leave out the quotes"):
        use("10")
    for wrong in (2.5, math.nan, None):
        with pytest.raises(TypeError, match=r"must be a whole number, not (float|NoneType)"):
            use(wrong)
    for least in (0, -1):
        with pytest.raises(ValueError, match=f"must be at least 1, not {least}"):
            use(least)


@pytest.mark.parametrize("speed", ["2", None])
def test_a_speed_is_a_number(speed: Any) -> None:
    with pytest.raises(TypeError, match=r"speed must be a number, not (the text '2'|NoneType)"):
        rxllm.from_recording("any", speed=speed)


OTHERS: dict[str, tuple[Callable[[], object], str]] = {
    "map_async without a function": (lambda: any_ops.map_async(5), "mapper must be a function, not int"),
    "a list of tools": (lambda: any_ops.run_tools([no_return]), "registry must be ToolRegistry, not list: write Tool"),
    "paths in a list": (lambda: any_ops.json_path(["a", "b"]), "a path must be str, not list: write json_path('a', 'b"),
    "another that is none": (
        lambda: any_ops.timeout_per_chunk(1, other="Sorry."),
        "other must be Observable, not the text 'Sorry.'",
    ),
    "a number of seconds for aiohttp": (
        lambda: from_sse("http://127.0.0.1", timeout=any_number),
        "timeout must be ClientTimeout, not int: write aiohttp.ClientTimeout(total=…)",
    ),
    "an event of a thread": (
        lambda: any_ops.stop_when(threading.Event()),
        "stop_when() takes an asyncio.Event, something that can be awaited, or an observable, not Event",
    ),
    "a class of a dialect": (
        lambda: any_ops.parse(dialects.OpenAIChat),
        "a dialect must be a name, such as 'openai-chat', or a dialect, such as OpenAIChat(), not OpenAIChat",
    ),
    "no dialect": (lambda: any_.LLMClient(dialect=5), "OpenAIChat(), not int"),
    "a client without async": (lambda: any_.LLMClient().__enter__(), "a client is used as 'async with'"),
    "no tools": (
        lambda: rxllm.LLMClient().chat_with_tools(QUESTION),
        "chat_with_tools() needs the tools: write registry=ToolRegistry([…])",
    ),
    "a text as a request": (
        lambda: any_.LLMClient().chat_stream("Why?"),
        "a request is a ChatRequest or a dictionary of its fields, not str: write model='…', messages=[Message.user(",
    ),
    "a list as a source": (
        lambda: any_.from_async_iterable([1]),
        "not list: reactivex.from_iterable() takes what can be iterated over without async",
    ),
    "a coroutine as a source": (
        lambda: any_.from_async_iterable(coroutine_function(1)),
        "not coroutine: give the function that makes it",
    ),
    "what can be awaited as a source": (
        lambda: any_.from_async_iterable(Awaited()),
        "not Awaited: give the function that makes it, as 'lambda: client.create(…)', for each subscription calls it",
    ),
    "a stream as a source": (lambda: any_.from_async_iterable(reactivex.of(1)), "an observable is a source already"),
    "a number as a source": (lambda: any_.from_async_iterable(1), "not int: it has no __aiter__()"),
    "to run a generator": (lambda: any_.run(numbers()), "rxllm.from_async_iterable() makes one of it"),
    "to run a function": (lambda: any_.run(stream), "run() takes an observable, not function: call it"),
    "to run a number": (lambda: any_.run(5), "run() takes an observable, not int"),
    "to iterate over a coroutine": (
        lambda: any_.iterate(coroutine_function(1)),
        "iterate() takes an observable, not coroutine: 'await' it",
    ),
    "to iterate over a list": (lambda: any_.iterate_sync([1]), "iterate_sync() takes an observable, not list"),
    "for without async": (
        lambda: list(any_.iterate(stream())),
        "write 'async for' within a coroutine, else rxllm.iter",
    ),
    "for over a stream": (
        lambda: list(stream()),
        "write 'for item in rxllm.iterate_sync(stream)', or rxllm.run(stream)",
    ),
}


@pytest.mark.parametrize(("use", "message"), OTHERS.values(), ids=OTHERS)
def test_other_mistakes(use: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        use()


@pytest.mark.parametrize("name", ["retry", "map", "filter", "catch"])
def test_an_operator_of_reactivex(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(ops, name)

    assert str(caught.value) == (
        f"rxllm.operators has no {name!r}, reactivex.operators has: write 'from reactivex import operators as rx_ops' "
        f"and rx_ops.{name}()"
    )


@pytest.mark.parametrize("name", ["mapp", "_map", "Observable"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'rxllm.operators' has no attribute '{name}'"):
        getattr(ops, name)


def test_what_users_write_is_what_is_shown() -> None:
    shown = {name for name in dir(rxllm) if not name.startswith("__")}

    assert shown == {*rxllm.__all__, "dialects", "flow", "serving", "telemetry", "testing", "wire"}
    assert rxllm.testing.ScriptedServer is ScriptedServer
    assert {name for name in dir(ops) if not name.startswith("__")} == set(ops.__all__)


async def test_run_within_a_loop() -> None:
    with pytest.raises(rxllm.NoRunningLoopError, match=r"write 'await' instead of rxllm\.run\(\)"):
        rxllm.run(stream())
    with pytest.raises(rxllm.NoRunningLoopError, match=r"write 'await' instead of rxllm\.run\(\)"):
        rxllm.run(asyncio.sleep(0))


def test_run_takes_a_coroutine() -> None:
    assert rxllm.run(asyncio.sleep(0, "done")) == "done"


async def test_a_generator_serves_one_source() -> None:
    generator = numbers()
    source = rxllm.from_async_iterable(generator)
    assert await source == 2

    for again in (source, rxllm.from_async_iterable(generator), rxllm.from_async_iterable(lambda: generator)):
        with pytest.raises(
            RuntimeError, match=r"give the function that makes it, from_async_iterable\(items\) and not"
        ):
            await again


URLS = {
    "": "it is empty",
    "  ": "it is empty",
    "localhost:8080/v1": "it has no scheme: did you mean 'http://localhost:8080/…'?",
    "localhost": "it has no scheme: did you mean 'http://localhost'?",
    "gpu-box:8000/v1": "it has no scheme: did you mean 'http://gpu-box:8000/…'?",
    "//api.example.org/v1": "it has no scheme: did you mean 'https://api.example.org/…'?",
    "api.example.org": "it has no scheme: did you mean 'https://api.example.org'?",
    "me:secret@example.org/v1": "it has no scheme: begin it with https:// or http://",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "it has no scheme: begin it with https:// or http://",
    "https://me:secret/1@example.org/v1": (
        "it has no host that can be read: write each of : / ? # [ ] @ % in user and password as %3A, %2F, …"
    ),
    "example": "it has no scheme: begin it with https:// or http://",
    "https:///v1": "it has no host that can be read",
    "https://[::1/v1": "it has no host that can be read",
    "https://example.org:99999/v1": "it has no host that can be read",
    "htps://example.org/v1": "its scheme is none of http, https, ws and wss",
}


@pytest.mark.parametrize(("url", "message"), URLS.items())
def test_a_base_url_that_is_none(url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^base_url cannot be requested: ") as caught:
        rxllm.LLMClient(base_url=url)

    assert str(caught.value) == f"base_url cannot be requested: {message}"
    if url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(ValueError, match=r"^OPENAI_BASE_URL cannot be requested: "):
            rxllm.LLMClient()


async def test_a_url_of_a_source_that_is_none() -> None:
    with pytest.raises(rxllm.APIConnectionError, match=r"has no scheme: did you mean 'http://localhost:1/…'\?"):
        await from_sse("localhost:1/v1")
    with pytest.raises(rxllm.APIConnectionError, match=r"has no scheme: did you mean 'https://example\.org/…'\?"):
        await rxllm.from_websocket("example.org/v1?key=secret")


@pytest.mark.parametrize(
    "end", ["/chat/completions", "/chat/completions/", "/chat/completions?version=2", "/?version=2"]
)
async def test_the_address_of_the_endpoint_will_do(end: str) -> None:
    async with ScriptedServer("Rivers.") as server:
        answer = await rxllm.LLMClient(base_url=server.base_url + end).chat(QUESTION)

    assert answer.text == "Rivers."
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].query == ("version=2" if "?" in end else "")


async def test_a_request_in_few_words() -> None:
    message = rxllm.Message.user("Why?")
    first = rxllm.ChatRequest(model="small", messages=[message], seed=1)
    async with ScriptedServer("Rivers.", repeat=True) as server, rxllm.LLMClient(base_url=server.base_url) as client:
        await client.chat(QUESTION)
        await client.chat(model="any", messages=[message], temperature=0)
        await client.chat_stream(first, temperature=0, top_k=3)
        await client.chat_stream(first, model="large")
        await client.chat_with_tools(registry=NO_TOOLS, model="any", messages=[message], seed=2)
        sent = [request.json for request in server.requests]

    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    whole = {"messages": [{"role": "user", "content": "Why?"}], **streamed}
    assert sent == [
        {"model": "any", **whole},
        {"model": "any", "temperature": 0, **whole},
        {"model": "small", "seed": 1, "temperature": 0, "top_k": 3, **whole},
        {"model": "large", "seed": 1, **whole},
        {"model": "any", "seed": 2, **whole},
    ]


async def test_a_request_in_few_words_over_a_websocket() -> None:
    async with ScriptedServer("Rivers.") as server:
        answer = await rxllm.LLMClient(base_url=server.base_url).websocket_stream(QUESTION).pipe(ops.accumulate())

    assert answer.text == "Rivers."


def test_a_request_without_what_it_needs() -> None:
    with pytest.raises(pydantic.ValidationError, match="2 validation errors for ChatRequest\nmodel\n  Field required"):
        rxllm.LLMClient().chat_stream()


@pytest.mark.parametrize(
    "messages", ["Why?", ["Why?"], rxllm.Message.user("Why?"), {"role": "user", "content": "Why?"}]
)
def test_messages_are_several(messages: Any) -> None:
    with pytest.raises(ValueError, match=r"messages is a list: write messages=\[Message\.user\('…'\)\]"):
        rxllm.ChatRequest(model="any", messages=messages)


@pytest.mark.parametrize("tools", [[no_return], no_return, NO_TOOLS])
def test_tools_of_a_request_are_json(tools: Any) -> None:
    with pytest.raises(
        ValueError, match=r"tools are functions as JSON: write tools=ToolRegistry\(\[…\]\)\.schemas\(\)"
    ):
        rxllm.ChatRequest(model="any", messages=[], tools=tools)


def test_a_form_is_json() -> None:
    form: Any = City
    with pytest.raises(ValueError, match="response_format is JSON: write ") as caught:
        rxllm.ChatRequest(model="any", messages=[], response_format=form)

    advice = "{'type': 'json_schema', 'json_schema': {'name': 'city', 'schema': City.model_json_schema()}}"
    assert advice in str(caught.value)
    assert rxllm.ChatRequest(model="any", messages=[], response_format=eval(advice)).response_format  # noqa: S307


SLIPS = {
    "temprature": "temperature",
    "Temperature": "temperature",
    "topP": "top_p",
    "max_token": "max_tokens",
    "maxTokens": "max_tokens",
    "max_completion_token": "max_completion_tokens",
    "tool_chioce": "tool_choice",
    "response-format": "response_format",
    "reasoning_efort": "reasoning_effort",
}


@pytest.mark.parametrize(("slip", "meant"), SLIPS.items())
def test_a_field_that_is_nearly_one(slip: str, meant: str) -> None:
    fields: Any = {slip: "1"}
    makers: tuple[Callable[[], object], ...] = (
        lambda: rxllm.ChatRequest(model="any", messages=[], **fields),
        lambda: rxllm.ChatRequest.model_validate({"model": "any", "messages": [], **fields}),
        lambda: rxllm.LLMClient().chat_stream(model="any", messages=[], **fields),
    )
    for make in makers:
        with pytest.warns(
            UserWarning, match=f"^ChatRequest has no field {slip!r}: did you mean {meant!r}\\?$"
        ) as caught:
            make()
        assert [warning.filename for warning in caught] == [__file__]


def test_fields_of_servers_pass() -> None:
    names = (
        "top_k min_p top_a min_tokens max_new_tokens models prompt_logprobs repetition_penalty best_of num_ctx extra"
    )
    fields: Any = dict.fromkeys(names.split(), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        request = rxllm.ChatRequest(model="any", messages=[], **fields)

    assert request.to_wire() == {"model": "any", "messages": [], **fields}


def test_an_error_of_an_operator_of_ones_own_says_nothing_of_brackets() -> None:
    class Echo(flow.Operation[int, int]):
        pass

    assert rxllm.run(rxllm.from_async_iterable(numbers).pipe(flow.operate(Echo))) == 2
    subject = Subject[int]()
    replace: Callable[[object], object] = lambda _: subject  # noqa: E731 - it has a type
    assert stream().pipe(replace) is subject


async def test_brackets_that_are_missing_behind_a_conversation() -> None:
    async with ScriptedServer("Rivers.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        with pytest.raises(TypeError, match="split_reasoning makes one and has to be called: write split_reasoning"):
            await client.chat_with_tools(QUESTION, NO_TOOLS, through=any_ops.split_reasoning)
