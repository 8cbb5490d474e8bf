"""What leading clients get wrong, over a real connection and through the whole pipeline.

Each payload is what servers were seen to send: the catalogue of quirks numbers them. ``accumulate``,
``accumulate_snapshots``, ``accumulate_tool_calls`` and ``StreamAccumulator`` have to say the same of each.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import APIResponseError, APIStreamError, DecodeError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion, ToolCall
from rxllm.testing import ScriptedServer, script

Seen = list[tuple[str, str, str]]


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def delta(finish_reason: str | None = None, index: int = 0, **fields: Any) -> bytes:
    return event({"choices": [{"index": index, "delta": fields, "finish_reason": finish_reason}]})


def calls(*fragments: dict[str, Any]) -> bytes:
    return delta(tool_calls=list(fragments))


def tc(arguments: Any = None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**fields, "function": function}


DONE = b"data: [DONE]\n\n"
STOP = delta("stop") + DONE
CALLED = delta("tool_calls") + DONE


async def answers(body: bytes | script.Answer) -> list[ChatCompletion]:
    """The completion by every fold there is, each over a connection of its own, written in small pieces."""
    answer = script.Answer([body], fragment=7) if isinstance(body, bytes) else body
    async with ScriptedServer(answer, answer, answer) as server:

        def chunks() -> reactivex.Observable[rxllm.StreamChunk]:
            return rxllm.from_sse(server.url).pipe(ops.parse())

        accumulator = rxllm.StreamAccumulator()
        await chunks().pipe(rx_ops.do_action(accumulator.add))
        return [
            await chunks().pipe(ops.accumulate()),
            await chunks().pipe(ops.accumulate_snapshots()),
            accumulator.completion(ended=True),
        ]


async def emitted(body: bytes, *, eager: bool = False) -> list[ToolCall]:
    async with ScriptedServer(body) as server:
        pipeline = rxllm.from_sse(server.url).pipe(
            ops.parse(), ops.accumulate_tool_calls(eager=eager), rx_ops.to_list()
        )
        return await pipeline


async def failure(body: bytes | script.Answer) -> RxllmError:
    async with ScriptedServer(body) as server:
        with pytest.raises(RxllmError) as caught:
            await rxllm.from_sse(server.url).pipe(ops.parse(), ops.accumulate())
    return caught.value


MADE_UP = "made up"


def seen(tool_calls: list[ToolCall]) -> Seen:
    return [
        (call.id if len(call.id) == 1 else MADE_UP, call.function.name, call.function.arguments) for call in tool_calls
    ]


TWO: Seen = [("a", "w", '{"c":1}'), ("b", "w", '{"c":2}')]

PLACEHOLDERS: list[Any] = ["{}", {}, "null"]

ROWS: dict[str, tuple[bytes, Seen]] = {
    "1 no index": (calls(tc('{"c":1}', "w", id="a")) + calls(tc('{"c":2}', "w", id="b")), TWO),
    "2 index reused with a new id": (
        calls(tc('{"c":1}', "w", index=0, id="a")) + calls(tc('{"c":2}', "w", index=0, id="b")),
        TWO,
    ),
    "3 index reused without ids": (
        calls(tc('{"c":1}', "w", index=0)) + calls(tc('{"c":2}', "w", index=0)),
        [(MADE_UP, "w", '{"c":1}'), (MADE_UP, "w", '{"c":2}')],
    ),
    "4 id and name repeated": (
        b"".join(calls(tc(piece, "w", index=0, id="a")) for piece in ('{"c"', ":", "1}")),
        TWO[:1],
    ),
    "6 arguments as an object": (
        calls(tc({"city": "Paris"}, "w", index=0, id="a")),
        [("a", "w", '{"city":"Paris"}')],
    ),
    "6 arguments null": (
        calls({"index": 0, "id": "a", "function": {"name": "w", "arguments": None}}),
        [("a", "w", "{}")],
    ),
    "6 arguments never": (calls(tc(name="w", index=0, id="a")), [("a", "w", "{}")]),
    "7 reversed indexes": (
        calls(tc('{"c":2}', "w", index=1, id="b")) + calls(tc('{"c":1}', "w", index=0, id="a")),
        TWO,
    ),
    "7 starting at 1": (calls(tc('{"c":1}', "w", index=1, id="a")), TWO[:1]),
    "8 the same index twice in one chunk": (
        calls(tc("", "w", index=0, id="a"), tc('{"c"', index=0)) + calls(tc(":1}", index=0)),
        TWO[:1],
    ),
    **{
        f"15 placeholder {placeholder}": (
            calls(tc(placeholder, "w", index=0, id="a")) + calls(tc('{"c"', index=0)) + calls(tc(":1}", index=0)),
            TWO[:1],
        )
        for placeholder in PLACEHOLDERS
    },
    **{
        f"16 again {again}": (
            calls(tc('{"c"', "w", index=0, id="a"))
            + calls(tc(":1}", index=0))
            + calls(tc(again, "w", index=0, id="a")),
            TWO[:1],
        )
        for again in ('{"c":1}', '{ "c": 1 }', {"c": 1})
    },
    "17 null": (calls(tc("null", "w", index=0, id="a")), [("a", "w", "{}")]),
    "18 an id for each piece": (
        b"".join(
            calls(tc(piece, "w", index=0, id=call_id))
            for call_id, piece in zip("axy", ("{", '"c":', "1}"), strict=True)
        ),
        TWO[:1],
    ),
    "19 one id for two calls": (
        calls(tc('{"c":1}', "w", index=0, id="a")) + calls(tc('{"c":2}', "w", index=1, id="a")),
        [("a", "w", '{"c":1}'), (MADE_UP, "w", '{"c":2}')],
    ),
    "encoded twice": (
        calls(tc('"{\\"c', "w", index=0, id="a")) + calls(tc('\\":1}"', index=0)),
        TWO[:1],
    ),
}


@pytest.mark.parametrize("row", ROWS)
async def test_tool_calls(row: str) -> None:
    body, expected = ROWS[row]
    for completion in await answers(body + CALLED):
        assert completion.complete
        assert seen(completion.message.tool_calls) == expected
        assert completion.choices[0].incomplete_tool_calls == []
    assert seen(await emitted(body + CALLED)) == expected
    assert sorted(seen(await emitted(body + CALLED, eager=True))) == sorted(expected)


@pytest.mark.parametrize("row", ROWS)
async def test_tool_calls_of_a_stream_that_is_cut_are_incomplete(row: str) -> None:
    error = await failure(ROWS[row][0])
    assert isinstance(error, TruncatedStreamError)
    assert isinstance(error.partial, ChatCompletion)
    assert error.partial.message.tool_calls == []
    incomplete: list[object] = [*error.partial.choices[0].incomplete_tool_calls]
    assert incomplete
    assert not any(isinstance(call, ToolCall) for call in incomplete)


def usage(**fields: Any) -> bytes:
    return event({**fields, "usage": {"completion_tokens": 5}})


@pytest.mark.parametrize(
    "body",
    [
        delta("stop", content="a") + usage(choices=[]) + DONE,
        delta("stop", content="a") + usage(choices=None) + DONE,
        event({"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {"completion_tokens": 4}})
        + usage(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        + DONE,
        delta("stop", content="a") + usage(choices=[]) + event({"choices": [], "usage": None}) + DONE,
    ],
    ids=["no choices", "choices null", "cumulative", "then null"],
)
async def test_row_21_usage_is_the_last_real_one(body: bytes) -> None:
    for completion in await answers(body):
        assert completion.content == "a"
        assert completion.usage is not None
        assert completion.usage.completion_tokens == 5


async def test_row_24_choices_are_kept_apart() -> None:
    body = b"".join(delta(index=index, content=text) for index, text in ((0, "a"), (1, "x"), (0, "b"), (1, "y")))
    for completion in await answers(body + delta("stop", 0) + delta("length", 1) + DONE):
        assert [(choice.message.content, choice.finish_reason) for choice in completion.choices] == [
            ("ab", "stop"),
            ("xy", "length"),
        ]


async def test_row_30_an_end_in_the_middle_of_a_call_is_truncation() -> None:
    error = await failure(delta(content="Let me see.") + calls(tc('{"c":', "w", index=0, id="a")))
    assert isinstance(error, TruncatedStreamError)
    assert error.unfinished == (0,)
    assert isinstance(error.partial, ChatCompletion)
    assert error.partial.content == "Let me see."
    assert not error.partial.complete
    (call,) = error.partial.choices[0].incomplete_tool_calls
    assert (call.id, call.name, call.arguments) == ("a", "w", '{"c":')


async def test_row_33_a_last_event_without_its_blank_line_does_not_count() -> None:
    error = await failure(delta(content="a") + delta("stop")[:-2])
    assert isinstance(error, TruncatedStreamError)
    for completion in await answers(delta("stop", content="a") + DONE[:-1]):
        assert completion.content == "a"


async def test_row_34_the_end_marker_stands_for_a_missing_finish_reason() -> None:
    body = delta(content="a") + calls(tc('{"c":1}', "w", index=0, id="a")) + DONE
    for completion in await answers(body):
        assert (completion.complete, completion.ending) == (True, "unknown")
        assert seen(completion.message.tool_calls) == TWO[:1]
        assert [(repair.kind, repair.weight) for repair in completion.repairs] == [("finish-reason-missing", "meaning")]
    with pytest.raises(TruncatedStreamError, match="no finish_reason"):
        await emitted(body)


async def test_row_41_an_event_named_error_is_one() -> None:
    error = await failure(delta(content="a") + b'event: error\ndata: {"message":"x"}\n\n')
    assert isinstance(error, APIStreamError)
    assert str(error) == "x"
    assert isinstance(error.partial, ChatCompletion)
    assert error.partial.content == "a"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b'{"error":{"message":"no such model"}}'), ("text/html", b"<html>a proxy</html>")],
)
async def test_row_43_success_that_is_no_event_stream_says_what_came(content_type: str, body: bytes) -> None:
    error = await failure(script.Answer([body], content_type=content_type, framing="length"))
    assert isinstance(error, APIResponseError)
    assert (error.status, error.content_type, error.body) == (200, content_type, body.decode())


async def test_row_44_malformed_json_says_where_and_what() -> None:
    error = await failure(delta(content="a") + b'data: {"choices": [\n\n' + STOP)
    assert isinstance(error, DecodeError)
    assert (error.position, error.text) == (1, '{"choices": [')
    assert isinstance(error.partial, ChatCompletion)
    assert error.partial.content == "a"


async def test_row_51_what_has_no_data_is_no_event() -> None:
    for completion in await answers(b"retry: 3000\n\n" + delta(content="a") + b"id: 7\n: comment\n\n" + STOP):
        assert completion.content == "a"


async def test_row_52_a_byte_order_mark_is_skipped() -> None:
    for completion in await answers(b"\xef\xbb\xbf" + delta(content="a") + STOP):
        assert completion.content == "a"


async def test_row_60_who_leaves_is_seen_to_leave() -> None:
    async with ScriptedServer(script.Answer([delta(content="a"), script.stall()])) as server:
        async for chunk in rxllm.iterate(rxllm.from_sse(server.url).pipe(ops.parse())):
            assert chunk.choices[0].delta.content == "a"
            break
        await server.requests[0].peer_left.wait()
        assert not server.requests[0].finished.is_set()
