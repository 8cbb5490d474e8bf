"""``frames``: a pipeline as bytes, for whatever carries them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import reactivex

from rxllm import operators as ops
from rxllm import serving
from rxllm.models import StreamChunk, TextDelta, marked
from rxllm.testing import Marbles, assert_marbles, assert_subscriptions, check_operator, text_chunk


def end(kind: str, **more: Any) -> bytes:
    said = json.dumps({"type": "end", "ending": kind, **more}, separators=(",", ":"))
    return f"id: end\nevent: end\ndata: {said}\n\n".encode()


def text(value: str) -> bytes:
    said = json.dumps({"round": 1, "type": "text", "text": value}, separators=(",", ":"), ensure_ascii=False)
    return f"data: {said}\n\n".encode()


LETTERS: dict[str, Any] = {"a": "Hel", "b": text_chunk("lo"), "c": TextDelta(round=1, text="!"), "d": object()}
FRAMES = {
    "a": text("Hel"),
    "b": text("lo"),
    "c": text("!"),
    "z": end("completed"),
    "s": end("stopped"),
    "e": end("failed", error={"code": "internal_error", "message": "Something went wrong here."}),
}


@pytest.mark.parametrize(
    ("source", "expected", "left"),
    [
        ("-a-b-c-|", "-a-b-c-(z|)", "^------!"),
        ("-|", "-(z|)", "^!"),
        ("--#", "--(e|)", "^-!"),
        ("-a-b#", "-a-b(e|)", "^---!"),
        ("-a-d-c-|", "-a-(e|)", "^--!"),
        ("-d-|", "-(e|)", "^!"),
        ("-(abc)-|", "-(abc)-(z|)", "^------!"),
        ("-(abc|)", "-(abcz|)", "^!"),
        ("-a-------", "-a-------", "^--------!"),
    ],
)
def test_marbles(source: str, expected: str, left: str) -> None:
    marbles = Marbles()
    pipeline = marbles.cold(source, LETTERS, error=LookupError("canary"))

    recording = marbles.run(serving.frames(pipeline), subscribed="^" + "-" * 8 + "!")

    assert_marbles(recording, expected, FRAMES)
    assert_subscriptions(pipeline, left)


def test_dispose_leaves_the_pipeline() -> None:
    marbles = Marbles()
    pipeline = marbles.cold("-a-b-c-|", LETTERS)

    assert_marbles(marbles.run(serving.frames(pipeline), subscribed="^--!"), "-a-", FRAMES)
    assert_subscriptions(pipeline, "^--!")


def test_a_stop_is_told_as_one() -> None:
    marbles = Marbles()
    pipeline = marbles.cold("-a-b-c-|", LETTERS).pipe(ops.stop_when(marbles.cold("----x", {})))

    assert_marbles(marbles.run(serving.frames(pipeline)), "-a-b(s|)", FRAMES)


def test_it_keeps_the_laws_of_operators() -> None:
    check_operator(
        lambda: serving.frames, [*"abc", text_chunk("lo"), TextDelta(round=1, text="!")], replaces_errors=True
    )


@pytest.mark.parametrize("pipeline", [["a list"], None])
def test_what_is_no_observable(pipeline: Any) -> None:
    with pytest.raises(TypeError, match="pipeline"):
        serving.frames(pipeline)


def test_a_protocol_that_is_none() -> None:
    with pytest.raises(ValueError, match="did you mean 'events'"):
        serving.frames(reactivex.empty(), protocol="event")
    with pytest.raises(ValueError, match="must be one of events"):
        serving.frames(reactivex.empty(), protocol="xyz")


async def told(*items: Any) -> list[Any]:
    """What items become, without the end."""
    frames = [each async for each in serving.frames(reactivex.of(*items))]
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]


CHUNKS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({"delta": {"role": "assistant"}}, []),
    ({"delta": {"content": "é\u2028\n\x00"}}, [{"type": "text", "text": "é\u2028\n\x00"}]),
    ({"delta": {"reasoning_content": "hm"}}, [{"type": "reasoning", "text": "hm"}]),
    (
        {"delta": {"content": "a", "reasoning": "b"}},
        [{"type": "reasoning", "text": "b"}, {"type": "text", "text": "a"}],
    ),
    ({"delta": {"refusal": "no"}}, [{"type": "refusal", "text": "no"}]),
    (
        {"delta": {"content": "a"}, "finish_reason": "stop"},
        [{"type": "text", "text": "a"}, {"type": "finish", "finish_reason": "stop"}],
    ),
    ({"index": 1, "delta": {"content": "a"}}, []),
    (
        {"delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}},
        [{"type": "tool_input", "index": 0, "id": "c", "name": "f", "text": "{"}],
    ),
]


@pytest.mark.parametrize(("choice", "events"), CHUNKS)
async def test_events_of_a_chunk(choice: dict[str, Any], events: list[dict[str, Any]]) -> None:
    item = StreamChunk.model_validate({"choices": [{"index": 0, **choice}]})
    expected = [{"round": 1, **event} for event in events]

    assert await told(item) == (expected if len(events) < 2 else [{"type": "several", "events": expected}])


async def test_events_of_usage() -> None:
    item = StreamChunk.model_validate({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    assert await told(item) == [{"round": 1, "type": "usage", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}]


async def test_events_that_a_restart_takes_back() -> None:
    item = marked(text_chunk("anew"), restarts=True)

    assert [event["type"] for event in (await told("a", item))[1]["events"]] == ["restarted", "text"]
