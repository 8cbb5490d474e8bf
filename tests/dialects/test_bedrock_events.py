"""The events of the Converse API, also odd ones: what each becomes, and what is refused."""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Sequence
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st

import rxllm
from rxllm import operators as ops
from rxllm.dialects import BedrockConverse, BodyDecoder, WireItem, get_reader
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    LimitExceededError,
    RxllmError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.wire import LARGE_JSON, AWSFrame, ServerSentEvent, encode_aws_frame
from tests.dialects.bedrock_streams import (
    CITATION,
    SERVER_TOOL,
    START,
    STREAMS,
    Event,
    Fields,
    begin,
    end,
    frame,
    frames,
    more,
    say,
    stop,
    text,
    think,
    told,
    tool,
    write,
)
from tests.thorough import times

NAME = "bedrock-converse"
TEXT = (say(0, "Hel"), say(0, "lo"), end(0))


def items_of(events: Sequence[Event | WireItem]) -> list[WireItem]:
    """Events in frames, and items as they are."""
    return [
        frame(event) if isinstance(event, tuple) and not isinstance(event, (AWSFrame, ServerSentEvent)) else event
        for event in events
    ]


def chunks_of(*events: Event | WireItem, dialect: Any = NAME) -> list[StreamChunk]:
    chunks: list[StreamChunk] = []
    source = reactivex.from_iterable(items_of(events))
    source.pipe(ops.parse(dialect)).subscribe(chunks.append, on_error=_ignore)
    return chunks


def _ignore(_: Exception) -> None:
    """What ended the stream is asked for elsewhere."""


def answer(*events: Event | WireItem, dialect: Any = NAME) -> ChatCompletion:
    source = reactivex.from_iterable(items_of(events))
    return rxllm.run(source.pipe(ops.parse(dialect), ops.accumulate(strict=True)))


def failure(*events: Event | WireItem) -> RxllmError:
    with pytest.raises(RxllmError) as caught:
        answer(*events)
    return caught.value


def parts_of(completion: ChatCompletion) -> list[tuple[int, str, str, bool]]:
    return [(part.index, str(part.kind), part.text, part.final) for part in completion.message.parts]


def blocks_of(completion: ChatCompletion) -> list[Fields | None]:
    return [part.block for part in completion.message.parts]


# What healthy events become


def test_a_text() -> None:
    chunks = chunks_of(*STREAMS["text"], dialect=BedrockConverse(model="m"))

    assert [chunk.text for chunk in chunks] == ["", "", "Hel", "lo ✨", "", "", ""]
    assert {chunk.model for chunk in chunks} == {"m"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.begins for chunk in chunks[:2]] == [True, False]
    assert chunks[2].choices[0].delta.part is chunks[3].choices[0].delta.part
    assert [chunk.event for chunk in chunks] == [
        '{"messageStart":{"role":"assistant","p":"abcdefghij"}}',
        '{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"Hel"},"p":"abcdefghij"}}',
        None,
        '{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"lo \\u2728"},"p":"abcdefghij"}}',
        '{"contentBlockStop":{"contentBlockIndex":0,"p":"abcdefghij"}}',
        '{"messageStop":{"stopReason":"end_turn","p":"abcdefghij"}}',
        (
            '{"metadata":{"usage":{"inputTokens":3,"outputTokens":9,"totalTokens":12},"metrics":{"latencyMs":5},'
            '"p":"abcdefghij"}}'
        ),
    ]


def test_calls_and_their_input() -> None:
    completion = answer(*STREAMS["calls"])

    assert [(call.id, call.function.name, call.function.arguments) for call in completion.message.tool_calls] == [
        ("tooluse_1", "f", '{"a": 1}'),
        ("tooluse_2", "g", "{}"),
    ]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.repairs == ()
    assert blocks_of(completion) == [
        {"text": "I look."},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "tooluse_2", "name": "g", "input": {}}},
    ]


def test_reasoning_and_its_signature() -> None:
    completion = answer(*STREAMS["thinking"])

    assert completion.message.reasoning_text == "Let me think."
    assert blocks_of(completion) == [
        {"reasoningContent": {"reasoningText": {"text": "Let me think.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
        {"text": "Yes."},
    ]


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["AAEC", "AwQ="], base64.b64encode(bytes(range(5))).decode()),
        (["AAEC", "no base64!"], "AAECno base64!"),
    ],
)
def test_what_is_redacted_may_come_in_pieces(pieces: list[str], joined: str) -> None:
    completion = answer(START, *(think(0, redactedContent=piece) for piece in pieces), end(0), stop())
    assert blocks_of(completion) == [{"reasoningContent": {"redactedContent": joined}}]


def test_a_signature_without_a_text() -> None:
    completion = answer(START, think(0, signature="a"), think(0, signature="b"), end(0), stop())
    assert blocks_of(completion) == [{"reasoningContent": {"reasoningText": {"text": "", "signature": "ab"}}}]


def test_tools_of_the_server_and_citations() -> None:
    completion = answer(*STREAMS["server tools"])

    assert completion.message.tool_calls == []
    assert parts_of(completion) == [
        (0, "server_tool", '{"q": "x"}', True),
        (1, "server_result", "found", True),
        (2, "text", "Found.", True),
    ]
    assert blocks_of(completion) == [
        {"toolUse": {"toolUseId": "srv_1", "name": "search", **SERVER_TOOL, "input": {"q": "x"}}},
        {
            "toolResult": {
                "toolUseId": "srv_1",
                "type": "search_result",
                "content": [{"text": "found"}, {"json": {"n": 1}}],
            }
        },
        {"citationsContent": {"content": [{"text": "Found."}], "citations": [CITATION]}},
    ]
    file = {"filename": "A", "cited_text": "It rains."}
    assert completion.message.annotations == [{"type": "file_citation", "file_citation": file, "part": 2}]


@pytest.mark.parametrize(
    ("citation", "annotation"),
    [
        ({"location": {"web": {"url": "https://a.example", "domain": "a"}}}, {"url": "https://a.example"}),
        ({"source": "https://b.example", "title": "B"}, {"url": "https://b.example", "title": "B"}),
        ({"source": "a file", "title": 7, "location": {"web": {}}}, None),
        ({"source": "a file", "sourceContent": "none"}, None),
    ],
)
def test_citations_of_pages_have_their_address(citation: Fields, annotation: Fields | None) -> None:
    completion = answer(START, more(0, citation=citation), say(0, "x"), end(0), stop())

    kind = "file_citation" if annotation is None else "url_citation"
    assert completion.message.annotations == [{"type": kind, kind: annotation or {}, "part": 0}]
    assert blocks_of(completion) == [{"citationsContent": {"content": [{"text": "x"}], "citations": [citation]}}]


def test_a_citation_without_a_text() -> None:
    completion = answer(START, more(0, citation=CITATION), end(0), stop())
    assert blocks_of(completion) == [{"citationsContent": {"content": [], "citations": [CITATION]}}]


def test_an_image_comes_whole_or_in_pieces() -> None:
    completion = answer(
        START,
        begin(0, image={"format": "png"}),
        more(0, image={"source": {"bytes": "AAEC"}}),
        more(0, image={"source": {"bytes": "AwQ="}}),
        end(0),
        begin(1, image={"format": "png"}),
        more(1, image={"source": {"s3Location": {"uri": "s3://a/b"}}}),
        end(1),
        begin(2, image={"format": "png"}),
        more(2, image={"error": {"message": "no"}}),
        end(2),
        stop(),
    )
    assert blocks_of(completion) == [
        {"image": {"format": "png", "source": {"bytes": "AAECAwQ="}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://a/b"}}}},
        {"image": {"format": "png", "source": {}}},
    ]
    assert [(kind, final) for _, kind, _, final in parts_of(completion)] == [
        ("image", True),
        ("image", True),
        ("image", False),
    ]


def test_a_result_of_another_form() -> None:
    completion = answer(
        START, begin(0, toolResult={"toolUseId": "t"}), more(0, toolResult={"text": "x"}), end(0), stop()
    )
    assert blocks_of(completion) == [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]


def test_unknown_blocks_deltas_and_events_are_passed_over_and_kept() -> None:
    events: list[Event] = [
        START,
        ("initial-response", {}),
        begin(0, hologram={"depth": 3}),
        more(0, hologram={"x": 1}),
        end(0),
    ]
    chunks = chunks_of(*events, say(1, "Hi"), end(1), stop())
    completion = answer(*events, say(1, "Hi"), end(1), stop())

    assert '{"initial-response":{"p":"abcdefghij"}}' in [chunk.event for chunk in chunks]
    assert parts_of(completion) == [(0, "other", "", False), (1, "text", "Hi", True)]
    assert blocks_of(completion)[0] == {"hologram": {"depth": 3}}
    assert completion.content == "Hi"


def test_usage_has_cached_tokens_inside_and_the_fields_of_the_provider() -> None:
    usage = {
        "inputTokens": 3,
        "outputTokens": 9,
        "totalTokens": 112,
        "cacheReadInputTokens": 60,
        "cacheWriteInputTokens": 40,
    }
    completion = answer(START, *TEXT, stop(), ("metadata", {"usage": usage}))

    assert completion.usage is not None
    assert completion.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 103,
        "completion_tokens": 9,
        "total_tokens": 112,
        "prompt_tokens_details": {"cached_tokens": 60},
        **usage,
    }
    assert completion.repairs == ()


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"inputTokens": 3, "outputTokens": 9}, (3, 9, 12)),
        ({"inputTokens": True}, (None, None, None)),
        (None, None),
        ("much", None),
    ],
)
def test_usage_that_is_odd(usage: object, counts: object) -> None:
    found = answer(START, *TEXT, stop(), ("metadata", {"usage": usage})).usage
    assert (found and (found.prompt_tokens, found.completion_tokens, found.total_tokens)) == counts


def test_what_metadata_say_besides() -> None:
    trace = {"promptRouter": {"invokedModelId": "arn:aws:bedrock:::model/chosen"}, "guardrail": {}}
    said = told(trace=trace, serviceTier={"type": "flex"}, performanceConfig={"latency": "standard"})
    completion = answer(START, *TEXT, stop(additionalModelResponseFields={"/a": 1}), said)

    assert completion.model == "arn:aws:bedrock:::model/chosen"
    assert completion.service_tier == "flex"
    assert completion.choices[0].model_extra == {
        "native_finish_reason": "end_turn",
        "additionalModelResponseFields": {"/a": 1},
    }
    extra = completion.model_extra or {}
    assert extra["metrics"] == {"latencyMs": 5}
    assert extra["trace"] == trace
    assert extra["performanceConfig"] == {"latency": "standard"}


@pytest.mark.parametrize("said", [{"trace": None}, {"trace": {}}, {"trace": {"promptRouter": {}}, "serviceTier": {}}])
def test_metadata_that_say_less(said: Fields) -> None:
    assert answer(START, *TEXT, stop(), told(**said)).service_tier is None


def test_no_server_fills_what_is_ours() -> None:
    completion = answer(
        START, *TEXT, stop(index=7, finish_reason="x"), told(choices=[{"index": 1}], slots=1, event_text="x", id=[])
    )
    assert (completion.content, len(completion.choices), completion.usage is not None) == ("Hello", 1, True)
    assert completion.choices[0].finish_reason == "stop"


# Ends


@pytest.mark.parametrize(
    ("word", "ours", "ending"),
    [
        ("end_turn", "stop", "completed"),
        ("stop_sequence", "stop", "completed"),
        ("tool_use", "tool_calls", "completed"),
        ("max_tokens", "length", "length"),
        ("model_context_window_exceeded", "length", "length"),
        ("guardrail_intervened", "content_filter", "content_filter"),
        ("content_filtered", "content_filter", "content_filter"),
        ("moonrise", "moonrise", "unknown"),
    ],
)
def test_reasons(word: str, ours: str, ending: str) -> None:
    completion = answer(START, *TEXT, stop(word))
    assert (completion.choices[0].finish_reason, completion.ending, completion.complete) == (ours, ending, True)
    assert completion.choices[0].model_extra == {"native_finish_reason": word}


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use", "error"])
def test_reasons_that_say_that_there_is_no_answer(word: str) -> None:
    error = failure(START, *TEXT, stop(word))
    assert isinstance(error, TruncatedStreamError)
    assert f"gave up on the answer: it ended with '{word}'" in error.message


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_behind_any_event_is_never_taken_for_the_whole(name: str) -> None:
    events = STREAMS[name]
    last = next(place for place, (kind, _) in enumerate(events) if kind == "messageStop")
    for place in range(last + 1):
        error = failure(*events[:place])
        assert isinstance(error, TruncatedStreamError if place else EmptyStreamError), place
    assert answer(*events[: last + 1]).complete


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_at_any_byte_is_never_taken_for_the_whole(name: str) -> None:
    encoded = [encode_aws_frame(*each) for each in frames(STREAMS[name])]
    stream = b"".join(encoded)
    whole = len(stream) - len(encoded[-1])
    pipe = (ops.decode_aws_frames(), ops.parse(NAME), ops.accumulate())
    for place in range(0, len(stream), 7):
        source = reactivex.of(stream[:place])
        if place < whole:
            with pytest.raises((EmptyStreamError, TruncatedStreamError, StreamInterruptedError)):
                rxllm.run(source.pipe(*pipe))
        elif place > whole:
            (repair,) = rxllm.run(source.pipe(*pipe)).repairs
            assert repair.kind == "cut-after-finish"


EXPECTED = {name: answer(*events) for name, events in STREAMS.items()}


@pytest.mark.parametrize("name", STREAMS)
def test_all_streams_byte_by_byte(name: str) -> None:
    stream = b"".join(encode_aws_frame(*each) for each in frames(STREAMS[name]))
    reads = reactivex.from_iterable([stream[start : start + 1] for start in range(len(stream))])
    assert rxllm.run(reads.pipe(ops.decode_aws_frames(), ops.parse(NAME), ops.accumulate())) == EXPECTED[name]


@settings(max_examples=times(30))
@given(st.sampled_from(list(STREAMS)), st.data())
def test_all_streams_at_any_splits(name: str, data: st.DataObject) -> None:
    stream = b"".join(encode_aws_frame(*each) for each in frames(STREAMS[name]))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reads = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    pipe = (ops.decode_aws_frames(), ops.parse(NAME), ops.accumulate())
    assert rxllm.run(reactivex.from_iterable(reads).pipe(*pipe)) == EXPECTED[name]


@pytest.mark.parametrize("dialect", [NAME, "auto"])
@pytest.mark.parametrize("name", STREAMS)
def test_objects_and_named_events_are_read_too(name: str, dialect: str) -> None:
    """As gateways pass them on."""
    events = STREAMS[name]
    told_by_name = [ServerSentEvent(json.dumps(fields), kind) for kind, fields in events]
    expected = answer(*events, dialect=dialect)
    for items in ([text(event) for event in events], told_by_name, [text(event).encode() for event in events]):
        read = answer(*items, dialect=dialect)
        assert read.message.parts == expected.message.parts
        assert read.choices[0].finish_reason == expected.choices[0].finish_reason
        assert read.usage == expected.usage
    assert expected.message.parts == EXPECTED[name].message.parts


def test_the_end_is_not_the_end_of_the_transport() -> None:
    decoder = get_reader(NAME).decoder()
    for event in STREAMS["text"]:
        assert list(decoder.decode(frame(event)))
        assert decoder.done is False
        assert decoder.finished is (event[0] in {"messageStop", "metadata"})
    assert list(decoder.close()) == []


def test_what_follows_the_end_is_ignored() -> None:
    completion = answer(START, *TEXT, stop(), say(1, "more"), START, stop("max_tokens"), told())
    assert (completion.content, completion.choices[0].finish_reason) == ("Hello", "stop")
    assert completion.usage is not None


def test_the_end_of_the_message_ends_what_is_open() -> None:
    completion = answer(START, say(0, "Hi"), tool(1, "t"), write(1, "{}"), stop("tool_use"))
    assert parts_of(completion) == [(0, "text", "Hi", True), (1, "tool_call", "{}", True)]


def test_a_call_that_the_length_cut_is_none() -> None:
    completion = answer(START, tool(0, "t"), write(0, '{"a": '), end(0), stop("max_tokens"))
    assert completion.message.tool_calls == []
    assert parts_of(completion) == [(0, "tool_call", '{"a": ', False)]


def test_a_call_that_the_model_garbled_can_be_sent_back() -> None:
    events = [START, tool(0, "t"), write(0, '{"a": 1'), end(0), stop("tool_use")]
    source = reactivex.from_iterable(frames(events))
    completion = rxllm.run(source.pipe(ops.parse(NAME), ops.accumulate()))
    assert blocks_of(completion) == [{"toolUse": {"toolUseId": "t", "name": "f", "input": {"INVALID_JSON": '{"a": 1'}}}]


# Errors


EXCEPTIONS = [
    ("internalServerException", True),
    ("modelStreamErrorException", True),
    ("throttlingException", True),
    ("serviceUnavailableException", True),
    ("modelTimeoutException", True),
    ("modelNotReadyException", True),
    ("validationException", False),
]


@pytest.mark.parametrize("before", [(), (START, say(0, "Hi")), (START, *TEXT, stop())])
@pytest.mark.parametrize(("name", "retryable"), EXCEPTIONS)
def test_an_exception(name: str, *, retryable: bool, before: tuple[Event, ...]) -> None:
    event = (name, {"message": "I am lost", "originalStatusCode": 500})
    for item in (frame(event), text(event), ServerSentEvent(json.dumps(event[1]), name)):
        error = failure(*before, item)
        assert isinstance(error, APIStreamError)
        assert (error.message, error.type, error.retryable) == ("I am lost", name, retryable)
        assert error.position == len(before)


@pytest.mark.parametrize(
    ("headers", "payload", "message", "kind"),
    [
        ({":error-code": "InternalError", ":error-message": "lost"}, b"", "lost", "InternalError"),
        ({":error-code": "throttled"}, b"why", "why", "throttled"),
        ({":error-code": "throttled"}, b"", "throttled", "throttled"),
    ],
)
def test_an_error_in_the_headers(headers: dict[str, str], payload: bytes, message: str, kind: str) -> None:
    error = failure(START, AWSFrame({":message-type": "error", **headers}, payload))
    assert isinstance(error, APIStreamError)
    assert (error.message, error.type, error.retryable) == (message, kind, True)


def test_an_exception_that_is_no_object() -> None:
    headers = {":message-type": "exception", ":exception-type": "throttlingException"}
    for payload in (b"slow down", b'"slow down"'):
        error = failure(START, AWSFrame(headers, payload))
        assert isinstance(error, APIStreamError)
        assert (error.type, error.retryable) == ("throttlingException", True)


@pytest.mark.parametrize("event", ['{"message": "no such model"}', '{"error": {"message": "no such model"}}'])
def test_errors_in_other_words(event: str) -> None:
    error = failure(event)
    assert isinstance(error, APIStreamError)
    assert "no such model" in error.message


# Bad input


def test_a_delta_of_another_kind_begins_a_block_of_that() -> None:
    completion = answer(START, think(0, text="Hm."), say(0, "Yes."), end(0), stop())
    assert parts_of(completion) == [(0, "reasoning", "Hm.", True), (1, "text", "Yes.", True)]


def test_a_delta_with_two_things_in_it_says_both() -> None:
    completion = answer(START, say(0, "a"), more(0, text="b", reasoningContent={"text": "c"}, toolUse=None), stop())
    assert parts_of(completion) == [(0, "text", "ab", True), (1, "reasoning", "c", True)]


@pytest.mark.parametrize(
    "delta",
    [
        {"text": "x", "toolUse": {"input": "y"}},
        {"reasoningContent": {"text": "x"}, "toolUse": {"input": "y"}},
        {"toolUse": {"input": "y"}},
    ],
)
def test_input_of_a_call_that_never_began(delta: Fields) -> None:
    error = failure(START, say(0, "a"), think(1, text="b"), more(2, **delta))
    assert isinstance(error, DecodeError)
    assert "(contentBlockDelta) is out of place: it is input of a tool" in error.message


def test_an_index_that_is_in_use() -> None:
    completion = answer(START, say(0, "a"), end(0), tool(0, "t"), write(0, "{}"), end(0), stop("tool_use"))
    assert parts_of(completion) == [(0, "text", "a", True), (1, "tool_call", "{}", True)]


def test_a_block_that_is_announced_twice_is_one() -> None:
    completion = answer(START, tool(0, "t"), tool(0, "t"), write(0, "{}"), end(0), stop("tool_use"))
    assert parts_of(completion) == [(0, "tool_call", "{}", True)]


def test_a_beginning_that_says_nothing() -> None:
    completion = answer(START, begin(0), say(0, "a"), end(0), end(0), stop())
    assert parts_of(completion) == [(0, "text", "a", True)]


def test_an_index_of_0_may_be_left_out() -> None:
    completion = answer(START, ("contentBlockDelta", {"delta": {"text": "a"}}), ("contentBlockStop", {}), stop())
    assert parts_of(completion) == [(0, "text", "a", True)]


def test_the_same_message_begins_twice() -> None:
    assert answer(START, START, *TEXT, stop()).content == "Hello"


def test_another_message_begins_in_the_midst_of_one() -> None:
    error = failure(START, say(0, "a"), START)
    assert isinstance(error, DecodeError)
    assert "another message begins" in error.message


@pytest.mark.parametrize("event", [say(0, "a"), tool(0, "t"), end(0), stop(), told()])
def test_a_message_that_never_began(event: Event) -> None:
    error = failure(event)
    assert isinstance(error, DecodeError)
    assert f"event 0 ({event[0]}) is out of place: no message has begun" in error.message
    assert (error.position, error.dialect) == (0, NAME)


MALFORMED: list[tuple[Event | WireItem, str]] = [
    (("contentBlockStart", {"contentBlockIndex": 0}), "contentBlockStart is malformed"),
    (("contentBlockDelta", {"contentBlockIndex": 0, "delta": []}), "contentBlockDelta is malformed"),
    (("contentBlockDelta", {"contentBlockIndex": -1, "delta": {"text": ""}}), "contentBlockDelta is malformed"),
    (("contentBlockDelta", {"contentBlockIndex": True, "delta": {"text": ""}}), "contentBlockDelta is malformed"),
    (more(0, text=7), "contentBlockDelta is malformed"),
    (more(0, reasoningContent={"text": 7}), "contentBlockDelta is malformed"),
    (more(0, reasoningContent="x"), "contentBlockDelta is malformed"),
    (more(0, citation="x"), "contentBlockDelta is malformed"),
    (("messageStop", {}), "messageStop is malformed"),
    (("messageStop", {"stopReason": ""}), "messageStop is malformed"),
    (AWSFrame({":event-type": "messageStop"}, b"{"), "it is malformed"),
    (AWSFrame({":event-type": "contentBlockDelta"}, b"[1]"), "it is not a JSON object"),
    (AWSFrame({":event-type": "contentBlockDelta"}, b"\xff\x1b[31m"), "it is malformed: '\ufffd␛[31m'"),
    ("nonsense", "it is malformed"),
]


@pytest.mark.parametrize(("event", "words"), MALFORMED)
def test_what_is_malformed(event: Event | WireItem, words: str) -> None:
    error = failure(START, event)
    assert isinstance(error, DecodeError)
    assert f"event 1 is not an event of bedrock-converse, {words}" in str(error)
    assert error.position == 1


def test_input_of_a_call_that_is_no_text() -> None:
    error = failure(START, tool(0, "t"), more(0, toolUse={"input": {"a": 1}}))
    assert isinstance(error, DecodeError)
    assert "event 2 is not an event of bedrock-converse, contentBlockDelta is malformed" in error.message


def test_what_has_nothing_of_a_message() -> None:
    error = failure('{"weather": "rain"}', '{"more": 1}')
    assert isinstance(error, DecodeError)
    assert 'event 0 is not an event of bedrock-converse, it has nothing of a message: \'{"weather"' in error.message


@pytest.mark.parametrize(
    ("item", "protocol"),
    [
        ('{"choices": []}', "the chat completions of OpenAI"),
        ('{"type": "message_start", "message": {}}', "the Messages API of Anthropic"),
        (AWSFrame({":event-type": "chunk"}, b'{"bytes": "e30="}'), "its operation ConverseStream"),
    ],
)
def test_a_stream_of_another_protocol(item: WireItem, protocol: str) -> None:
    error = failure(item)
    assert isinstance(error, DecodeError)
    assert protocol in error.message
    assert "…/converse-stream" in error.message


@pytest.mark.parametrize("other", ["openai-chat", "anthropic", "openai-responses"])
def test_frames_are_named_by_other_dialects(other: str) -> None:
    with pytest.raises(DecodeError, match="looks like the Bedrock API of Amazon"):
        answer(*STREAMS["text"], dialect=other)


def test_pings_and_end_markers_of_gateways_say_nothing() -> None:
    assert answer("", text(START), "[DONE]", *TEXT, stop()).content == "Hello"


def test_frames_without_a_payload_or_a_name() -> None:
    completion = answer(START, AWSFrame({":event-type": "keepAlive"}, b""), AWSFrame({}, b"{}"), *TEXT, stop())
    assert completion.content == "Hello"


# Characters, and the fast way


def split(index: int, piece: str, **member: Any) -> AWSFrame:
    """A delta with a piece that is JSON text already."""
    payload = json.dumps({"contentBlockIndex": index, "delta": member}).replace('"@"', f'"{piece}"')
    return AWSFrame({":event-type": "contentBlockDelta"}, payload.encode())


@pytest.mark.parametrize("member", [{"text": "@"}, {"reasoningContent": {"text": "@"}}])
def test_a_character_that_was_cut_in_two(member: Fields) -> None:
    pieces = ["a", "\\ud83d", "\\ude00b", "\\ud83d", "c"]
    chunks = chunks_of(START, *(split(0, piece, **member) for piece in pieces), end(0), stop())
    completion = answer(START, *(split(0, piece, **member) for piece in pieces), end(0), stop())

    said = "a😀b\ufffdc"
    assert completion.message.parts[0].text == said
    assert said in json.dumps(blocks_of(completion), ensure_ascii=False)
    for chunk in chunks:
        chunk.model_dump_json().encode()


def test_half_a_character_whose_other_half_never_comes() -> None:
    completion = answer(START, say(0, "a"), split(0, "\\ud83d", text="@"), end(0), stop())
    assert completion.content == "a\ufffd"
    assert blocks_of(completion) == [{"text": "a\ufffd"}]


def test_half_a_character_elsewhere() -> None:
    completion = answer(
        START,
        split(0, "\\ud83d", reasoningContent={"signature": "@"}),
        split(1, "\\ud83d", citation={"title": "@"}),
        stop(),
    )
    assert "\\ufffd" in json.dumps(blocks_of(completion))
    completion.model_dump_json().encode()


@pytest.mark.parametrize(
    "events",
    [
        [START, *(say(0, word) for word in ("a", "", "b")), end(0), stop()],
        [START, *(think(0, text=word) for word in ("a", "", "b")), end(0), stop()],
        [START, tool(0, "t"), *(write(0, word) for word in ('{"a"', "", ":1}")), end(0), stop("tool_use")],
        [START, tool(0, "t", **SERVER_TOOL), *(write(0, word) for word in ('{"a"', ":1}")), end(0), stop()],
        [START, say(0, "a"), say(1, "b"), say(0, "c"), say(1, "d"), stop()],
    ],
)
def test_the_fast_way_gives_what_the_slow_one_does(events: list[Event]) -> None:
    slow = [chunk.model_dump() for chunk in chunks_of(*map(text, events))]
    assert [chunk.model_dump() for chunk in chunks_of(*events)] == slow


@settings(max_examples=times(40))
@given(st.lists(st.tuples(st.sampled_from(["text", "reasoning", "call"]), st.integers(0, 2), st.text(max_size=5))))
def test_any_pieces_in_any_order(pieces: list[tuple[str, int, str]]) -> None:
    """The calls are announced first, at places of their own."""
    events = [START, *(tool(10 + place, f"t{place}") for place in range(3))]
    for kind, place, piece in pieces:
        made = {"text": say(place, piece), "reasoning": think(5 + place, text=piece), "call": write(10 + place, piece)}
        events.append(made[kind])
    events.append(stop("max_tokens"))
    fast = rxllm.run(reactivex.from_iterable(frames(events)).pipe(ops.parse(NAME), ops.accumulate()))
    slow = rxllm.run(reactivex.from_iterable(map(text, events)).pipe(ops.parse(NAME), ops.accumulate()))

    assert fast == slow
    assert (fast.content or "") == "".join(piece for kind, _, piece in pieces if kind == "text")


def test_a_piece_of_more_than_64_ki_characters() -> None:
    piece = "x" * (LARGE_JSON + 1)
    assert answer(START, say(0, "a"), say(0, piece), end(0), stop()).content == f"a{piece}"
    error = failure(START, AWSFrame({":event-type": "contentBlockDelta"}, b"[" * (LARGE_JSON + 1)))
    assert isinstance(error, (DecodeError, LimitExceededError))


def test_there_are_not_too_many_blocks() -> None:
    error = failure(START, *(each for index in range(4097) for each in (say(index, "x"), end(index))))
    assert isinstance(error, LimitExceededError)
    assert (error.limit, error.maximum) == ("max_blocks", 4096)


@pytest.mark.parametrize("event", [say(0, "x" * 40), more(0, citation={"title": "x" * 40}), tool(0, "t", "x" * 40)])
def test_what_is_kept_of_open_blocks_has_an_end(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.dialects._kept._MAX_KEPT", 100)
    events = [(event[0], {**event[1], "contentBlockIndex": index}) for index in range(4)]
    error = failure(START, *events)
    assert isinstance(error, LimitExceededError)
    assert error.limit == "max_characters"
    same = [end(9)] if event[0] == "contentBlockStart" else [event, end(0)]
    assert answer(START, *(each for _ in range(4) for each in same), stop()).complete


def test_a_long_text_is_bounded_by_the_fast_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.dialects._kept._MAX_KEPT", 100)
    assert isinstance(failure(START, *[say(0, "x" * 9)] * 12), LimitExceededError)


def test_nesting_has_an_end() -> None:
    deep = json.loads("[" * 300 + "]" * 300)
    error = failure(START, ("metadata", {"trace": deep}))
    assert isinstance(error, LimitExceededError)


def test_nothing_is_a_circle() -> None:
    gc.collect()
    gc.disable()
    try:
        for events in STREAMS.values():
            decoder = get_reader(NAME).decoder()
            for event in events:
                list(decoder.decode(frame(event)))
            list(decoder.close())
            with pytest.raises(APIStreamError):
                list(decoder.decode(frame(("throttlingException", {"message": "x"}))))
            del decoder
        assert gc.collect() == 0
    finally:
        gc.enable()


# Bodies that are no stream


BODY: Fields = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "AAEC"}},
                {"text": "Hi"},
                {"citationsContent": {"content": [{"text": "It rains."}], "citations": [CITATION]}},
                {"toolUse": {"toolUseId": "s", "name": "search", **SERVER_TOOL, "input": {"q": 1}}},
                {"toolResult": {"toolUseId": "s", "content": [{"text": "x"}]}},
                {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12},
    "metrics": {"latencyMs": 1},
}


def read_body(body: str) -> list[StreamChunk]:
    decoder = get_reader(NAME).decoder()
    assert isinstance(decoder, BodyDecoder)
    chunks = list(decoder.decode_body(body))
    assert decoder.done is bool(chunks)
    if chunks:
        assert list(decoder.close()) == []
    return chunks


def test_a_body_that_is_an_answer() -> None:
    chunks = read_body(json.dumps(BODY))
    folded = rxllm.StreamAccumulator()
    for chunk in chunks:
        folded.add(chunk)
    completion = folded.completion()

    assert blocks_of(completion) == BODY["output"]["message"]["content"]
    assert [call.function.parsed for call in completion.message.tool_calls] == [{"a": 1}]
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]
    assert chunks[0].event == json.dumps(BODY)
    assert completion.usage is not None


def test_a_body_with_odd_blocks() -> None:
    content: list[Any] = [{}, "x", {"hologram": {"a": 1}}, {"text": "Hi"}, {"citationsContent": {}}, {"image": {}}]
    chunks = read_body(json.dumps({**BODY, "output": {"message": {"content": content}}}))
    assert "".join(chunk.text for chunk in chunks) == "Hi"


@pytest.mark.parametrize("body", ["[]", "<html>", "{}", '{"output": 1}', '{"output": {"message": {}}}'])
def test_a_body_that_is_none(body: str) -> None:
    assert read_body(body) == []


def test_a_body_of_another_protocol() -> None:
    for body in ('{"choices": []}', 'data: {"choices": []}\n\n', 'event: x\ndata: no\n\ndata: {"choices": []}\n\n'):
        with pytest.raises(DecodeError, match="looks like the chat completions of OpenAI"):
            read_body(body)
    assert read_body("data: nothing\n\ndata: {}\n\n") == []
