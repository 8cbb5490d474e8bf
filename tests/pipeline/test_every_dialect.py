"""One script, every dialect: whatever a provider speaks, the same answer comes out of every operator."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from pydantic import BaseModel
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatCompletion, ChatRequest, LLMClient, Message, StreamChunk, ToolRegistry
from rxllm import operators as ops
from rxllm.dialects import Endpoint, get_dialect
from rxllm.exceptions import (
    APIStatusError,
    APIStreamError,
    ChunkTimeoutError,
    DecodeError,
    MixedAnswersError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.testing import Script, ScriptedServer, replay, script
from rxllm.testing.script import ScriptDialect

DIALECTS: tuple[ScriptDialect, ...] = (
    *("openai-chat", "anthropic", "openai-responses", "gemini"),
    *("bedrock-converse", "cohere", "ollama"),
)
# Their calls come whole: there is nothing of one that was cut.
WHOLE_CALLS: set[ScriptDialect] = {"gemini", "ollama"}
# Beside calls they take what the model thought, and no text.
NO_TEXT_BESIDE_CALLS: set[ScriptDialect] = {"cohere"}
QUESTION = "What is the weather in Paris and in Tokyo?"


class Weather(BaseModel):
    """An answer in JSON."""

    city: str
    degrees: int


FORM = {"type": "json_schema", "json_schema": {"name": "weather", "schema": Weather.model_json_schema()}}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
REQUEST = ChatRequest(model="m", messages=[Message.user(QUESTION)], tools=[TOOL], max_tokens=500)
PLAIN = ChatRequest(model="m", messages=[Message.user(QUESTION)], max_tokens=500)

THOUGHTS = "Two cities, two calls."
WORDS = "I look it up."
PARIS = script.tool_call("get_weather", {"city": "Paris"}, id="call_paris", index=0)
TOKYO = script.tool_call("get_weather", {"city": "Tokyo"}, id="call_tokyo", index=1)
ANSWER = script.answer(
    [script.reasoning(word) for word in script.words(THOUGHTS)],
    script.words(WORDS),
    PARIS,
    TOKYO,
    completion_tokens=42,
)
CALLS = [("call_paris", "get_weather", {"city": "Paris"}), ("call_tokyo", "get_weather", {"city": "Tokyo"})]
TEXT = "In Paris it rains. In Tokyo the sun shines."

BUSY = script.api_error(429, "slow down", headers={"retry-after": "0"})


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> ScriptDialect:
    return cast("ScriptDialect", request.param)


def test_no_dialect_is_left_out() -> None:
    with pytest.raises(ValueError, match="unknown dialect") as caught:
        get_dialect("none")

    assert str(caught.value).rpartition(": ")[2].split(", ") == [*DIALECTS]


@asynccontextmanager
async def client_of(
    dialect: ScriptDialect, *scripts: Script, repeat: bool = False, retries: int = 0, **options: Any
) -> AsyncGenerator[tuple[LLMClient, ScriptedServer]]:
    """A client of a server that speaks the dialect, and that server."""
    async with (
        ScriptedServer(*scripts, dialect=dialect, repeat=repeat) as server,
        LLMClient(
            base_url=server.base_url, api_key="", dialect=dialect, retries=retries, grace_period=0.05, **options
        ) as client,
    ):
        yield client, server


async def answer_of(dialect: ScriptDialect, answer: Script, request: ChatRequest = REQUEST) -> ChatCompletion:
    async with client_of(dialect, answer) as (client, _):
        return await client.chat_stream(request).pipe(ops.accumulate(strict=True))


def told(completion: ChatCompletion) -> dict[str, Any]:
    """What an answer says, apart from identifiers and from what its provider adds."""
    (choice,) = completion.choices
    usage = completion.usage
    return {
        "content": completion.content,
        "reasoning": choice.message.reasoning_text,
        "calls": [(call.id, call.function.name, call.function.parsed) for call in choice.message.tool_calls],
        "cut": [(call.name, call.arguments) for call in choice.incomplete_tool_calls],
        "finish": choice.finish_reason,
        "ending": completion.ending,
        "complete": completion.complete,
        "tokens": usage and (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        "repairs": [*completion.repairs],
    }


WHOLE = {
    "content": WORDS,
    "reasoning": THOUGHTS,
    "calls": CALLS,
    "cut": [],
    "finish": "tool_calls",
    "ending": "completed",
    "complete": True,
    "tokens": (7, 42, 49),
    "repairs": [],
}


# The whole answer


async def test_accumulate_gives_the_same(dialect: ScriptDialect) -> None:
    assert told(await answer_of(dialect, ANSWER)) == WHOLE


async def test_chat_gives_the_same_and_so_does_the_answer_again_from_json(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        completion = await client.chat(REQUEST)

    assert told(completion) == WHOLE
    again = ChatCompletion.model_validate_json(completion.model_dump_json())
    assert again == completion
    assert told(again) == WHOLE


async def test_a_call_without_arguments(dialect: ScriptDialect) -> None:
    completion = await answer_of(dialect, script.answer(script.tool_call("now", {}, id="call_now")))

    assert [call.function.parsed for call in completion.message.tool_calls] == [{}]
    assert told(completion)["repairs"] == []


@pytest.mark.parametrize(
    ("reason", "ending"), [("stop", "completed"), ("length", "length"), ("content_filter", "content_filter")]
)
async def test_why_it_ended(dialect: ScriptDialect, reason: str, ending: str) -> None:
    completion = await answer_of(dialect, script.answer(*script.words(TEXT), finish_reason=reason))

    assert (completion.choices[0].finish_reason, completion.ending) == (reason, ending)
    assert (completion.content, completion.complete, [*completion.repairs]) == (TEXT, True, [])


@pytest.mark.parametrize("dialect", sorted({*DIALECTS} - WHOLE_CALLS))
async def test_a_call_that_the_length_cut_is_none(dialect: ScriptDialect) -> None:
    cut = [script.role(), *PARIS[:3], script.finish("length"), script.usage(), script.done()]
    completion = await answer_of(dialect, cut)
    async with client_of(dialect, cut) as (client, _):
        with pytest.raises(TruncatedStreamError):
            await client.chat_stream(REQUEST).pipe(ops.accumulate_tool_calls())

    assert (completion.ending, completion.message.tool_calls) == ("length", [])
    assert told(completion)["cut"] == [("get_weather", '{"city": "')]


@pytest.mark.parametrize("dialect", sorted(WHOLE_CALLS))
async def test_of_a_call_that_comes_whole_the_length_leaves_nothing(dialect: ScriptDialect) -> None:
    cut = [script.role(), *PARIS[:3], script.finish("length"), script.usage(), script.done()]
    completion = await answer_of(dialect, cut)

    assert (completion.ending, completion.message.tool_calls, told(completion)["cut"]) == ("length", [], [])


async def test_the_dialect_tells_itself(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER, ANSWER) as (client, server):
        completion = await client.chat(REQUEST)
        sent = server.requests[0]
        url = f"{server.origin}{sent.path}"
        framing = get_dialect(dialect).http_request(PLAIN, Endpoint(base_url=url)).framing
        read = await rxllm.from_http(url, framing=framing, json=sent.json, end_marker="[DONE]").pipe(
            ops.parse("auto"), ops.accumulate(strict=True)
        )

    assert told(read) == told(completion) == WHOLE


@pytest.mark.parametrize("other", DIALECTS)
async def test_a_server_of_another_dialect_is_no_answer(dialect: ScriptDialect, other: ScriptDialect) -> None:
    if other == dialect:
        return
    async with (
        ScriptedServer(ANSWER, dialect=other) as server,
        LLMClient(base_url=server.base_url, api_key="", dialect=dialect, retries=0) as client,
    ):
        with pytest.raises(DecodeError, match=r"(Messages API|Responses API|Bedrock API|chat completions|API) of"):
            await client.chat(REQUEST)


# While it comes


async def test_content_gives_the_same_pieces(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        pieces = await client.chat_stream(REQUEST).pipe(ops.content(), rx_ops.to_list())

    assert pieces == script.words(WORDS)


async def test_async_for_gives_the_same_text_of_chunks(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, server):
        texts = [chunk.text async for chunk in client.chat_stream(REQUEST)]

    assert "".join(texts) == WORDS
    assert len(server.requests) == 1


async def test_snapshots_grow_in_the_same_way(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        snapshots = await client.chat_stream(REQUEST).pipe(ops.accumulate_snapshots(), rx_ops.to_list())

    contents = list(dict.fromkeys(snapshot.content for snapshot in snapshots if snapshot.content))
    assert contents == ["I", "I look", "I look it", "I look it up."]
    assert told(snapshots[-1]) == WHOLE


@pytest.mark.parametrize("eager", [False, True])
async def test_calls_are_the_same(dialect: ScriptDialect, *, eager: bool) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        calls = await client.chat_stream(REQUEST).pipe(ops.accumulate_tool_calls(eager=eager), rx_ops.to_list())

    assert [(call.id, call.function.name, call.function.parsed) for call in calls] == CALLS


@pytest.mark.parametrize("dialect", sorted({*DIALECTS} - WHOLE_CALLS))
async def test_an_eager_call_comes_before_the_next_one_has_ended(dialect: ScriptDialect) -> None:
    gate = asyncio.Event()
    waits = [*script.words(WORDS), *PARIS, *TOKYO[:2], script.wait_for(gate), *TOKYO[2:], script.finish("tool_calls")]
    async with client_of(dialect, [script.role(), *waits, script.usage(), script.done()]) as (client, _):
        cities: list[Any] = []
        async for call in client.chat_stream(REQUEST).pipe(ops.accumulate_tool_calls(eager=True)):
            cities.append(call.function.parsed["city"])
            gate.set()

    assert cities == ["Paris", "Tokyo"]


async def test_the_parts_are_the_same(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        events = await client.chat_stream(REQUEST).pipe(ops.parts(), rx_ops.to_list())

    ends = [event.part for event in events if isinstance(event, rxllm.PartEnd)]
    assert [(part.kind, part.text) for part in ends] == [
        ("reasoning", THOUGHTS),
        ("text", WORDS),
        *(("tool_call", arguments_of(call)) for call in CALLS),
    ]
    assert [(part.id, part.name) for part in ends[2:]] == [call[:2] for call in CALLS]
    assert all(part.final for part in ends)
    starts = [event.index for event in events if isinstance(event, rxllm.PartStart)]
    assert starts == [part.index for part in ends]


async def test_progress_is_the_same(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        progress = await client.chat_stream(REQUEST).pipe(ops.tool_call_progress(), rx_ops.to_list())

    seen = list(dict.fromkeys((each.id, each.name, str(each.arguments)) for each in progress if each.arguments))
    begun = [] if dialect in WHOLE_CALLS else [""]
    cities = {"call_paris": [*begun, "Paris"], "call_tokyo": [*begun, "Tokyo"]}
    expected = [(call, "get_weather", str({"city": city})) for call, grown in cities.items() for city in grown]
    assert seen == expected
    assert {each.id for each in progress if each.closed} == {"call_paris", "call_tokyo"}


async def test_a_path_in_the_arguments_is_the_same(dialect: ScriptDialect) -> None:
    async with client_of(dialect, ANSWER) as (client, _):
        matches = await client.chat_stream(REQUEST).pipe(ops.json_path("city"), rx_ops.to_list())

    assert [match.value for match in matches if match.complete] == ["Paris", "Tokyo"]
    assert "".join(match.delta for match in matches) == "ParisTokyo"
    assert {match.name for match in matches} == {"get_weather"}


async def test_structured_output_with_the_schema_of_the_provider(dialect: ScriptDialect) -> None:
    asked = PLAIN.model_copy(update={"response_format": FORM})
    answer = script.answer(*script.words('{"city": "Paris", "degrees": 18}'))
    async with client_of(dialect, answer, answer) as (client, server):
        read = await client.chat_stream(asked).pipe(ops.parse_structured(Weather), rx_ops.to_list())
        degrees = await client.chat_stream(asked).pipe(ops.json_path("degrees", of="content"), rx_ops.to_list())

    assert read[-1] == Weather(city="Paris", degrees=18)
    assert [match.value for match in degrees] == [18]
    assert schema_sent(dialect, server.requests[0].json)["properties"].keys() == {"city", "degrees"}


async def test_structured_output_that_breaks_its_schema(dialect: ScriptDialect) -> None:
    answer = script.answer(*script.words('{"city": "Paris", "degrees": "some"}'))
    async with client_of(dialect, answer) as (client, _):
        with pytest.raises(rxllm.StructuredOutputError, match="degrees") as caught:
            await client.chat_stream(PLAIN).pipe(ops.parse_structured(Weather))

    assert caught.value.gathered is not None


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_without_all_of_its_json_says_why(dialect: ScriptDialect, reason: str) -> None:
    cut = script.answer(*script.words('{"city": "Paris", "deg'), finish_reason=reason)
    async with client_of(dialect, cut) as (client, _):
        with pytest.raises(rxllm.StructuredOutputError, match=reason.replace("_", ".")) as caught:
            await client.chat_stream(PLAIN).pipe(ops.parse_structured(Weather))

    gathered = caught.value.gathered
    assert isinstance(gathered, Weather)
    assert gathered.model_fields_set == {"city"}


SCHEMAS: dict[ScriptDialect, tuple[str, ...]] = {
    "openai-chat": ("response_format", "json_schema", "schema"),
    "anthropic": ("output_config", "format", "schema"),
    "openai-responses": ("text", "format", "schema"),
    "gemini": ("generationConfig", "responseJsonSchema"),
    "bedrock-converse": ("outputConfig", "textFormat", "structure", "jsonSchema", "schema"),
    "cohere": ("response_format", "json_schema"),
    "ollama": ("format",),
}


def schema_sent(dialect: ScriptDialect, body: Any) -> Any:
    """The schema that the server was given, where the provider wants it."""
    found = reduce(getitem, SCHEMAS[dialect], body)
    # Bedrock wants it as a text.
    return json.loads(found) if isinstance(found, str) else found


async def test_reasoning_between_tags_is_parted_from_the_text(dialect: ScriptDialect) -> None:
    answer = script.answer(*script.words("<think>It is raining.</think>Take an umbrella."))
    async with client_of(dialect, answer) as (client, _):
        completion = await client.chat_stream(PLAIN).pipe(ops.split_reasoning(), ops.accumulate())

    assert (completion.content, completion.message.reasoning_text) == ("Take an umbrella.", "It is raining.")


async def test_the_display_shows_the_text(dialect: ScriptDialect) -> None:
    file = io.StringIO()
    async with client_of(dialect, TEXT) as (client, _):
        completion = await client.chat_stream(PLAIN).pipe(ops.tee_to_display(file), ops.accumulate())

    assert file.getvalue() == f"{TEXT}\n"
    assert completion.content == TEXT


def test_synchronous_code_gets_the_same(dialect: ScriptDialect) -> None:
    with ScriptedServer(ANSWER, ANSWER, dialect=dialect) as server:
        client = LLMClient(base_url=server.base_url, api_key="", dialect=dialect)
        completion = rxllm.run(client.chat_stream(REQUEST).pipe(ops.accumulate()))
        with rxllm.iterate_sync(client.chat_stream(REQUEST).pipe(ops.content())) as pieces:
            texts = [*pieces]

    assert told(completion) == WHOLE
    assert "".join(texts) == WORDS


async def test_two_readings_of_one_answer(dialect: ScriptDialect) -> None:
    """Through operators of reactivex, which take batches apart."""
    async with client_of(dialect, ANSWER) as (client, server):
        pieces: list[str] = []
        shared = client.chat_stream(REQUEST).pipe(rx_ops.share())
        shared.pipe(ops.content()).subscribe(pieces.append)
        completion = await shared.pipe(ops.accumulate())

    assert told(completion) == WHOLE
    assert len(server.requests) == 1


@pytest.mark.parametrize("room", [1, 3, 1000])
async def test_chunks_that_were_joined_on_the_way(dialect: ScriptDialect, room: int) -> None:
    """While the consumer stands still, what comes is joined into as few chunks as there is room for."""
    async with client_of(dialect, ANSWER) as (client, _):
        chunks = client.chat_stream(REQUEST).pipe(ops.buffer_with_backpressure(room, overflow="conflate"))
        joined: list[StreamChunk] = []
        async for chunk in chunks:
            joined.append(chunk)
            for _ in range(20):
                await asyncio.sleep(0)
    completion = await rxllm.from_async_iterable(lambda: each_of(joined)).pipe(ops.accumulate())

    assert told(completion) == WHOLE
    assert [part.text for part in completion.message.parts] in ([], [THOUGHTS, WORDS, *map(arguments_of, CALLS)])
    assert all(part.final for part in completion.message.parts)


async def each_of(chunks: Iterable[StreamChunk]) -> AsyncGenerator[StreamChunk]:
    for chunk in chunks:
        yield chunk


def arguments_of(call: tuple[str, str, Any]) -> str:
    return json.dumps(call[2])


# Kept and played again


@pytest.mark.parametrize("kind", ["chats.db", "chats.jsonl"])
async def test_what_was_kept_gives_the_same_answer(dialect: ScriptDialect, kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    sink = SQLiteSink(path) if kind.endswith("db") else JSONLinesSink(path)
    async with client_of(dialect, ANSWER) as (client, _):
        completion = await client.chat_stream(REQUEST).pipe(ops.tee_to(sink), ops.accumulate())
    replayed = await rxllm.from_recording(path).pipe(ops.accumulate(strict=True))

    assert replayed == completion
    assert (replayed.message.parts, replayed.message.origin) == (completion.message.parts, completion.message.origin)
    assert told(replayed) == WHOLE


async def test_what_was_kept_goes_back_as_the_answer_itself_would(dialect: ScriptDialect, tmp_path: Path) -> None:
    async with client_of(dialect, ANSWER, TEXT, TEXT) as (client, server):
        completion = await client.chat_stream(REQUEST).pipe(ops.tee_to(SQLiteSink(tmp_path / "c.db")), ops.accumulate())
        replayed = await rxllm.from_recording(tmp_path / "c.db").pipe(ops.accumulate())
        for answer in (completion, ChatCompletion.model_validate_json(replayed.model_dump_json())):
            results = [Message.tool("rain", tool_call_id=call.id) for call in answer.message.tool_calls]
            await client.chat(REQUEST, messages=[*REQUEST.messages, answer.message, *results])

    _, first, second = server.requests
    assert first.json == second.json
    assert THOUGHTS in first.body.decode()
    assert [call for call, _ in results_sent(dialect, first.json)] == ["call_paris", "call_tokyo"]


async def test_what_was_recorded_of_the_wire_gives_the_same_answer(dialect: ScriptDialect, tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    async with (
        ScriptedServer(ANSWER, dialect=dialect) as server,
        LLMClient(base_url=server.base_url, api_key="", dialect=dialect, record=path) as client,
    ):
        completion = await client.chat(REQUEST)
    read = await replay(path).pipe(ops.parse(dialect), ops.accumulate(strict=True))

    assert told(read) == told(completion) == WHOLE


# It is left, or cut


async def test_what_was_stopped(dialect: ScriptDialect) -> None:
    stop = asyncio.Event()
    answer = [script.role(), *script.words(WORDS), script.stall()]

    def look(chunk: StreamChunk) -> None:
        if chunk.text.endswith("."):
            stop.set()

    async with client_of(dialect, answer) as (client, server):
        completion = await client.chat_stream(REQUEST).pipe(
            rx_ops.do_action(look), ops.stop_when(stop), ops.accumulate()
        )
        await server.requests[0].peer_left.wait()

    assert (completion.content, completion.ending, completion.complete) == (WORDS, "stopped", False)


CUTS: dict[str, tuple[list[Any], type[Exception], str]] = {
    "the connection": ([script.cut()], StreamInterruptedError, "truncated"),
    "a reset": ([script.reset()], StreamInterruptedError, "truncated"),
    "the body": ([], TruncatedStreamError, "truncated"),
    "silence": ([script.stall()], ChunkTimeoutError, "timed_out"),
    "an error": ([script.error("overloaded", type="overloaded_error")], APIStreamError, "failed"),
}


@pytest.mark.parametrize("name", CUTS)
async def test_what_had_come_of_an_answer_that_was_cut(dialect: ScriptDialect, name: str) -> None:
    steps, kind, ending = CUTS[name]
    async with client_of(dialect, [script.role(), *script.words(WORDS), *PARIS[:4], *steps]) as (client, _):
        with pytest.raises(kind) as caught:
            await client.chat_stream(REQUEST).pipe(ops.timeout_per_chunk(0.2, first=60), ops.accumulate())

    partial = getattr(caught.value, "partial", None)
    assert isinstance(partial, ChatCompletion)
    assert (partial.content, partial.ending, partial.complete) == (WORDS, ending, False)
    assert told(partial)["calls"] == []
    assert [name for name, _ in told(partial)["cut"]] == ([] if dialect in WHOLE_CALLS else ["get_weather"])


async def test_a_cut_behind_any_step_is_never_taken_for_the_whole(dialect: ScriptDialect) -> None:
    steps = [*ANSWER]
    finish = next(
        index
        for index, step in enumerate(steps)
        if '"finish_reason":"tool_calls"' in json.dumps(getattr(step, "payload", {}), separators=(",", ":"))
    )
    cuts = [[*steps[:index], script.cut()] for index in range(1, finish + 1)]
    async with client_of(dialect, *cuts) as (client, _):
        for _ in cuts:
            with pytest.raises(StreamInterruptedError):
                await client.chat_stream(REQUEST).pipe(ops.accumulate())


def socket_of_a_small_window(address: Any) -> socket.socket:
    """A socket whose buffer does not grow: else the system may take all of an answer."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    return made


async def test_a_consumer_that_stands_still_stops_the_server(dialect: ScriptDialect) -> None:
    flood = script.flood(15_000_000, size=100_000)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=socket_of_a_small_window)) as session,
        client_of(dialect, flood, session=session) as (client, server),
    ):
        chunks = 0
        async for chunk in client.chat_stream(PLAIN):
            chunks += bool(chunk.text)
            if chunks == 1:
                await server.requests[0].writes_stopped()

    assert chunks == 150


# Another try


@pytest.mark.parametrize(
    "first",
    [BUSY, script.api_error(500, "I am lost"), [script.error("overloaded", type="overloaded_error")], [script.cut()]],
    ids=["429", "500", "error", "cut"],
)
async def test_it_is_tried_again(dialect: ScriptDialect, first: Script) -> None:
    async with client_of(dialect, first, ANSWER, retries=1) as (client, server):
        completion = await client.chat_stream(REQUEST).pipe(ops.accumulate())

    assert told(completion) == WHOLE
    assert len(server.requests) == 2


async def test_a_refusal_is_not_tried_again(dialect: ScriptDialect) -> None:
    refusal = script.api_error(400, "no such model")
    async with client_of(dialect, refusal, retries=2) as (client, server):
        with pytest.raises(APIStatusError, match="no such model"):
            await client.chat(REQUEST)

    assert len(server.requests) == 1


async def test_an_answer_begins_anew(dialect: ScriptDialect) -> None:
    cut = [script.role(), *script.words("In Rome"), script.cut()]
    async with client_of(dialect, cut, TEXT) as (client, _):
        completion = await client.chat_stream(PLAIN).pipe(
            ops.retry_with_backoff(2, initial=0.001, after_first="restart"), ops.accumulate()
        )

    assert (completion.content, completion.ending) == (TEXT, "completed")
    assert [attempt.ending for attempt in completion.attempts] == ["truncated"]


@pytest.mark.parametrize("other", DIALECTS)
async def test_another_server_of_any_dialect_answers_instead(dialect: ScriptDialect, other: ScriptDialect) -> None:
    cut = [script.role(), *script.words("In Rome"), *PARIS[:3], script.cut()]
    async with client_of(dialect, cut) as (first, _), client_of(other, ANSWER) as (second, _):
        completion = await rxllm.fallback(
            first.chat_stream(REQUEST), second.chat_stream(REQUEST), after_first="restart"
        ).pipe(ops.accumulate())

    assert told(completion) == WHOLE
    assert len(completion.attempts) == 1


@pytest.mark.parametrize("other", DIALECTS)
async def test_the_first_that_answers_wins(dialect: ScriptDialect, other: ScriptDialect) -> None:
    async with client_of(dialect, [script.stall()]) as (silent, server), client_of(other, ANSWER) as (quick, _):
        completion = await rxllm.hedge(silent.chat_stream(REQUEST), quick.chat_stream(REQUEST), delay=0.01).pipe(
            ops.accumulate()
        )
        await server.requests[0].peer_left.wait()

    assert told(completion) == WHOLE


async def test_two_answers_are_never_glued(dialect: ScriptDialect) -> None:
    async with client_of(dialect, TEXT, TEXT) as (client, _):
        with pytest.raises(MixedAnswersError):
            await client.chat_stream(PLAIN).pipe(rx_ops.concat(client.chat_stream(PLAIN)), ops.accumulate())


# Tools


def results_sent(dialect: ScriptDialect, body: Any) -> list[tuple[str, str]]:
    """The results of calls that the server was given, and the identifiers of their calls."""
    match dialect:
        case "anthropic":
            blocks = [
                block for message in body["messages"] if message["role"] == "user" for block in blocks_of(message)
            ]
            return [(each["tool_use_id"], text_of(each["content"])) for each in blocks if each["type"] == "tool_result"]
        case "openai-responses":
            items = [item for item in body["input"] if item.get("type") == "function_call_output"]
            return [(item["call_id"], text_of(item["output"])) for item in items]
        case "bedrock-converse":
            blocks = [block for message in body["messages"] for block in blocks_of(message) if "toolResult" in block]
            return [(each["toolUseId"], text_of(each["content"])) for each in (block["toolResult"] for block in blocks)]
        case "gemini":
            parts = [
                part["functionResponse"]
                for said in body["contents"]
                for part in said["parts"]
                if "functionResponse" in part
            ]
            return [(each.get("id", ""), str(*each["response"].values())) for each in parts]
        case _:
            messages = [message for message in body["messages"] if message["role"] == "tool"]
            return [(message.get("tool_call_id", ""), text_of(message["content"])) for message in messages]


def blocks_of(message: Any) -> list[Any]:
    return message["content"] if isinstance(message["content"], list) else []


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(each["text"] for each in content)


def weather(ran: list[str]) -> ToolRegistry:
    def get_weather(city: str) -> str:
        """The weather now."""
        ran.append(city)
        if city == "Tokyo":
            raise ValueError("no connection to Tokyo")
        return f"rain in {city}"

    return ToolRegistry([get_weather])


async def test_a_conversation_with_parallel_calls_and_a_tool_that_fails(dialect: ScriptDialect) -> None:
    ran: list[str] = []
    async with client_of(dialect, ANSWER, TEXT) as (client, server):
        events = await client.chat_with_tools(REQUEST, weather(ran), max_concurrency=1).pipe(rx_ops.to_list())

    completed = events[-1]
    assert isinstance(completed, rxllm.ChatCompleted)
    assert completed.completion.content == TEXT
    assert [message.role for message in completed.messages] == ["assistant", "tool", "tool", "assistant"]
    assert ran == ["Paris", "Tokyo"]
    (paris, rain), (tokyo, failure) = results_sent(dialect, server.requests[1].json)
    assert (paris, rain, tokyo) == ("call_paris", "rain in Paris", "call_tokyo")
    assert "no connection to Tokyo" in failure
    failed = {"anthropic": b'"is_error":true', "bedrock-converse": b'"status":"error"'}
    assert failed.get(dialect, b"") in server.requests[1].body
    reasoning = [event.text for event in events if isinstance(event, rxllm.ReasoningDelta)]
    assert "".join(reasoning) == THOUGHTS


@pytest.mark.parametrize("through", [None, ops.split_reasoning(), ops.timeout_per_chunk(60)], ids=["", "split", "time"])
async def test_thoughts_go_back_with_the_calls_that_they_led_to(
    dialect: ScriptDialect, through: rxllm.OperatorFunction[StreamChunk, StreamChunk] | None
) -> None:
    async with client_of(dialect, ANSWER, TEXT) as (client, server):
        completed = await client.chat_with_tools(REQUEST, weather([]), through=through)

    sent = server.requests[1].body.decode()
    assert sent.index(THOUGHTS) < sent.rindex("rain in Paris")
    assert isinstance(completed, rxllm.ChatCompleted)
    lost = [repair.before for repair in completed.completion.repairs if repair.kind == "lost-in-conversion"]
    assert (WORDS in sent, lost) == ((False, [["text"]]) if dialect in NO_TEXT_BESIDE_CALLS else (True, []))


SERVER_TOOLS: dict[str, list[dict[str, Any]]] = {
    "gemini": [
        {"toolCall": {"id": "tool_1", "toolType": "get_weather", "args": {"city": "Rome"}}},
        {"toolResponse": {"id": "tool_1", "toolType": "get_weather", "response": {"weather": "sun"}}},
    ],
    "anthropic": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "get_weather", "input": {"city": "Rome"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    ],
    "openai-responses": [
        {
            "type": "mcp_call",
            "id": "mcp_1",
            "server_label": "weather",
            "name": "get_weather",
            "arguments": '{"city": "Rome"}',
            "output": "sun",
        },
    ],
    "bedrock-converse": [
        {
            "toolUse": {
                "toolUseId": "srvtoolu_1",
                "name": "get_weather",
                "type": "server_tool_use",
                "input": {"city": "Rome"},
            }
        },
        {"toolResult": {"toolUseId": "srvtoolu_1", "type": "web_search", "content": [{"text": "sun"}]}},
    ],
}


@pytest.mark.parametrize("dialect", SERVER_TOOLS)
async def test_a_tool_of_the_server_beside_ours_never_reaches_ours(dialect: ScriptDialect) -> None:
    """Though it has the same name: its input is no call, and its blocks go back in their place."""
    blocks = SERVER_TOOLS[dialect]
    answer = script.answer(script.words(WORDS), [script.block(each) for each in blocks], PARIS)
    ran: list[str] = []
    async with client_of(dialect, answer, TEXT, *[answer] * 4) as (client, server):
        events = await client.chat_with_tools(REQUEST, weather(ran)).pipe(rx_ops.to_list())
        chunks = client.chat_stream(REQUEST)
        calls = await chunks.pipe(ops.accumulate_tool_calls(), rx_ops.to_list())
        eager = await chunks.pipe(ops.accumulate_tool_calls(eager=True), rx_ops.to_list())
        progress = await chunks.pipe(ops.tool_call_progress(), rx_ops.to_list())
        matches = await chunks.pipe(ops.json_path("city"), rx_ops.to_list())

    assert ran == ["Paris"]
    assert [event.call.function.parsed for event in events if isinstance(event, rxllm.ToolCallEvent)] == [CALLS[0][2]]
    assert [call.function.parsed for call in [*calls, *eager]] == [CALLS[0][2]] * 2
    assert {each.id for each in progress} == {"call_paris"}
    assert [match.value for match in matches if match.complete] == ["Paris"]
    items = items_sent(dialect, server.requests[1].json)
    assert [item for item in items if id_of(item) in ids_of(blocks)] == blocks


def items_sent(dialect: ScriptDialect, body: Any) -> list[Any]:
    """All blocks that the server was given, in their order."""
    match dialect:
        case "openai-responses":
            return [*body["input"]]
        case "gemini":
            return [part for said in body["contents"] for part in said["parts"]]
        case _:
            return [each for said in body["messages"] for each in blocks_of(said)]


def ids_of(blocks: Iterable[Any]) -> set[str]:
    return {id_of(block) for block in blocks}


def id_of(block: Any) -> Any:
    """The identifier in a block; of Bedrock's, which have one member, that is in it."""
    inner = next(iter(block.values())) if len(block) == 1 else block
    own: Any = cast("Any", inner) if isinstance(inner, dict) else block
    return own.get("id", own.get("tool_use_id", own.get("toolUseId")))


async def test_no_call_of_an_answer_that_was_cut_is_run(dialect: ScriptDialect) -> None:
    ran: list[str] = []
    cut = [script.role(), *PARIS, *TOKYO[:3], script.cut()]
    async with client_of(dialect, cut) as (client, _):
        with pytest.raises(StreamInterruptedError):
            await client.chat_with_tools(REQUEST, weather(ran))

    assert ran == []


@pytest.mark.parametrize("other", DIALECTS)
async def test_a_conversation_moves_to_another_provider(dialect: ScriptDialect, other: ScriptDialect) -> None:
    """Text, calls and results go along; the thoughts of one provider are nothing for another one."""
    ran: list[str] = []
    async with client_of(dialect, ANSWER, TEXT) as (client, _):
        *_, completed = await client.chat_with_tools(REQUEST, weather(ran)).pipe(rx_ops.to_list())
    assert isinstance(completed, rxllm.ChatCompleted)
    conversation = [*REQUEST.messages, *completed.messages, Message.user("And tomorrow?")]
    asked = REQUEST.model_copy(update={"messages": conversation})
    async with client_of(other, TEXT) as (client, server):
        answer = await client.chat(asked)

    assert answer.content == TEXT
    sent = server.requests[0]
    assert [text for _, text in results_sent(other, sent.json)][:1] == ["rain in Paris"]
    # Another server of chat completions may know what to do with reasoning: ``OpenAIChat(send_reasoning=…)``.
    assert other == dialect or THOUGHTS not in sent.body.decode()
    assert "And tomorrow?" in sent.body.decode()
