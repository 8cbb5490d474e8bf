"""``openai-chat``: what any SDK of OpenAI reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st

from rxllm import LogItem, LogPosition, serving
from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import APIStatusError, LimitExceededError, MixedAnswersError, RestartError, ToolCallError
from rxllm.models import (
    ChatCompletion,
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChunk,
    TextDelta,
    marked,
)
from rxllm.serving import Asked, OpenAIChat, PublicError, ServedEnd
from tests.serving.conversations import (
    ANSWER,
    CALLS,
    CONVERSATION,
    USAGE,
    call_piece,
    chunk,
    completion,
    delta,
    every_recorded,
    framed,
    read,
    written,
)

DONE = "[DONE]"
ASKS_FOR_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def frames_of(wire: bytes) -> list[Any]:
    """The frames of a stream, ``[DONE]`` among them."""
    text = wire.decode()
    assert text.endswith("\n\n")
    data = [block.removeprefix("data: ") for block in text[:-2].split("\n\n")]
    assert "".join(f"data: {each}\n\n" for each in data) == text
    return [each if each == DONE else json.loads(each) for each in data]


def told(items: Iterable[object], end: ServedEnd | None = None, **body: Any) -> list[Any]:
    return frames_of(written(OpenAIChat(), items, end, **body))


def completion_of(wire: bytes) -> ChatCompletion:
    """What our own parser makes of a stream."""
    chunks, errors = read(wire, "openai-chat")
    assert not errors
    accumulator = StreamAccumulator()
    accumulator.add_all(chunks)
    return accumulator.completion(ended=True)


def calls_of(items: Iterable[object]) -> list[tuple[str, str, str]]:
    message = completion_of(written(OpenAIChat(), items)).message
    return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]


def restarting(item: StreamChunk) -> StreamChunk:
    return marked(item, begins=True, restarts=True)


def test_all_of_a_stream() -> None:
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def one(gained: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": gained, "finish_reason": reason}]}

    assert told(ANSWER, **ASKS_FOR_USAGE) == [
        one({"role": "assistant", "reasoning_content": "Hm. "}),
        one({"content": "Hel"}),
        one({"content": "lo"}),
        one({}, "stop"),
        {**head, "usage": USAGE, "choices": []},
        DONE,
    ]


@pytest.mark.parametrize("body", [{}, {"stream_options": None}, {"stream_options": {"include_usage": "yes"}}])
def test_usage_is_for_who_asks(body: dict[str, Any]) -> None:
    assert "usage" not in written(OpenAIChat(), ANSWER, **body).decode()
    assert b'"usage"' in written(OpenAIChat(include_usage=True), ANSWER, **body)
    assert b'"usage"' not in written(OpenAIChat(include_usage=False), ANSWER, **ASKS_FOR_USAGE)


def test_usage_that_nobody_knows_is_not_made_up() -> None:
    assert b'"usage"' not in written(OpenAIChat(), ["Hi"], **ASKS_FOR_USAGE)


@pytest.mark.parametrize(
    ("option", "body", "items", "model"),
    [
        ("ours", {"model": "theirs"}, ANSWER, "ours"),
        (None, {"model": "theirs"}, ANSWER, "m"),
        (None, {"model": "theirs"}, ["Hi"], "theirs"),
        (None, {"model": "x" * 5000}, ["Hi"], "x" * 1000),
        (None, {"model": 7}, ["Hi"], "unknown"),
        (None, {}, ["Hi"], "unknown"),
    ],
)
def test_what_the_model_is_called(
    option: str | None, body: dict[str, Any], items: Sequence[object], model: str
) -> None:
    frames = frames_of(written(OpenAIChat(model=option), items, **body))

    assert {frame["model"] for frame in frames[:-1]} == {model}


def test_one_identifier_for_all_even_if_it_comes_late_or_never() -> None:
    late = told(
        [chunk(id="", created=0, prompt_filter_results=[{"index": 0}]), delta(content="Hi"), delta(content="!")]
    )
    never = told(["Hi", "!"])

    assert {frame["id"] for frame in late[:-1]} == {"a"}
    assert late[0]["prompt_filter_results"] == [{"index": 0}]
    assert len({frame["id"] for frame in never[:-1]}) == 1
    assert never[0]["id"].startswith("chatcmpl-")
    assert never[0]["created"] > 1_700_000_000


@pytest.mark.parametrize("created", [float("inf"), float("nan"), 1e300, -5.0])
def test_a_time_that_is_none_is_made_up(created: float) -> None:
    frames = told([delta(content="Hi").model_copy(update={"created": created})])

    assert 1_700_000_000 < frames[0]["created"] < 2**53


def test_what_other_servers_add_is_passed_on_and_what_is_ours_is_not() -> None:
    item = StreamChunk.from_wire(
        {
            "id": "a",
            "service_tier": "flex",
            "obfuscation": "xxxx",
            "provider": "P",
            "timing": {"ms": 1},
            "choices": [
                {
                    "index": 0,
                    "delta": {
                        "content": "Hi",
                        "thinking": "Hm",
                        "channel": "final",
                        "mood": "",
                        "part": {"index": 3, "kind": "text"},
                        "blocks": [{"index": 3, "block": {"secret": 1}}],
                    },
                    "logprobs": {"content": [{"token": "Hi", "logprob": -0.5}]},
                    "token_ids": [7],
                    "speed": 3,
                }
            ],
        }
    )

    (frame, _, _) = told([item])

    assert (frame["service_tier"], frame["provider"]) == ("flex", "P")
    assert frame["timing"] == {"ms": 1}
    assert "obfuscation" not in frame
    assert frame["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "Hi", "reasoning_content": "Hm", "channel": "final"},
            "finish_reason": None,
            "logprobs": {"content": [{"token": "Hi", "logprob": -0.5}]},
            "token_ids": [7],
            "speed": 3,
        }
    ]


def test_objects_in_lists_are_numbered_since_the_sdks_refuse_others() -> None:
    items = [
        delta(annotations=[{"type": "a"}, {"type": "b", "index": "x"}], tags=["t"], odd=["t", {}], none=[]),
        delta(annotations=[{"type": "c", "index": 5}], tags=["u"]),
        delta(annotations=[{"type": "d"}]),
    ]

    first, second, third, *_ = [frame["choices"][0]["delta"] for frame in told(items)[:3]]

    assert [each["index"] for each in first["annotations"]] == [0, 1]
    assert [each["index"] for each in second["annotations"]] == [5]
    assert [each["index"] for each in third["annotations"]] == [6]
    assert (first["tags"], second["tags"]) == (["t"], ["u"])
    assert not {"odd", "none"} & first.keys()


def test_choices_begin_in_the_order_of_their_numbers() -> None:
    first, second, *ends, _ = told([delta(2, content="c"), delta(0, content="a"), delta(2, reason="stop")])

    assert [(each["index"], each["delta"]) for each in first["choices"]] == [
        (0, {"role": "assistant"}),
        (1, {"role": "assistant"}),
        (2, {"role": "assistant", "content": "c"}),
    ]
    assert second["choices"][0]["delta"] == {"content": "a"}
    assert [frame["choices"][0]["index"] for frame in ends] == [0, 1, 2]
    assert {frame["choices"][0]["finish_reason"] for frame in ends} == {"stop"}


def test_a_number_that_nobody_asked_for_makes_no_choices() -> None:
    assert [len(frame["choices"]) for frame in told([delta(100_000, content="c")])[:-1]] == [1, 1]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("tool-calls", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("SAFETY", "content_filter"),
        ("moonrise", "moonrise"),
        (None, "stop"),
    ],
)
def test_why_it_ended(said: str | None, word: str) -> None:
    *_, last, _ = told([delta(content="Hi", reason=said), delta(content="!")])

    assert last["choices"][0]["finish_reason"] == word
    assert last["choices"][0].get("native_finish_reason") == (None if said in (None, word) else said)


def test_the_reason_comes_once_and_last_with_what_describes_it() -> None:
    ended = chunk({"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "###"})

    frames = told([delta(content="Hi", reason="stop"), ended, delta(content="!"), chunk(x_late=1)])

    assert [frame["choices"][0]["finish_reason"] for frame in frames[:-1]] == [None, None, "stop"]
    assert frames[2]["choices"][0]["stop_reason"] == "###"
    assert frames[2]["x_late"] == 1


def test_an_answer_without_anything_is_still_one() -> None:
    (only, done) = told([])

    assert only["choices"] == [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": "stop"}]
    assert done == DONE


@pytest.mark.parametrize("items", [["Hel", "lo"], ANSWER[:4], [TextDelta(round=1, text="Hello")]])
def test_an_answer_that_was_stopped_is_not_told_as_whole(items: Sequence[object]) -> None:
    *_, last, done = told(items, ServedEnd("stopped"))

    assert (last["choices"][0]["finish_reason"], done) == ("length", DONE)


# Calls.


def test_calls_for_the_client_have_numbers_of_their_own_and_come_one_behind_the_other() -> None:
    pieces = [
        piece
        for frame in told(CALLS)[:-1]
        for choice in frame["choices"]
        for piece in choice["delta"].get("tool_calls", ())
    ]

    assert pieces[0] == {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": '},
    }
    assert pieces[1] == {"index": 0, "function": {"arguments": '"Oslo"}'}}
    assert pieces[2]["index"] == 1
    assert pieces[2]["id"] == "c2"
    assert calls_of(CALLS) == [("c1", "weather", '{"city": "Oslo"}'), ("c2", "weather", '{"city": "Rome"}')]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([call_piece(0, "{}", id="a", name="f"), call_piece(0, '{"x":1}')], [("a", "f", '{"x":1}')]),
        ([call_piece(0, "", id="a", name="f")], [("a", "f", "{}")]),
        (
            [call_piece(0, '{"x":', id="a", name="f"), call_piece(0, "1}"), call_piece(0, '{"x":1}')],
            [("a", "f", '{"x":1}')],
        ),
        ([call_piece(0, '"{\\"x\\":', id="a", name="f"), call_piece(0, '1}"')], [("a", "f", '{"x":1}')]),
        (
            [call_piece(0, None, id="a", name="get_"), call_piece(0, None, name="it"), call_piece(0, '{"x":1}')],
            [("a", "get_it", '{"x":1}')],
        ),
        (
            [
                call_piece(0, '{"x":1}', id="a", name="f"),
                call_piece(1, '{"x":2}', id="b", name="g"),
                call_piece(0, '{"x":1}'),
            ],
            [("a", "f", '{"x":1}'), ("b", "g", '{"x":2}')],
        ),
        (
            [
                call_piece(0, '{"x"', id="a", name="f"),
                call_piece(1, '{"y"', id="b", name="g"),
                call_piece(0, ":1}"),
                call_piece(1, ":2}"),
            ],
            [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')],
        ),
        (
            [delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}])],
            [("a", "f", '{"x":1}')],
        ),
        ([call_piece(0, '{"x":1}', id="a", name="f"), delta(tool_calls=[{"index": 7}])], [("a", "f", '{"x":1}')]),
        (
            [
                delta(
                    tool_calls=[
                        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}},
                        {"index": 0, "function": {"arguments": ":[1"}},
                        {"index": 0, "function": {"arguments": "]}"}},
                    ]
                )
            ],
            [("a", "f", '{"x":[1]}')],
        ),
        (
            [
                call_piece(0, "{}", name="f"),
                call_piece(1, '{"y"', id="b", name="g"),
                call_piece(0, None, id="a"),
                call_piece(1, ":2}"),
            ],
            [("a", "f", "{}"), ("b", "g", '{"y":2}')],
        ),
    ],
)
def test_calls_are_told_as_they_were_meant(pieces: list[StreamChunk], calls: list[tuple[str, str, str]]) -> None:
    assert calls_of([*pieces, delta(reason="tool_calls")]) == calls


def test_a_call_without_an_identifier_gets_the_one_that_the_completion_has() -> None:
    items = [call_piece(0, '{"x":1}', name="f"), call_piece(1, "{}", name="g"), delta(reason="tool_calls")]
    accumulator = StreamAccumulator()
    accumulator.add_all(items)

    expected = [call.id for call in accumulator.completion(ended=True).message.tool_calls]

    assert [call_id for call_id, _, _ in calls_of(items)] == expected


def test_the_second_call_with_one_identifier_gets_another() -> None:
    items = [call_piece(0, '{"x":1}', id="a", name="f"), call_piece(1, '{"x":2}', id="a", name="g"), call_piece(1, " ")]

    first, second = calls_of([*items, delta(reason="tool_calls")])

    assert first == ("a", "f", '{"x":1}')
    assert second[0] != "a"


def test_what_a_provider_sends_with_a_call_goes_with_it() -> None:
    signature = {"google": {"thought_signature": "s"}}
    items = [
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"', "f_extra": 1}}]),
        delta(tool_calls=[{"index": 0, "extra_content": signature, "function": {"arguments": ":1}"}}]),
    ]

    message = completion_of(written(OpenAIChat(), [*items, delta(reason="tool_calls")])).message

    assert (message.tool_calls[0].model_extra or {})["extra_content"] == signature
    assert (message.tool_calls[0].function.model_extra or {})["f_extra"] == 1


def test_custom_tools_and_the_older_protocol() -> None:
    custom = [
        delta(tool_calls=[{"index": 0, "id": "a", "type": "custom", "custom": {"name": "run", "input": ""}}]),
        delta(tool_calls=[{"index": 0, "custom": {"input": "ls"}}]),
        delta(tool_calls=[{"index": 0, "custom": {"input": " -"}}, {"index": 0, "custom": {"input": "l"}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "type": "custom", "custom": {"name": "run", "input": "pwd"}}]),
        delta(reason="tool_calls"),
    ]
    older = [
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": {"x": 1}}),
        delta(function_call={}),
        delta(reason="function_call"),
    ]

    calls = completion_of(written(OpenAIChat(), custom)).message.tool_calls
    function = completion_of(written(OpenAIChat(), older)).message.function_call

    assert [(call.type, (call.model_extra or {})["custom"]) for call in calls] == [
        ("custom", {"name": "run", "input": "ls -l"}),
        ("custom", {"name": "run", "input": "pwd"}),
    ]
    assert function is not None
    assert (function.name, function.arguments) == ("f", '{"x":1}')


@pytest.mark.parametrize("reason", ["length", None])
def test_calls_that_were_cut_are_told_as_they_are(reason: str | None) -> None:
    items = [
        call_piece(0, '{"x":1}', id="a", name="f"),
        call_piece(1, '{"y":', id="b", name="g"),
        call_piece(2, "", id="c", name="h"),
        call_piece(3, "", name="unknown"),
    ]
    if reason is not None:
        items.append(delta(reason=reason))

    frames = told(items, ServedEnd("completed" if reason else "stopped"))

    text: dict[int, str] = {}
    for frame in frames[:-1]:
        for piece in frame["choices"][0]["delta"].get("tool_calls", ()):
            text[piece["index"]] = text.get(piece["index"], "") + piece["function"]["arguments"]
    assert text == {0: '{"x":1}', 1: '{"y":', 2: ""}
    assert frames[-2]["choices"][0]["finish_reason"] == "length"


def test_a_call_that_is_none_is_an_error_behind_what_came() -> None:
    garbled = [delta(content="Hi"), call_piece(0, '{"x":1}{"x":2}', id="a", name="f"), delta(reason="tool_calls")]

    *_, last = told(garbled)

    assert last["error"]["code"] == "bad_answer"
    with pytest.raises(ToolCallError):
        told([*garbled[:2], call_piece(1, "{}", id="b", name="g")])


# Conversations.


def test_a_conversation_is_one_answer_and_what_was_run_here_is_not_the_clients() -> None:
    frames = told(CONVERSATION, **ASKS_FOR_USAGE)
    answer = completion_of(written(OpenAIChat(), CONVERSATION, **ASKS_FOR_USAGE))

    assert answer.text == "Let me see.It is sunny."
    assert answer.message.reasoning_text == "Oslo, then."
    assert not answer.message.tool_calls
    assert answer.choices[0].finish_reason == "stop"
    assert frames[-2]["usage"] == {name: 2 * count for name, count in USAGE.items()}


def test_a_refusal_in_a_conversation() -> None:
    refused = RoundCompleted(round=1, completion=completion("", refusal="No."), messages=())

    assert completion_of(written(OpenAIChat(), [refused])).message.refusal == "No."


@pytest.mark.parametrize("stopped", [Stopped(round=1), Stopped(round=1, completion=completion("Hel"))])
def test_a_conversation_that_was_stopped(stopped: Stopped) -> None:
    frames = told([TextDelta(round=1, text="Hel"), stopped], **ASKS_FOR_USAGE)

    assert [frame["choices"][0]["finish_reason"] for frame in frames[:2]] == [None, "length"]
    assert (len(frames) == 4) == (stopped.completion is not None)


# Errors.


def test_an_error_in_the_stream_is_the_last_frame() -> None:
    error = PublicError(429, "rate_limited", "Busy.")

    assert told(["Hi"], ServedEnd("failed", error))[1:] == [
        {"error": {"message": "Busy.", "type": "rate_limit_error", "param": None, "code": "rate_limited"}}
    ]
    assert json.loads(OpenAIChat().refusal(PublicError(502, "unreachable", "Gone.")) or b"")["error"] == {
        "message": "Gone.",
        "type": "server_error",
        "param": None,
        "code": "unreachable",
    }


@pytest.mark.parametrize(
    "items",
    [
        [delta(content="Hi"), restarting(delta(content="Ho"))],
        ["Hi", LogItem(LogPosition(1, 1), "Ho", restarts=True)],
        [TextDelta(round=1, text="Hi"), Restarted(round=1)],
    ],
)
async def test_an_answer_that_begins_anew_after_something_was_told_is_an_error(items: list[object]) -> None:
    wire = b"".join([each async for each in serving.frames(reactivex.from_iterable(items), protocol="openai-chat")])

    *_, last = frames_of(wire)

    assert last["error"]["code"] == "restarted"
    with pytest.raises(RestartError):
        told(items)


@pytest.mark.parametrize(
    "items",
    [
        [delta(role="assistant"), restarting(delta(content="Hi"))],
        [LogItem(LogPosition(1, 0), delta(role="assistant")), LogItem(LogPosition(1, 1), "Hi", restarts=True)],
        [Restarted(round=1), TextDelta(round=1, text="Hi")],
        [TextDelta(round=1, text="H"), Restarted(round=2), TextDelta(round=2, text="i")],
    ],
)
def test_an_answer_that_begins_anew_before_that_is_nothing(items: list[object]) -> None:
    assert completion_of(written(OpenAIChat(), items)).text == "Hi"


@pytest.mark.parametrize(
    ("items", "most"),
    [
        ([delta(index, content="x") for index in range(129)], 128),
        ([delta(1000 + index, content="x") for index in range(129)], 128),
        ([chunk(**{f"f{number}": 1}) for number in range(10_001)], 10_000),
    ],
)
def test_what_a_server_may_say_is_bounded(items: list[StreamChunk], most: int) -> None:
    with pytest.raises(LimitExceededError, match=f"more than {most}"):
        told(items)


def test_a_second_answer_and_what_is_none_are_errors() -> None:
    begins = marked(delta(content="Hi"), begins=True)

    with pytest.raises(MixedAnswersError):
        told([begins, begins])
    with pytest.raises(TypeError, match="serve what chat_stream"):
        told([object()])


def test_half_a_character_of_the_application_is_mended() -> None:
    assert completion_of(written(OpenAIChat(), ["a\ud800"])).text == "a�"


# One object.


def whole(items: Iterable[object], end: ServedEnd | None = None, **body: Any) -> dict[str, Any]:
    writer = OpenAIChat().whole(Asked(body={"model": "theirs", **body}))
    assert writer is not None
    writer.add(tuple(items))
    answer: dict[str, Any] = json.loads(writer.end(end or ServedEnd("completed")))
    return answer


def test_who_asks_for_no_stream_gets_one_object() -> None:
    assert whole(ANSWER) == {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "Hm. "},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": USAGE,
    }
    assert OpenAIChat().whole(Asked(body={"stream": True})) is None
    assert OpenAIChat().whole(Asked()) is None


def test_calls_in_one_object() -> None:
    custom = {"index": 2, "id": "d", "type": "custom", "custom": {"name": "run", "input": "ls"}}

    (choice,) = whole([*CALLS[:-2], delta(tool_calls=[custom]), delta(reason="tool_calls")])["choices"]

    assert choice["finish_reason"] == "tool_calls"
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["c1", "c2", "d"]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert choice["message"]["tool_calls"][2] == {"id": "d", "type": "custom", "custom": {"name": "run", "input": "ls"}}


@pytest.mark.parametrize(
    "items",
    [
        [delta(content="Ho"), restarting(delta(content="Hi"))],
        ["Ho", LogItem(LogPosition(1, 1), "Hi", restarts=True)],
        [LogItem(LogPosition(1, 0), "Ho"), LogItem(LogPosition(1, 1), restarting(delta(content="Hi")))],
        [TextDelta(round=1, text="Ho"), Restarted(round=1), TextDelta(round=1, text="Hi")],
    ],
)
def test_one_object_may_begin_anew(items: list[object]) -> None:
    assert whole(items)["choices"][0]["message"]["content"] == "Hi"


def test_a_round_that_begins_anew_takes_back_nothing_else() -> None:
    first = RoundCompleted(round=1, completion=completion("H"), messages=())
    items = [TextDelta(round=1, text="H"), first, TextDelta(round=2, text="o"), Restarted(round=2)]

    answer = whole([*items, ReasoningDelta(round=2, text="?"), TextDelta(round=2, text="i")], ServedEnd("stopped"))

    assert answer["choices"][0]["message"]["content"] == "Hi"
    assert answer["choices"][0]["finish_reason"] == "length"


# Laws.


def view(answer: ChatCompletion) -> object:
    """What both ends must agree on."""
    choices = [
        (
            choice.index,
            choice.message.text,
            choice.message.reasoning_text,
            choice.message.refusal,
            [(call.id, call.type, call.function.name, call.function.arguments) for call in choice.message.tool_calls],
            # An SDK refuses an answer that does not say.
            choice.finish_reason or "stop",
        )
        for choice in answer.choices
    ]
    return choices, answer.usage and answer.usage.model_dump(exclude_none=True)


@every_recorded
def test_an_answer_of_any_dialect_comes_back_the_same(dialect: str, wire: bytes) -> None:
    chunks, errors = read(wire, dialect)
    there = framed(OpenAIChat(include_usage=True), chunks, errors[0] if errors else None)
    again, told_errors = read(there, "openai-chat")
    before, after = StreamAccumulator(), StreamAccumulator()
    before.add_all(chunks)
    after.add_all(again)

    assert len(errors) == len(told_errors)
    if errors:
        assert after.partial().text == before.partial().text
    else:
        assert view(after.completion(ended=True)) == view(before.completion(ended=True))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(st.tuples(st.integers(0, 3), TEXTS, TEXTS), max_size=20))
def test_texts_come_back_the_same(pieces: list[tuple[int, str, str]]) -> None:
    items = [delta(index, content=text, reasoning_content=thought) for index, text, thought in pieces]

    answer = completion_of(written(OpenAIChat(), items))

    for index in {index for index, text, thought in pieces if text or thought}:
        (choice,) = [each for each in answer.choices if each.index == index]
        assert choice.message.text == "".join(text for at, text, _ in pieces if at == index)
        assert (choice.message.reasoning_text or "") == "".join(thought for at, _, thought in pieces if at == index)


@given(st.lists(st.dictionaries(TEXTS, TEXTS, max_size=3), min_size=1, max_size=4), st.data())
def test_calls_come_back_the_same_however_they_are_cut(inputs: list[dict[str, str]], data: st.DataObject) -> None:
    items: list[StreamChunk] = []
    expected: list[tuple[str, str, str]] = []
    for number, value in enumerate(inputs):
        text = json.dumps(value)
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)) | {0, len(text)})
        pieces = [text[start:end] for start, end in pairwise(cuts)]
        items.append(call_piece(number, "", id=f"c{number}", name="f"))
        items += [call_piece(number, piece) for piece in pieces]
        expected.append((f"c{number}", "f", text))

    assert calls_of([*items, delta(reason="tool_calls")]) == expected


async def test_an_error_before_the_first_frame_is_one_in_frames() -> None:
    error = APIStatusError("busy at https://secret.internal", status=429)

    (only,) = [each async for each in serving.frames(reactivex.throw(error), protocol="openai-chat")]

    assert frames_of(only)[0]["error"]["code"] == "rate_limited"
    assert b"secret" not in only
