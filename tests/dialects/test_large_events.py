"""One event costs a bounded amount, whatever is in it, and large ones that are sound are read."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence

import pytest

from rxllm.dialects import OpenAIChat
from rxllm.exceptions import LimitExceededError
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import StreamChunk
from rxllm.wire import ServerSentEvent

TEXT = '{"choices":[{"index":0,"delta":{"content":"Hi"}}]}'


def decoded(*events: str | bytes | ServerSentEvent) -> list[StreamChunk]:
    decoder = OpenAIChat().decoder()
    return [chunk for event in events for chunk in decoder.decode(event)]


def many(unit: str, count: int) -> str:
    return ",".join([unit] * count)


def listed(unit: str, count: int) -> str:
    return f"[{many(unit, count)}]"


def different_fields(count: int) -> str:
    return "{" + ",".join([f'"{number:x}":0' for number in range(count)]) + "}"


def with_choice(*members: str) -> str:
    return '{"choices":[{"index":0,' + ",".join(members) + "}]}"


def with_delta(*members: str) -> str:
    return with_choice('"delta":{' + ",".join(members) + "}")


def with_field(name: str, value: str) -> str:
    return f'{{"choices":[],"{name}":{value}}}'


FIELD = '"a":0'
EMPTY = '""'

TOO_MUCH = {
    "choices": f'{{"choices":{listed("{}", 1_000_000)}}}',
    "open lists": f'{{"choices":{"[" * 4_000_000}',
    "open objects": '{"a":' * 1_000_000,
    "lists that nobody declared": with_field("a", listed("[]", 1_000_000)),
    "lists in a list": with_field("citations", listed("[]", 1_000_000)),
    "objects in a list": with_field("citations", listed("{}", 1_000_000)),
    "nesting, deep and wide": with_field("citations", listed("[" * 190 + "]" * 190, 2_000)),
    "fields": f"{{{many(FIELD, 1_000_000)}}}",
    "different fields": different_fields(300_000),
    "fields of usage": with_field("usage", f"{{{many(FIELD, 1_000_000)}}}"),
    "numbers": with_choice(f'"token_ids":{listed("0", 1_000_000)}'),
    "strings": with_field("citations", listed(EMPTY, 1_000_000)),
    "calls": with_delta(f'"tool_calls":{listed("{}", 1_000_000)}'),
    "parts of content": with_delta('"content":' + listed('{"text":"a"}', 300_000)),
    "parts of reasoning": with_delta(f'"reasoning":{listed("[]", 1_000_000)}'),
    "an error": f'{{"error":{listed("[]", 1_000_000)}}}',
    "no object": listed("[]", 1_000_000),
    "half a character": '{"id":"\\ud83d","choices":[],"citations":' + listed("[]", 1_000_000) + "}",
}


@pytest.mark.parametrize("event", TOO_MUCH.values(), ids=TOO_MUCH)
@pytest.mark.parametrize("named", [False, True])
def test_an_event_with_too_much_in_it_is_refused(event: str, *, named: bool) -> None:
    with pytest.raises(LimitExceededError, match=r"^event 1 is too much: JSON with more than ") as caught:
        decoded(TEXT, ServerSentEvent(event, "message", "1") if named else event)

    assert len(str(caught.value)) < 3 * EXCERPT_LENGTH
    assert caught.value.limit.startswith("max_")
    assert str(caught.value.maximum) in str(caught.value)


@pytest.mark.parametrize("name", ["error", "ping", "status"])
def test_so_is_one_with_a_name_of_its_own(name: str) -> None:
    with pytest.raises(LimitExceededError, match=r"^event 1 is too much"):
        decoded(TEXT, ServerSentEvent(TOO_MUCH["an error"], name))


@pytest.mark.parametrize(
    ("event", "limit"),
    [
        # Few enough values, but each choice and each piece of a call is handled by itself.
        ('{"choices":' + listed('{"index":0,"delta":{}}', 6_000) + "}", "max_pieces"),
        (with_delta('"tool_calls":' + listed('{"index":0,"id":"a"}', 6_000)), "max_pieces"),
        ('{"choices":' + listed('{"delta":{"tool_calls":' + listed("{}", 100) + "}}", 300) + "}", "max_pieces"),
        ('{"choices":' + listed('{"index":"0"}', 6_000) + "}", "max_put_right"),
        (with_delta('"tool_calls":' + listed('{"index":"0"}', 6_000)), "max_put_right"),
        (different_fields(20_000), "max_undeclared"),
        (with_choice(f'"delta":{different_fields(20_000)}'), "max_undeclared"),
        (with_field("usage", different_fields(20_000)), "max_undeclared"),
        ('{"id":1,"usage":' + different_fields(20_000) + "}", "max_undeclared"),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_handled_piece_by_piece_is_less(event: str, limit: str) -> None:
    with pytest.raises(LimitExceededError, match=r"^event 1 is too much") as caught:
        decoded(TEXT, event)

    assert caught.value.limit == limit


def test_a_whole_answer_with_too_much_in_it_is_refused() -> None:
    with pytest.raises(LimitExceededError, match=r"^the body is too much: JSON with more than"):
        list(OpenAIChat().decoder().decode_body(TOO_MUCH["choices"]))


def logprobs(tokens: int) -> str:
    top = [{"token": " the", "logprob": -0.0123, "bytes": [32, 116, 104, 101]}] * 20
    return json.dumps({"content": [{**top[0], "top_logprobs": top}] * tokens}, separators=(",", ":"))


JSON = '[{"a": 1, "b": []}]' * 150_000
SOUND = {
    "text": with_delta(f'"content":"{"x" * 3_000_000}"'),
    "text that looks like JSON": with_delta(f'"content":{json.dumps(JSON)}'),
    "lines": with_delta('"content":' + json.dumps("a\n" * 1_000_000)),
    "an image": with_delta('"images":[{"image_url":{"url":"data:image/png;base64,' + "iVBORw0K" * 400_000 + '"}}]'),
    "arguments": with_delta(f'"tool_calls":[{{"index":0,"id":"a","function":{{"arguments":{json.dumps(JSON)}}}}}]'),
    "log probabilities": with_choice('"delta":{"content":"a"}', f'"logprobs":{logprobs(2_000)}'),
    "the same and a field that nobody declared": with_choice(
        '"mood":1', '"delta":{"content":"a"}', f'"logprobs":{logprobs(2_000)}'
    ),
    "numbers of tokens": with_choice('"delta":{"content":"a"}', f'"token_ids":{listed("12345", 400_000)}'),
}


@pytest.mark.parametrize("event", SOUND.values(), ids=SOUND)
def test_a_large_event_that_is_sound_is_read(event: str) -> None:
    first, second, last = decoded(TEXT, event, TEXT)

    assert first.text == last.text == "Hi"
    assert second.model_dump() == StreamChunk.from_wire(event).model_dump()
    assert second.repairs == ()


def test_so_is_a_whole_answer() -> None:
    members = '"message":{"content":"Hi"}', '"finish_reason":"stop"', f'"logprobs":{logprobs(2_000)}'
    (chunk,) = OpenAIChat().decoder().decode_body(with_choice(*members))

    assert chunk.text == "Hi"
    assert chunk.choices[0].logprobs is not None


@pytest.mark.parametrize(
    "event", [SOUND["text"], TOO_MUCH["choices"], SOUND["text"][:-3]], ids=["sound", "much", "cut"]
)
@pytest.mark.parametrize("enabled", [True, False])
def test_collecting_garbage_goes_on_as_before(event: str, *, enabled: bool) -> None:
    if not enabled:
        gc.disable()
    try:
        _attempt(event)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def _attempt(event: str) -> Sequence[StreamChunk] | None:
    try:
        return decoded(event)
    except ValueError:
        return None
