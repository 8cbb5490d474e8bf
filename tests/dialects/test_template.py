"""Templates: a text that need not be parsed gives what parsing it would have given.

A decoder parses bytes in full, always; so a second one, which gets the same events as bytes, says what is right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from rxllm.dialects import OpenAIChat, StreamDecoder, WireItem
from rxllm.dialects._template import CHUNKS_BEFORE, REVIEW, WHILE, Templates
from rxllm.exceptions import APIStreamError, RxllmError, TruncatedStreamError
from rxllm.models import Repair, StreamChunk
from rxllm.models._json import is_list, is_object
from rxllm.models._unread import unread
from rxllm.wire import ServerSentEvent, SSEDecoder

HEAD = '"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"m"'
PLAIN = "{" + HEAD + ',"choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}'
BESIDE = PLAIN[:-1] + ',"obfuscation":%s}'

# A short answer is parsed: nothing is learnt from so many.
BEFORE = ['{"choices":[{"index":0,"delta":{"content":"begin"}}]}'] * CHUNKS_BEFORE

SHAPES = (
    PLAIN,
    BESIDE,
    '{"choices":[{"delta":{"content":%s}}]}',
    '{"obfuscation":%s,"choices":[{"index":0,"delta":{"content":%s}}]}',
    '{ "choices" : [ { "index" : 0 , "delta" : { "content" : %s } } ] } ',
    '{"choices":[{"index":1,"delta":{"content":%s}}]}',
    '{"choices":[{"index":0,"delta":{"role":"assistant","content":%s,"tool_calls":null,"refusal":null}}]}',
    '{"choices":[{"index":0,"delta":{"reasoning_content":%s}}]}',
    '{"choices":[{"index":0,"delta":{"content":null,"reasoning":%s,"reasoning_details":[{"text":"x"}]}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s,"reasoning":%s}}]}',
    '{"choices":[{"index":0,"delta":{"refusal":%s}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":%s}}]}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":%s,"function":{"arguments":%s}}]}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":%s}}]}}]}',
    '{"choices":[{"index":0,"delta":{"function_call":{"arguments":%s}}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"logprobs":{"content":[{"token":%s,"logprob":-1}]}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"logprobs":{"content":[{"token":"x","logprob":-1}]}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"content_filter_results":{"hate":{"filtered":false}}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"token_ids":[1]}],"prompt_filter_results":[{"index":0}]}',
    '{"choices":[{"index":0,"delta":{"content":%s}},{"index":1,"delta":{"content":%s}}]}',
    '{"choices":[{"delta":{"content":%s}},{"delta":{"content":"b"}}]}',
    '{"id":%s,"choices":[{"index":0,"delta":{"content":%s}}]}',
    '{"created":%s,"choices":[{"index":0,"delta":{"content":"x"}}]}',
    '{"error":%s,"choices":[{"index":0,"delta":{"content":%s}}]}',
    '{"type":%s,"choices":[{"index":0,"delta":{"content":%s}}]}',
    '{"object":%s,"choices":[{"index":0,"delta":{"content":%s}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"error":%s}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"finish_reason":%s}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"finish_reason":""}]}',
    '{"choices":[{"index":0,"delta":{"role":%s,"content":%s}}]}',
    '{"choices":[{"index":0,"delta":{"content":"lost","content":%s}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s,"content":"kept"}}]}',
    '{"choices":[],"choices":[{"index":0,"delta":{"content":%s}}],"pad":%s,"pad":"kept"}',
    '{"choices":[{"index":0,"delta":{"content":%s}}],%s:"value"}',
    '{"choices":[{"index":0,"delta":{%s:"value"}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s},"message":{"content":"whole"}}]}',
    '{"choices":[{"index":0,"message":{"content":%s}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    '{"choices":[{"index":0,"delta":{"content":%s}}],"usage":null,"x_groq":{"usage":{"total_tokens":1}}}',
    '{"choices":[{"index":0,"delta":{"content":%s},"usage":{"total_tokens":1}}]}',
    '{"choices":[{"index":0,"delta":{"content":%s}}],"nested":{"a":[1,{"b":null}],"x":%s},"nan":NaN}',
    '{"choices":[{"index":0,"delta":{"content":%s}}],"usage":{"model":%s}}',
)

# What is in a hole: nearly always a string, in whatever spelling.
_texts = st.text(st.characters(codec="utf-8"), max_size=6)
_halves = st.sampled_from([r'"\ud83d"', r'"\ude00"', r'"\ude00x"', r'"x\ud83d"', r'"\ud83d\ude00"', r'"\uD83D"'])
_spellings = st.sampled_from(
    [
        *(r'"\u0000"', r'"\u0041\/\b\f\n\r\t\\\""', '"\x7f\u2028"', '"a\\"b"', '"\\\\"', '""', '" "', '"stop"'),
        *('"\x00"', '"\n"', r'"\x"', r'"\u12"', r'"\u+123"', '"open', '"a" "b"', '"a","b":"c"', r'"\ud83d\u0041"'),
        *("null", "1", "true", "[]", "{}", '["a"]', '"error"', '"assistant"', '"12"', '""error""', "'a'"),
    ]
)
LITERALS = st.one_of(_texts.map(json.dumps), _texts.map(lambda text: json.dumps(text, ensure_ascii=False)))
HOLES = st.one_of(LITERALS, LITERALS, LITERALS, _halves, _spellings)
ENDS = (
    '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}',
    '{"choices":[],"usage":{"total_tokens":3}}',
    '{"error":{"message":"overloaded"}}',
    ": ping",
    "[DONE]",
    '{"type":"ping"}',
    "{",
)


@st.composite
def runs(draw: st.DrawFn) -> list[str]:
    """Several events of one shape, as they follow each other in a stream."""
    shape = draw(st.sampled_from(SHAPES))
    count = shape.count("%s")
    events = draw(st.lists(st.tuples(*[HOLES] * count), min_size=1, max_size=6))
    return [shape % event for event in events]


STREAMS = st.lists(st.one_of(runs(), runs(), st.sampled_from(ENDS).map(lambda end: [end])), max_size=5).map(
    lambda parts: [event for part in parts for event in part]
)


def described(value: Any) -> Any:
    """All there is to a value: types, order of the fields, and which of them were set."""
    if isinstance(value, BaseModel):
        fields = [(name, described(each)) for name, each in vars(value).items()]
        extra = [(name, described(each)) for name, each in (value.__pydantic_extra__ or {}).items()]
        return type(value).__name__, fields, extra, sorted(value.model_fields_set)
    if is_object(value):
        return [(name, described(each)) for name, each in value.items()]
    if is_list(value):
        return [described(each) for each in value]
    return type(value).__name__, repr(value)


def outcome(events: Sequence[WireItem], dialect: OpenAIChat | None = None) -> tuple[list[Any], ...]:
    """Whatever a decoder makes of events: the chunks, the errors, the repairs and its verdict on the end."""
    decoder = (dialect or OpenAIChat()).decoder()
    chunks: list[StreamChunk] = []
    errors: list[Any] = []
    for event in [*BEFORE, *events]:
        try:
            chunks.extend(decoder.decode(event))
        except RxllmError as error:
            errors.append((type(error), str(error), sorted(vars(error).items())))
    try:
        decoder.close()
    except TruncatedStreamError as error:
        errors.append(str(error))
    return (
        [(described(chunk), chunk.model_dump_json(), repr(chunk.model_dump(exclude_unset=True))) for chunk in chunks],
        errors,
        decoder.repairs,
    )


def begun(*events: str) -> StreamDecoder:
    """A decoder that has seen so many chunks that it learns, and some events."""
    decoder = OpenAIChat().decoder()
    for event in [*BEFORE, *events]:
        assert list(decoder.decode(event))
    return decoder


def by_template(*events: str) -> list[bool]:
    """For each chunk, whether it was made without being parsed."""
    decoder = begun()
    return [unread(chunk) is not None for event in events for chunk in decoder.decode(event)]


def texts(shape: str, *contents: str) -> list[str]:
    return [shape % tuple([json.dumps(each)] * shape.count("%s")) for each in contents]


# What they are for


@pytest.mark.parametrize("shape", [PLAIN, BESIDE])
def test_the_third_text_of_a_shape_is_not_parsed_any_more(shape: str) -> None:
    assert by_template(*texts(shape, "a", "b", "c", "d")) == [False, False, True, True]


def test_a_new_shape_is_learnt_when_it_comes_twice_in_a_row() -> None:
    events = [*texts(PLAIN, *"abc"), *texts(BESIDE, *"abcdefg")]
    assert by_template(*events) == [False, False, True, *([False] * 5), True, True]


def test_bytes_and_events_of_other_names_are_parsed() -> None:
    decoder = begun(*texts(PLAIN, *"abc"))
    (event,) = texts(PLAIN, "d")
    chunks = [*decoder.decode(event.encode()), *decoder.decode(ServerSentEvent(event, "completion"))]
    assert [unread(chunk) for chunk in chunks] == [None, None]


# What cannot be told apart


@given(STREAMS)
@example(texts(PLAIN, *"abc", *"\x00\x1f\x7f\u2028😀"))
@example(
    [*texts(PLAIN, *"abc"), *(PLAIN % half for half in (r'"\ud83d"', r'"\ude00"', '"d"', '"\n"', r'"\ud83d"', '"e"'))]
)
def test_any_stream_is_decoded_as_if_each_event_were_parsed(events: list[str]) -> None:
    assert outcome(events) == outcome([event.encode() for event in events])


@given(st.lists(st.tuples(st.sampled_from(SHAPES[:12]), st.integers(1, 4)), min_size=2, max_size=12), st.data())
def test_shapes_in_turns(turns: list[tuple[str, int]], data: st.DataObject) -> None:
    events = [
        shape % tuple(data.draw(LITERALS) for _ in range(shape.count("%s")))
        for shape, count in turns
        for _ in range(count)
    ]
    assert outcome(events) == outcome([event.encode() for event in events])


def reported(events: Sequence[WireItem], *, cumulative: bool) -> tuple[Any, list[Repair], list[str]]:
    """The outcome, and what the callbacks of the dialect were called with."""
    repairs: list[Repair] = []
    malformed: list[str] = []
    dialect = OpenAIChat(
        skip_malformed=True,
        cumulative_text=cumulative,
        on_repair=repairs.append,
        on_malformed=lambda error: malformed.append(str(error)),
    )
    return outcome(events, dialect), repairs, malformed


@given(STREAMS, st.booleans())
def test_with_every_option_of_the_dialect(events: list[str], cumulative: bool) -> None:
    in_full = reported([event.encode() for event in events], cumulative=cumulative)
    assert reported(events, cumulative=cumulative) == in_full


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_with_strings_of_all_sorts(shape: str) -> None:
    events = texts(
        shape, "a", "b", "c", "", "error", "12", 'a"b\\', "\ud7ff\ue000", "é😀", "[DONE]", "stop", "x" * 5000
    )
    assert outcome(events) == outcome([event.encode() for event in events])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"index":0', '"index":1'),
        ('"created":1700000000', '"created":1700000001'),
        ('"finish_reason":null', '"finish_reason":"stop"'),
        ('"finish_reason":null', '"finish_reason":null,"x":[]'),
        ('"model":"m"', '"model":"n"'),
        (',"choices"', ', "choices"'),
        ("}]}", "}]} "),
        ("}]}", "}]}x"),
        ("}]}", "}]}{}"),
        ("}]}", "}]"),
        ("}]}", '}],"error":{"message":"boom"}}'),
        ('"content":', '"content":"x","content":'),
        ('"content":', '"content":1,"content":'),
        ('"content":', '"Content":'),
        ("{", " {"),
        ("{", "\ufeff{"),
    ],
)
def test_a_text_that_is_different_outside_of_the_strings_is_parsed(before: str, after: str) -> None:
    events = texts(PLAIN, *"abcde")
    events[3] = events[3].replace(before, after, 1)
    assert outcome(events) == outcome([event.encode() for event in events])
    assert by_template(*events[:3]) == [False, False, True]


@pytest.mark.parametrize("shape", [PLAIN, BESIDE])
@pytest.mark.parametrize("literal", ['"\n"', r'"\x"', r'"\ud83d"', '"a" ', '"a"b"', '"open', "1", '"é"', r'"\u00e9"'])
@pytest.mark.parametrize("tail", ["", " ", "}"])
def test_a_literal_that_is_no_json_string_is_parsed(shape: str, literal: str, tail: str) -> None:
    events = texts(shape, *"abc")
    events.append(shape % tuple([literal] * shape.count("%s")) + tail)
    assert outcome(events) == outcome([event.encode() for event in events])


def test_half_a_character_waits_for_the_other_half_and_nothing_overtakes_it() -> None:
    events = [*texts(PLAIN, *"abc"), PLAIN % r'"x\ud83d"', PLAIN % r'"\ude00y"', *texts(PLAIN, "z")]
    decoder = begun()
    chunks = [chunk for event in events for chunk in decoder.decode(event)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "abcx😀yz"
    assert unread(chunks[-1]) is not None or chunks[-1].choices[0].delta.content == "z"


def test_a_lone_surrogate_that_is_no_escape_is_replaced_as_ever() -> None:
    event = PLAIN % '"\ud83d"'
    (alone,) = OpenAIChat().decoder().decode(event)
    (after,) = begun(*texts(PLAIN, *"abc")).decode(event)
    assert described(after) == described(alone)


def test_a_choice_that_has_finished_stays_finished_although_more_text_comes() -> None:
    end = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    events = [*texts(PLAIN, *"abc"), end, *texts(PLAIN, "d")]
    begun(*events).close()


def test_another_choice_that_has_not_finished_is_missed() -> None:
    events = [*texts(PLAIN, *"abc"), '{"choices":[{"index":1,"delta":{"content":"x"}}]}', *texts(PLAIN, "d")]
    with pytest.raises(TruncatedStreamError) as caught:
        begun(*events).close()
    assert caught.value.unfinished == (0, 1)
    assert caught.value.events == len(BEFORE) + 5


def test_a_whole_message_after_deltas_by_template_is_an_extra() -> None:
    events = [*texts(PLAIN, *"abc"), '{"choices":[{"index":0,"message":{"content":"abc"},"finish_reason":"stop"}]}']
    decoder = begun(*events[:-1])
    (last,) = decoder.decode(events[-1])
    assert last.choices[0].delta.content is None


def test_an_error_after_chunks_by_template_knows_its_place() -> None:
    decoder = begun(*texts(PLAIN, *"abcdef"))
    with pytest.raises(APIStreamError) as caught:
        decoder.decode('{"error":"boom"}')
    assert caught.value.position == len(BEFORE) + 6


def test_a_hole_takes_a_text_of_any_length() -> None:
    long = "\\u00e9x" * 200_000
    decoder = begun(*texts(PLAIN, *"abc"))
    (chunk,) = decoder.decode(PLAIN % f'"{long}"')
    assert unread(chunk) is not None
    assert chunk.choices[0].delta.content == "éx" * 200_000


# What learning costs


class Validations:
    """Counts how often learning parses."""

    def __init__(self) -> None:
        self.count = 0
        self.position = -1
        self.templates = Templates()

    def __call__(self, text: str) -> StreamChunk:
        self.count += 1
        return StreamChunk.model_validate_json(text)

    def feed(self, events: Sequence[str]) -> int:
        """Have those learnt that do not fit; returns how often that parsed."""
        before = self.count
        for event in [*BEFORE, *events]:
            self.position += 1
            if self.templates.fill(event) is None:
                self.templates.learn(event, self.position, self)
        return self.count - before


def test_where_there_is_no_template_looking_for_one_becomes_rare() -> None:
    # Two holes, of which none is a text: all that comes before the verdict is done, each time.
    events = texts('{"id":%s,"choices":[{"delta":{"content":"x"}}]}', *map(str, range(10_000)))
    assert Validations().feed(events) <= 50


def test_where_nothing_is_a_hole_nothing_is_learnt() -> None:
    validations = Validations()
    assert validations.feed(texts(PLAIN, *"a" * 100)) == 0
    assert validations.templates.fill(PLAIN % '"a"') is None


def test_texts_with_more_holes_than_a_template_has_are_left() -> None:
    assert Validations().feed(texts('{"a":%s,"b":%s,"choices":[{"delta":{"content":%s}}]}', *"abcdef")) == 0


def test_a_long_text_is_not_learnt_from() -> None:
    assert Validations().feed(texts(PLAIN, "a" * 5000, "b" * 5000, "c" * 5000)) == 0


def test_a_text_full_of_literals_is_not_learnt_from() -> None:
    """Learning takes time for each of them, and a server could have that done again and again."""
    shape = '{"choices":[{"delta":{"content":%s}}],"x":[' + ",".join(['""'] * 500) + "]}"
    validations = Validations()
    assert validations.feed(texts(shape, *"abcdef")) == 0
    assert validations.templates.fill(texts(shape, "g")[0]) is None


def test_looking_stays_rare_although_other_events_come_between() -> None:
    validations = Validations()
    shape = '{"id":%s,"choices":[{"delta":{"content":"x"}}]}'
    for position, event in enumerate(texts(shape, *map(str, range(10_000)))):
        validations.templates.learn(event, 2 * position, validations)
    assert validations.count <= 100


def test_a_probe_that_is_no_chunk_gives_no_template() -> None:
    validations = Validations()
    validations.feed(texts('{"created":%s,"choices":[{"delta":{"content":"x"}}]}', "1", "2", "3"))
    assert validations.templates.fill('{"created":"4","choices":[{"delta":{"content":"x"}}]}') is None


def test_once_a_template_was_of_use_a_new_one_is_looked_for_at_once() -> None:
    validations = Validations()
    # So many without a template that the next look would be far away.
    events = texts('{"id":%s,"choices":[{"delta":{"content":"x"}}]}', *map(str, range(1000)))
    validations.feed(events)
    validations.feed(texts(PLAIN, *map(str, range(600))))
    assert validations.templates.fill(PLAIN % '"x"') is not None


# Streams that servers really sent


def corpus() -> list[Any]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return [pytest.param(b"", marks=pytest.mark.skip(reason="RXLLM_CORPUS names no folder"))]
    return [pytest.param(path.read_bytes(), id=path.stem) for path in sorted(Path(folder).glob("*.sse"))]


@pytest.mark.parametrize("wire", corpus())
def test_a_real_stream(wire: bytes) -> None:
    events = SSEDecoder().feed(wire)
    assert outcome(events) == outcome([each.data.encode() if each.event == "message" else each for each in events])


def unread_of(events: Sequence[str], reads: Callable[[int], bool]) -> list[bool]:
    """For each event, whether its chunk came unread; those are read of which ``reads`` says so."""
    decoder = OpenAIChat().decoder()
    found: list[bool] = []
    for position, event in enumerate(events):
        (chunk,) = decoder.decode(event)
        found.append(unread(chunk) is not None)
        if reads(position):
            assert chunk.choices[0].delta.content == json.loads(event)["choices"][0]["delta"]["content"]
    return found


LEARNT = CHUNKS_BEFORE + 2
MANY = texts(PLAIN, *map(str, range(3 * WHILE)))


def test_where_each_chunk_is_read_they_are_decoded_in_full_for_a_while() -> None:
    found = unread_of(MANY, lambda _: True)
    ends = next(position for position in range(LEARNT, len(MANY)) if not found[position])
    assert all(found[LEARNT:ends])
    assert ends <= LEARNT + 2 * REVIEW
    # Then it is tried again: two chunks are learnt from, and soon it shows that they are read as ever.
    assert not any(found[ends : ends + WHILE])
    again = found.index(True, ends)
    assert again <= ends + WHILE + 2
    assert not all(found[again : again + 2 * REVIEW])
    assert sum(found) < len(MANY) // 20


def test_where_fewer_than_half_are_read_they_come_unread() -> None:
    assert all(unread_of(MANY, lambda position: position % 5 < 2)[LEARNT:])


def test_what_was_read_long_ago_does_not_count() -> None:
    """Nobody reads until the last look back; then everybody does."""
    begins = LEARNT + 2 * WHILE
    found = unread_of(MANY, lambda position: position >= begins)
    assert all(found[LEARNT:begins])
    assert not any(found[begins + WHILE : begins + WHILE + REVIEW])


def test_a_consumer_that_has_stopped_reading_gets_them_unread_again() -> None:
    found = unread_of(MANY, lambda position: position < 100)
    assert not all(found[LEARNT:100])
    assert all(found[100 + WHILE :])
