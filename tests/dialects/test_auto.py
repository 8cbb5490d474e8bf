"""The dialect is told by the first events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.dialects import StreamDecoder, WireItem, get_dialect, get_reader
from rxllm.dialects.openai_chat._openai_chat_decoder import OpenAIChatDecoder
from rxllm.exceptions import APIStreamError, DecodeError, LimitExceededError, RxllmError
from rxllm.models import StreamChunk
from rxllm.testing import ScriptedServer, script
from rxllm.wire import ServerSentEvent, framing_of
from tests.recorded import each_of, streams


def names() -> list[str]:
    """The dialects that there are."""
    with pytest.raises(ValueError, match="unknown dialect") as caught:
        get_dialect("none of them")
    return str(caught.value).rpartition(": ")[2].split(", ")


STREAMS = streams(*names())


Read = tuple[list[StreamChunk], tuple[type[RxllmError], str] | None, bool, bool]


def read(decoder: StreamDecoder, items: Iterable[WireItem]) -> Read:
    """All that a decoder says of a stream that ends in good order."""
    chunks: list[StreamChunk] = []
    error: tuple[type[RxllmError], str] | None = None
    try:
        for item in items:
            chunks.extend(decoder.decode(item))
            if decoder.done:
                break
        else:
            chunks.extend(decoder.close())
    except RxllmError as failure:
        error = type(failure), str(failure)
    return chunks, error, decoder.done, decoder.finished


def dumped(result: Read) -> Any:
    chunks, *rest = result
    return [(chunk.model_dump(), chunk.repairs, chunk.event) for chunk in chunks], *rest


def events(wire: bytes, size: int | None = None) -> list[WireItem]:
    """The events of a body, or its lines if it has those."""
    framing = framing_of("ndjson" if wire.startswith(b"{") else "sse")
    decoder = framing.decoder(max_event_bytes=2**24)
    size = size or len(wire)
    found = [item for start in range(0, len(wire), size) for item in framing.feed(decoder, wire[start : start + size])]
    return [*found, *framing.end(decoder, in_good_order=True)[0]]


@each_of(STREAMS, "dialect", "wire")
def test_recorded_streams_are_read_as_by_their_dialect(dialect: str, wire: bytes) -> None:
    items = events(wire)
    expected = dumped(read(get_dialect(dialect).decoder(), items))
    decoder = get_reader("auto").decoder()
    assert dumped(read(decoder, items)) == expected
    assert getattr(decoder, "dialect", None) == dialect
    assert dumped(read(get_reader("auto").decoder(), events(wire, 7))) == expected
    assert dumped(
        read(get_reader("auto").decoder(), [item.data if isinstance(item, ServerSentEvent) else item for item in items])
    )


@each_of(STREAMS, "dialect", "wire")
def test_a_recorded_stream_that_is_cut_is_read_as_by_its_dialect(dialect: str, wire: bytes) -> None:
    items = events(wire)[:24]
    for end in range(len(items)):
        own, found = get_dialect(dialect).decoder(), get_reader("auto").decoder()
        expected, result = dumped(read(own, items[:end])), dumped(read(found, items[:end]))
        if getattr(found, "dialect", None) == dialect:
            assert result == expected
        else:
            # So little came that it tells nothing: there is no answer.
            assert not result[0]
            assert result[1] is not None


@each_of(STREAMS[::9], "dialect", "wire")
async def test_the_stream_says_which_dialect_was_found(dialect: str, wire: bytes) -> None:
    for of in ("auto", dialect):
        chunks: list[StreamChunk] = []
        with contextlib.suppress(RxllmError):
            await rxllm.from_async_iterable(in_turn(events(wire))).pipe(ops.parse(of), rx_ops.do_action(chunks.append))
        assert {chunk.stream and chunk.stream.dialect for chunk in chunks} <= {dialect}


async def in_turn(items: Iterable[WireItem]) -> AsyncIterator[WireItem]:
    for item in items:
        yield item


# What waits

SAID = json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": "Hello"}}]})
ENDED = json.dumps({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
ANSWER: tuple[WireItem, ...] = (SAID, ENDED, "[DONE]")
TELLS_NOTHING: dict[str, WireItem] = {
    "ping": ServerSentEvent('{"type": "ping"}', "ping"),
    "unnamed ping": '{"type": "ping"}',
    "ping of no JSON": ServerSentEvent("now", "ping"),
    "comment": ": OPENROUTER PROCESSING",
    "nothing": "",
    "white space": "  ",
    "empty object": "{}",
    "word": "null",
    "quoted word": '"ok"',
    "gateway": ServerSentEvent('{"route": "b"}', "gateway"),
    "bytes": b"{}",
}


@pytest.mark.parametrize("event", TELLS_NOTHING.values(), ids=TELLS_NOTHING)
def test_what_is_part_of_no_answer_waits(event: WireItem) -> None:
    decoder = get_reader("auto").decoder()
    assert [*decoder.decode(event), *decoder.decode(event)] == []
    assert (getattr(decoder, "dialect", ""), decoder.done, decoder.finished) == ("auto", False, False)
    items = (event, event, *ANSWER)
    assert dumped(read(get_reader("auto").decoder(), items)) == dumped(
        read(get_dialect("openai-chat").decoder(), items)
    )


TELLS: dict[str, tuple[WireItem, type[RxllmError] | None]] = {
    "end": ("[DONE]", rxllm.EmptyStreamError),
    "error": ('{"error": {"message": "no", "type": "overloaded_error"}}', APIStreamError),
    "error of Anthropic": ('{"type": "error", "error": {"type": "overloaded_error"}}', APIStreamError),
    "error of Responses": ('{"type": "error", "code": "server_error", "message": "no"}', APIStreamError),
    "named error": (ServerSentEvent('{"message": "no"}', "error"), APIStreamError),
    "named error in words": (ServerSentEvent("no", "error"), APIStreamError),
    "named error without words": (ServerSentEvent("", "error"), APIStreamError),
    "message": ('{"message": "no"}', APIStreamError),
    "no JSON": ("<html>", DecodeError),
    "no JSON object": ("[1]", DecodeError),
    "cut JSON": ('{"choi', DecodeError),
    "other protocol": ('{"jsonrpc": "2.0"}', DecodeError),
    "too deep": ("[" * 5000 + "]" * 5000, RxllmError),
    "usage": ('{"object": "chat.completion.chunk", "usage": {"total_tokens": 1}, "choices": null}', None),
    "filters": ('{"choices": [], "prompt_filter_results": []}', None),
    "legacy": ('{"object": "text_completion", "id": "x"}', None),
    "doubled field name": ("data: " + SAID, None),
}


@pytest.mark.parametrize(("event", "error"), TELLS.values(), ids=TELLS)
@pytest.mark.parametrize("before", [(), ("{}",), (": wait", ServerSentEvent("", "ping"))])
def test_what_is_more_is_told_at_once(
    before: tuple[WireItem, ...], event: WireItem, error: type[RxllmError] | None
) -> None:
    """Also if nothing comes behind it, and the connection stays open."""
    results: list[Any] = []
    for reader in (get_reader("auto"), get_dialect("openai-chat")):
        decoder = reader.decoder()
        chunks: list[StreamChunk] = []
        failure: RxllmError | None = None
        try:
            for item in (*before, event):
                chunks.extend(decoder.decode(item))
        except RxllmError as caught:
            failure = caught
        assert isinstance(failure, error) if error else failure is None
        results.append(([chunk.model_dump() for chunk in chunks], str(failure), getattr(failure, "position", None)))
    assert results[0] == results[1]


def test_what_waits_is_bounded() -> None:
    decoder = get_reader("auto").decoder()
    count = 0
    while getattr(decoder, "dialect", "") == "auto":
        assert list(decoder.decode("{}")) == []
        count += 1
        assert count < 1000
    assert count == 256
    large = json.dumps({"note": "x" * 100_000})
    decoder = get_reader("auto").decoder()
    assert list(decoder.decode(large)) == []
    assert getattr(decoder, "dialect", "") == "openai-chat"


def test_too_much_in_the_first_event_is_refused_before_it_is_read() -> None:
    much = json.dumps({"note": [[]] * 300_000})
    for reader in (get_reader("auto"), get_dialect("openai-chat")):
        with pytest.raises(LimitExceededError, match="event 0 is too much"):
            list(reader.decoder().decode(much))
    with pytest.raises(LimitExceededError, match="the body is too much"):
        body_of(much)


@given(
    st.lists(st.sampled_from([*TELLS_NOTHING.values(), *(event for event, _ in TELLS.values()), *ANSWER]), max_size=6)
)
def test_any_mixture_is_read_as_by_the_chat_completions(items: list[WireItem]) -> None:
    """Where nothing is of another dialect that there is."""
    expected = dumped(read(get_dialect("openai-chat").decoder(), items))
    assert dumped(read(get_reader("auto").decoder(), items)) == expected


def test_a_stream_without_events_is_empty() -> None:
    _, error, _, _ = read(get_reader("auto").decoder(), ())
    assert error is not None
    assert error[0] is rxllm.EmptyStreamError


# Bodies

OTHERS: Mapping[str, str] = {
    "anthropic": json.dumps({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello"}]}),
    "openai-responses": json.dumps({"object": "response", "status": "completed", "output": []}),
    "cohere": json.dumps({"id": "m", "message": {"role": "assistant"}, "finish_reason": "COMPLETE"}),
    "gemini": json.dumps({"candidates": [{"content": {}, "finishReason": "STOP"}]}),
}


def body_of(body: str) -> list[StreamChunk]:
    decoder: Any = get_reader("auto").decoder()
    return list(decoder.decode_body(body))


def test_an_answer_that_is_no_stream_is_read() -> None:
    message = {"role": "assistant", "content": "Hello"}
    (chunk,) = body_of(json.dumps({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
    assert chunk.text == "Hello"
    assert body_of("<html>") == []
    assert body_of('{"error": "no"}') == []


@pytest.mark.parametrize(("dialect", "body"), OTHERS.items(), ids=OTHERS)
def test_an_answer_of_another_dialect_goes_to_its_decoder(dialect: str, body: str) -> None:
    decoder: Any = get_reader("auto").decoder()
    if dialect in names():
        list(decoder.decode_body(body))
        assert decoder.dialect == dialect
        return
    with pytest.raises(DecodeError, match="looks like"):
        list(decoder.decode_body(body))
    assert decoder.dialect == "openai-chat"


class Whole:
    """Reads no bodies."""

    name = "openai-chat"
    done = finished = False

    def decoder(self) -> Whole:
        return self

    def decode(self, event: WireItem, /) -> Iterable[StreamChunk]:
        del event
        return ()

    def close(self) -> Iterable[StreamChunk]:
        return ()


def test_a_dialect_that_reads_no_bodies_gives_nothing_of_one() -> None:
    decoder: Any = get_reader("auto").decoder()
    decoder.readers = {"openai-chat": Whole()}
    assert list(decoder.decode_body(OTHERS["gemini"])) == []


async def test_over_http_it_is_what_the_client_reads() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        source = rxllm.from_sse(server.url, json={})
        answer = await source.pipe(ops.parse("auto"), ops.accumulate())
        first = await source.pipe(ops.parse("auto"), rx_ops.first())
    assert answer.content == "Hello"
    assert first.begins
    assert first.stream is not None
    assert first.stream.dialect == "openai-chat"


async def test_an_error_in_the_place_of_the_first_event_ends_a_connection_that_stays_open() -> None:
    async with ScriptedServer([script.error("no"), script.stall()]) as server, asyncio.timeout(20):
        with pytest.raises(APIStreamError, match="no"):
            await rxllm.from_sse(server.url, json={}).pipe(ops.parse("auto"))
        await server.wait_disconnected()


async def test_a_body_over_http() -> None:
    whole = json.dumps({"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]})
    page = script.status(200, "<p>no</p>")
    async with ScriptedServer(script.status(200, whole), page) as server:
        answer = await rxllm.from_sse(server.url, json={}).pipe(ops.parse("auto"), ops.accumulate())
        assert answer.content == "Hello"
        with pytest.raises(rxllm.APIResponseError):
            await rxllm.from_sse(server.url, json={}).pipe(ops.parse("auto"))


# By name


def test_a_client_has_to_be_told_its_dialect() -> None:
    with pytest.raises(
        ValueError, match="'auto' recognizes a dialect by its answer: to send a request, name the dialect"
    ):
        rxllm.LLMClient(dialect="auto")
    with pytest.raises(ValueError, match="'auto' recognizes a dialect by its answer"):
        get_dialect("auto")


def test_what_is_no_dialect_is_refused_with_what_to_write() -> None:
    for look_up in (get_dialect, get_reader):
        with pytest.raises(ValueError, match="unknown dialect 'no'; there are: openai-chat"):
            look_up("no")
        for wrong in (5, object(), rxllm.dialects.OpenAIChat):
            with pytest.raises(
                TypeError, match="a dialect must be a name, such as 'openai-chat', or a dialect, such as OpenAIChat"
            ):
                look_up(wrong)  # type: ignore[arg-type]
        assert look_up("openai-chat").name == "openai-chat"
    assert isinstance(get_reader(Whole()).decoder(), Whole)
    assert isinstance(get_dialect("openai-chat").decoder(), OpenAIChatDecoder)
    assert get_reader("auto").name == "auto"
