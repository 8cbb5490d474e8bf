"""A conversation on its way to a provider: what goes back as it came, and what is converted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import Endpoint, OpenAIChat, Ported, ported
from rxllm.models import (
    ChatRequest,
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCall,
    FunctionCallDelta,
    Message,
    MessageLike,
    MessagePart,
    Origin,
    Repair,
    StreamChoice,
    StreamChunk,
    StreamInfo,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    marked,
)
from rxllm.testing import finish_chunk

HOME = Origin(dialect="here", host="h")
STREAM = StreamInfo(dialect="here", host="h")


def is_home(origin: Origin) -> bool:
    return origin.dialect == "here" and origin.host == "h"


def sent(*messages: MessageLike) -> Ported:
    return ported(messages, is_home)


def answer(stream: StreamInfo = STREAM, call_id: str = "toolu_1", text: str = "Rome: ") -> Message:
    """An answer with a thought, a text and a call, folded from chunks."""

    def of(part: DeltaPart, **delta: Any) -> StreamChunk:
        return marked(StreamChunk(choices=[StreamChoice(delta=Delta(part=part, **delta))]), stream=stream)

    def block(index: int, **fields: Any) -> Sequence[DeltaBlock]:
        return [DeltaBlock(index=index, block=fields)]

    function = FunctionCallDelta(name="weather", arguments='{"city": "Rome"}')
    call = ToolCallDelta(index=0, id=call_id, type="function", function=function)
    accumulator = StreamAccumulator()
    accumulator.add_all(
        [
            of(DeltaPart(index=0, kind="reasoning"), reasoning_content="Hm.", blocks=block(0, signature="s")),
            of(DeltaPart(index=1, kind="text"), content=text, blocks=block(1, text=text)),
            of(DeltaPart(index=2, kind="tool_call", id=call_id), tool_calls=[call], blocks=block(2, id=call_id)),
            marked(finish_chunk("tool_calls"), stream=stream),
        ]
    )
    return accumulator.completion().message


def elsewhere(call_id: str = "toolu_1", **stream: Any) -> Message:
    return answer(StreamInfo.model_validate({"dialect": "there", "host": "h", **stream}), call_id)


def result(call_id: str, text: str = "mild") -> Message:
    return Message.tool(text, tool_call_id=call_id)


def message(each: MessageLike) -> Message:
    assert isinstance(each, Message)
    return each


def ids_of(conversation: Ported) -> list[str]:
    """The identifiers of calls and results in their order."""
    found: list[str] = []
    for each in conversation.messages:
        if isinstance(each, Message):
            found += [call.id for call in each.tool_calls] + ([each.tool_call_id] if each.tool_call_id else [])
        else:
            found += [call["id"] for call in each.get("tool_calls", ())]
            found += [each["tool_call_id"]] if "tool_call_id" in each else []
    return found


def lost_in(conversation: Ported) -> list[tuple[int, list[str]]]:
    assert all(
        repair == Repair("lost-in-conversion", repair.position, repair.before, None) for repair in conversation.repairs
    )
    return [(repair.position, repair.before) for repair in conversation.repairs]


# As it came


def test_an_answer_goes_back_as_it_came() -> None:
    own = answer()
    conversation = sent(Message.user("q"), own, result("toolu_1"))
    assert conversation.verbatim == [False, True, False]
    assert conversation.messages == [Message.user("q"), own, result("toolu_1")]
    assert conversation.repairs == []


def as_text(own: Message) -> MessageLike:
    return Message.model_validate_json(own.model_dump_json())


def as_fields(own: Message) -> MessageLike:
    return Message.model_validate(own.model_dump())


def as_json(own: Message) -> MessageLike:
    fields: dict[str, Any] = json.loads(own.model_dump_json())
    return fields


def as_short_json(own: Message) -> MessageLike:
    return own.model_dump(mode="json", exclude_none=True)


def as_shortest_json(own: Message) -> MessageLike:
    """Without the role of an answer, which is so by default."""
    return own.model_dump(mode="json", exclude_defaults=True)


@pytest.mark.parametrize("stored", [as_text, as_fields, as_json, as_short_json, as_shortest_json])
def test_so_it_does_after_it_was_stored(stored: Callable[[Message], MessageLike]) -> None:
    own = answer()
    conversation = sent(stored(own), stored(result("toolu_1")))
    assert conversation.verbatim == [True, False]
    assert message(conversation.messages[0]).parts == own.parts
    other = elsewhere()
    conversation = sent(stored(other), stored(result("toolu_1")))
    assert conversation == sent(other, result("toolu_1"))


@pytest.mark.parametrize(
    "change",
    [
        {"content": "Florence: "},
        {"content": None},
        {"tool_calls": []},
        {"tool_calls": [ToolCall(id="toolu_1", function=FunctionCall(name="weather", arguments="{}"))]},
    ],
    ids=str,
)
def test_an_answer_that_was_edited_is_converted(change: Mapping[str, Any]) -> None:
    edited = answer().model_copy(update=change)
    conversation = sent(edited, result("toolu_1"))
    assert conversation.verbatim == [False, False]
    # Its calls stay what they are: it is of here.
    assert conversation.messages == [edited, result("toolu_1")]
    assert lost_in(conversation) == [(0, ["reasoning"])]


def test_what_was_edited_besides_does_not_matter() -> None:
    assert sent(answer().model_copy(update={"reasoning_content": "x", "name": "n"})).verbatim == [True]


def test_an_answer_without_parts_is_converted() -> None:
    plain = Message(content="a", origin=HOME)
    assert sent(plain) == Ported([plain], [False], [])


# Of elsewhere


@pytest.mark.parametrize(
    "stream", [{"dialect": "there"}, {"dialect": "here", "host": "h:1"}, {"dialect": "here", "host": None}], ids=str
)
def test_an_answer_of_another_dialect_or_host_is_converted(stream: dict[str, Any]) -> None:
    conversation = sent(Message.user("q"), elsewhere(**stream), result("toolu_1"), Message.user("and?"))
    new = ToolCall(id="call00001", function=FunctionCall(name="weather", arguments='{"city": "Rome"}'))
    assert conversation.messages == [
        Message.user("q"),
        Message.assistant("Rome: ", tool_calls=[new]),
        result("call00001"),
        Message.user("and?"),
    ]
    assert conversation.verbatim == [False] * 4
    assert lost_in(conversation) == [(1, ["reasoning"])]


def test_nothing_of_the_other_provider_goes_along() -> None:
    other = elsewhere()
    other = Message.model_validate(
        {
            **other.model_dump(),
            "reasoning": "r",
            "reasoning_details": [{"signature": "s"}],
            "thinking": "t",
            "content_parts": [{}],
            "images": [{"image_url": "x"}],
            "id_original": 5,
            "annotations": [{"type": "url_citation"}],
            "tool_calls": [
                {
                    "id": "toolu_1",
                    "function": {"name": "f", "arguments": "{}", "x": 1},
                    "extra_content": {"google": {"thought_signature": "s"}},
                    "index_original": 1,
                }
            ],
        }
    )
    conversation = sent(other)
    (converted,) = conversation.messages
    assert message(converted).model_dump(exclude_unset=True) == {
        "role": "assistant",
        "content": "Rome: ",
        "name": None,
        "refusal": None,
        "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "function_call": None,
    }
    assert lost_in(conversation) == [(0, ["annotations", "extra_content", "images", "reasoning"])]


def test_tools_of_the_server_are_lost() -> None:
    kinds = ("server_tool", "server_result", "image", "dance", "text", "refusal", "tool_call")
    parts = [MessagePart(index=index, kind=kind) for index, kind in enumerate(kinds)]
    assert lost_in(sent(Message(content="a", parts=parts, origin=Origin(dialect="there")))) == [
        (0, ["dance", "image", "server_result", "server_tool"])
    ]
    assert lost_in(sent(Message(content="a", parts=parts))) == [(0, ["dance", "image", "server_result", "server_tool"])]


def test_what_was_spoken_is_said_in_its_words() -> None:
    spoken = Message(audio={"id": "a", "data": "x", "transcript": "Hello"}, origin=Origin(dialect="there"))
    conversation = sent(spoken)
    assert [message(each).content for each in conversation.messages] == ["Hello"]
    assert message(conversation.messages[0]).audio is None
    assert lost_in(conversation) == [(0, ["audio"])]
    silent = sent(spoken.model_copy(update={"audio": {"id": "a"}}))
    assert [message(each).content for each in silent.messages] == [None]


def test_a_call_of_the_older_protocol_is_left_to_the_dialect() -> None:
    old = Message(function_call=FunctionCall(name="f"), origin=Origin(dialect="there"))
    assert message(sent(old).messages[0]).function_call == FunctionCall(name="f")


def test_the_input_of_a_custom_tool_stays() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}, "function": {"name": "f"}}
    old = Message.model_validate({"tool_calls": [call], "origin": {"dialect": "there"}})
    (new,) = message(sent(old).messages[0]).tool_calls
    assert new.model_dump() == {**call, "id": "call00001", "function": {"name": "f", "arguments": "{}"}}
    assert lost_in(sent(old)) == []


# By hand


def test_messages_made_by_hand_stay_as_they_are() -> None:
    call = ToolCall(id="mine", function=FunctionCall(name="f"))
    messages = [
        Message.system("s"),
        Message.user("q"),
        Message.assistant("a", tool_calls=[call]),
        result("mine"),
        Message(content="a", reasoning_content="r"),
    ]
    assert sent(*messages) == Ported([*messages], [False] * 5, [])


def test_only_answers_come_from_somewhere() -> None:
    messages = [Message(role="user", content="q", origin=Origin(dialect="there")), result("x")]
    messages[1].origin = Origin(dialect="there")
    assert sent(*messages) == Ported([*messages], [False] * 2, [])


def test_a_dictionary_is_a_message() -> None:
    conversation = sent({"role": "user", "content": "q"}, elsewhere(), {"role": "tool", "tool_call_id": "toolu_1"})
    assert conversation.messages[0] == Message.user("q")
    assert ids_of(conversation) == ["call00001", "call00001"]


@pytest.mark.parametrize(
    "odd", [{"type": "reasoning", "id": "rs_1"}, {"role": "user", "content": 5}, {"role": "tool", "tool_call_id": 5}]
)
def test_what_is_no_message_is_passed_on(odd: dict[str, Any]) -> None:
    assert sent(odd) == Ported([odd], [False], [])


def as_they_are(*messages: MessageLike) -> Ported:
    return ported(messages, is_home, reads_dictionaries=False)


def test_dictionaries_may_be_left_as_they_are() -> None:
    spoken = {"role": "user", "content": "q"}
    calls = {"role": "assistant", "tool_calls": [{"id": "call00001", "function": {"name": "f"}}, 5]}
    outcome = {"role": "tool", "tool_call_id": "toolu_1", "content": "mild"}
    conversation = as_they_are(spoken, calls, elsewhere(), outcome)
    assert conversation.messages[:2] == [spoken, calls]
    assert conversation.messages[3] == {**outcome, "tool_call_id": "call00002"}
    # What has the identifier of a dictionary's call is that one's result.
    again = {"role": "assistant", "tool_calls": [{"id": "toolu_1"}]}
    assert as_they_are(elsewhere(), again, outcome).messages[1:] == [again, outcome]
    odd = {"role": "assistant", "tool_calls": {"id": "toolu_1"}}
    assert as_they_are(elsewhere(), odd, outcome).messages[2] == {**outcome, "tool_call_id": "call00001"}


def test_those_that_were_messages_of_ours_are_read_all_the_same() -> None:
    other, failed = elsewhere(), ToolResult(call=elsewhere().tool_calls[0], content="no", error="failed").message()
    stored = [json.loads(each.model_dump_json()) for each in (other, failed)]
    assert as_they_are(*stored) == as_they_are(other, failed)
    assert as_they_are(as_shortest_json(other), as_shortest_json(failed)) == as_they_are(other, failed)
    body = OpenAIChat().http_request(ChatRequest(model="m", messages=stored), Endpoint(base_url="http://h")).body
    assert body["messages"] == [
        {
            "role": "assistant",
            "content": "Rome: ",
            "tool_calls": [
                {
                    "id": "call00001",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                }
            ],
        },
        {"role": "tool", "content": "no", "tool_call_id": "call00001"},
    ]


# Identifiers


def test_results_follow_their_calls_though_each_answer_has_the_same_identifiers() -> None:
    conversation = sent(elsewhere("x"), result("x"), elsewhere("x"), result("x"), answer(call_id="x"), result("x"))
    assert ids_of(conversation) == ["call00001"] * 2 + ["call00002"] * 2 + ["x"] * 2


def test_calls_of_one_answer_under_one_identifier_have_their_results_in_order() -> None:
    call = ToolCall(id="x", function=FunctionCall(name="f"))
    both = Message(tool_calls=[call, call], origin=Origin(dialect="there"))
    assert ids_of(sent(both, result("x"), result("x"), result("x"))) == [
        *("call00001", "call00002", "call00001", "call00002", "call00002"),
    ]


def test_no_identifier_is_given_twice() -> None:
    taken = ToolCall(id="call00001", function=FunctionCall(name="f"))
    hand_made = Message.assistant(tool_calls=[taken])
    conversation = sent(elsewhere("a"), result("a"), hand_made, result("call00001"), elsewhere("b"), result("b"))
    assert ids_of(conversation) == [*["call00002"] * 2, *["call00001"] * 2, *["call00003"] * 2]


TURNS = st.lists(st.tuples(st.sampled_from(["here", "there", "by hand"]), st.sampled_from(["x", "y", "z"])), max_size=8)


def conversation_of(turns: Iterable[tuple[str, str]]) -> list[Message]:
    messages: list[Message] = []
    for place, (kind, call_id) in enumerate(turns):
        own = answer(StreamInfo(dialect=kind, host="h"), call_id)
        messages += [own if kind != "by hand" else own.model_copy(update={"origin": None, "parts": []})]
        messages += [result(call_id, str(place))]
    return messages


@given(TURNS)
def test_each_result_has_the_identifier_of_its_call(turns: list[tuple[str, str]]) -> None:
    conversation = sent(*conversation_of(turns))
    found = ids_of(conversation)
    assert found[::2] == found[1::2]
    given_here = [each for each, (kind, _) in zip(found[::2], turns, strict=True) if kind == "there"]
    assert len({*given_here}) == len(given_here)
    assert {*given_here}.isdisjoint("xyz")
    assert conversation.verbatim[::2] == [kind == "here" for kind, _ in turns]


@given(TURNS, TURNS)
def test_a_conversation_that_grows_begins_the_same(turns: list[tuple[str, str]], more: list[tuple[str, str]]) -> None:
    before, after = sent(*conversation_of(turns)), sent(*conversation_of([*turns, *more]))
    assert after.messages[: len(before.messages)] == before.messages
    assert after.repairs[: len(before.repairs)] == before.repairs


@given(TURNS)
def test_what_is_given_is_left_as_it_is(turns: list[tuple[str, str]]) -> None:
    messages = conversation_of(turns)
    sent(*messages)
    assert messages == conversation_of(turns)
