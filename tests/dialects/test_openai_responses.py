"""What the decoder of the Responses API makes of its events, also of those that are not as OpenAI sends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rxllm
from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    LimitExceededError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, Message, PartKind, StreamChunk
from rxllm.wire import ServerSentEvent
from tests.dialects.responses_streams import (
    USAGE,
    Event,
    call,
    cited,
    code,
    completion_of,
    custom_call,
    decode,
    events_of,
    message,
    reasoning,
    response,
    web_search,
)

ALL = [
    reasoning("Think.", "Think again."),
    web_search("x"),
    message("Hello world", annotations=[cited(0, 5)]),
    call("f", '{"a": [1, 2]}'),
    custom_call("g", "free text"),
    code("print(7)"),
    message("Bye", id="msg_2"),
]


def said(completion: ChatCompletion) -> dict[str, Any]:
    """What an answer says, whatever its identifiers are."""
    answer = completion.message
    return {
        "content": answer.content,
        "reasoning": answer.reasoning_text,
        "refusal": answer.refusal,
        "calls": [(each.id, each.type, each.function.name, each.function.arguments) for each in answer.tool_calls],
        "annotations": answer.annotations,
        "reason": completion.choices[0].finish_reason,
        "usage": completion.usage,
        "parts": [(each.index, each.kind, each.name, each.text, each.final) for each in answer.parts],
    }


def native_of(completion: ChatCompletion) -> Any:
    """Why an answer ended, in the provider's word."""
    return (completion.choices[0].model_extra or {}).get("native_finish_reason")


def without(events: list[Event], *words: str) -> list[Event]:
    return [event for event in events if not event["type"].endswith(words)]


def changed(events: list[Event], change: Callable[[Event], Event]) -> list[Event]:
    return [change(json.loads(json.dumps(event))) for event in events]


def drop(*names: str) -> Callable[[Event], Event]:
    return lambda event: {name: value for name, value in event.items() if name not in names}


def other_ids() -> Callable[[Event], Event]:
    """Another identifier of each item in each event, as Copilot has it."""
    count = iter(range(10_000))

    def change(event: Event) -> Event:
        items = [event.get("item"), *event.get("response", {}).get("output", ())]
        for item in filter(None, items):
            item["id"] = f"id{next(count)}"
        return {**event, "item_id": f"id{next(count)}"} if "item_id" in event else event

    return change


def no_output(event: Event) -> Event:
    return {**event, "response": {**event["response"], "output": []}} if "response" in event else event


def no_ids(event: Event) -> Event:
    for item in filter(None, [event.get("item"), *event.get("response", {}).get("output", ())]):
        del item["id"]
    return drop("item_id")(event)


VARIANTS: dict[str, Callable[[list[Event]], list[Event]]] = {
    "no sequence numbers, no padding": lambda events: changed(events, drop("sequence_number", "obfuscation")),
    "gaps in the sequence numbers": lambda events: [{**event, "sequence_number": 7} for event in events],
    "nothing in the output at the end": lambda events: changed(events, no_output),
    "another identifier in each event": lambda events: changed(events, other_ids()),
    "no places": lambda events: changed(events, drop("output_index")),
    "no identifiers anywhere, no places": lambda events: changed(changed(events, drop("output_index")), no_ids),
    "no identifiers": lambda events: changed(events, drop("item_id")),
    "neither": lambda events: changed(events, drop("item_id", "output_index")),
    "not which of several texts": lambda events: changed(events, drop("content_index")),
    "no beginning": lambda events: without(events, ".created", ".in_progress"),
    "pieces only": lambda events: without(
        events, "text.done", "arguments.done", "input.done", "code.done", "part.done"
    ),
    "no parts": lambda events: without(events, "part.added", "part.done"),
    "texts in their ends only": lambda events: without(events, ".delta"),
    "texts in their items only": lambda events: without(
        events, ".delta", "text.done", "arguments.done", "input.done", "code.done", "part.done", "annotation.added"
    ),
    "items at their ends only": lambda events: [
        event for event in events if event["type"].startswith("response.output_item.done") or "response" in event
    ],
    "at the end only": lambda events: [event for event in events if "response" in event],
    "the end only": lambda events: events[-1:],
    "no items but in the end": lambda events: without(events, "output_item.done"),
    "keep-alives": lambda events: [each for event in events for each in (event, {"type": "keepalive"})],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_says_the_same(variant: str) -> None:
    want, got = completion_of(events_of(ALL)), completion_of(VARIANTS[variant](events_of(ALL)))

    assert want.repairs == got.repairs == ()
    expected = said(want)
    if "anywhere" in variant:
        assert {**said(got), "parts": []} == {**expected, "parts": []}
    elif "only" in variant and variant not in ("pieces only", "texts in their ends only"):
        # Of the code of the server and of annotations there were pieces; they are in the blocks as ever.
        assert {**said(got), "parts": []} == {**expected, "parts": []}
    else:
        assert said(got) == expected
    if variant not in ("another identifier in each event", "no identifiers anywhere, no places"):
        assert [part.block for part in got.message.parts] == ALL


def test_what_it_says() -> None:
    completion = completion_of(events_of(ALL))

    assert completion.text == "Hello worldBye"
    assert completion.message.reasoning_text == "Think.Think again."
    assert [(part.index, str(part.kind), part.id, part.name, part.text) for part in completion.message.parts] == [
        (0, "reasoning", "rs_1", None, "Think.Think again."),
        (1, "server_tool", "ws_1", None, ""),
        (2, "text", "msg_1", None, "Hello world"),
        (3, "tool_call", "call_1", "f", '{"a": [1, 2]}'),
        (4, "tool_call", "call_c", "g", "free text"),
        (5, "server_tool", "ci_1", None, "print(7)"),
        (6, "text", "msg_2", None, "Bye"),
    ]
    assert completion.message.annotations == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 5, "url": "https://a.example", "title": "A"},
            "part": 2,
        }
    ]
    assert completion.message.is_as_it_came
    assert completion.ending == "completed"
    assert (completion.id, completion.model, completion.created) == ("resp_1", "gpt-5-mini-2025-08-07", 1741269019)


def test_usage_means_what_it_means_everywhere() -> None:
    usage = completion_of(events_of([message("a")])).usage
    assert usage is not None
    assert usage.model_dump() == {
        "prompt_tokens": 20,
        "completion_tokens": 12,
        "total_tokens": 32,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 5},
        **USAGE,
    }


@pytest.mark.parametrize(
    ("usage", "want"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, (1, 2, 3)),
        ({"input_tokens": 1.0, "output_tokens": True, "total_tokens": -4}, (1, None, None)),
        ({"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}, (4, 5, 9)),
    ],
)
def test_odd_usage(usage: dict[str, Any], want: tuple[int | None, ...]) -> None:
    counted = completion_of(events_of([message("a")], usage=usage)).usage
    assert counted is not None
    assert (counted.prompt_tokens, counted.completion_tokens, counted.total_tokens) == want


def test_which_summary_a_piece_is_of_is_told() -> None:
    chunks, _ = decode(events_of([reasoning("One", "Two")]))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]

    assert [(each.part and each.part.sub, each.reasoning_content) for each in deltas if each.reasoning_content] == [
        (0, "One"),
        (1, "Two"),
    ]


def test_the_deltas_of_a_text_share_their_part() -> None:
    chunks, _ = decode(events_of([message("Hello to all of you out there")]))
    parts = {id(chunk.choices[0].delta.part) for chunk in chunks if chunk.text}

    assert len(parts) == 1


@pytest.mark.parametrize(
    ("status", "details", "reason", "native", "ending"),
    [
        ("completed", None, "stop", "completed", "completed"),
        ("incomplete", {"reason": "max_output_tokens"}, "length", "max_output_tokens", "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter", "content_filter", "content_filter"),
        ("incomplete", {"reason": "moonrise"}, "moonrise", "moonrise", "unknown"),
        ("incomplete", None, "incomplete", "incomplete", "unknown"),
    ],
)
def test_why_it_ended(status: str, details: Any, reason: str, native: str, ending: str) -> None:
    completion = completion_of(events_of([message("a")], status=status, incomplete_details=details))
    (choice,) = completion.choices

    assert (choice.finish_reason, native_of(completion), completion.ending) == (reason, native, ending)


def test_a_cancelled_answer_is_no_whole_one() -> None:
    chunks, error = decode(events_of([message("a")], status="cancelled"))

    assert isinstance(error, TruncatedStreamError)
    assert chunks[-1].choices[0].finish_reason == "cancelled"


@pytest.mark.parametrize(
    ("status", "reason"), [("incomplete", "length"), ("cancelled", "cancelled"), ("in_progress", "stop")]
)
def test_what_an_answer_says_of_itself_counts_if_its_event_says_that_it_is_whole(status: str, reason: str) -> None:
    events = events_of([message("a")], status=status, incomplete_details={"reason": "max_output_tokens"})
    events[-1] = {**events[-1], "type": "response.completed"}
    chunks, _ = decode(events)

    assert chunks[-1].choices[0].finish_reason == reason


def test_an_answer_that_says_that_it_failed() -> None:
    behind = {"type": "response.completed", "response": response(status="failed", error={"message": "Broken"})}
    _, caught = decode([*events_of([message("Hello")])[:5], behind])

    assert isinstance(caught, APIStreamError)


def test_a_refusal() -> None:
    refused = message("", content=[{"type": "refusal", "refusal": "I will not."}])
    completion = completion_of(events_of([refused]))

    assert completion.message.refusal == "I will not."
    assert completion.message.content is None
    assert completion.message.is_as_it_came
    assert not completion.message.model_copy(update={"refusal": "I may."}).is_as_it_came


def test_log_probabilities() -> None:
    events = events_of([message("Hello")])
    tokens: list[dict[str, Any]] = [{"token": "Hello", "logprob": -0.1, "bytes": None, "top_logprobs": []}]
    events = [{**event, "logprobs": tokens} if event["type"].endswith("text.delta") else event for event in events]

    assert completion_of(events).choices[0].logprobs == {"content": tokens}


# Calls that were cut.


def cut_call(arguments: str = '{"a": 1}') -> list[Event]:
    """A call that is announced as done, and was cut."""
    return events_of([call("f", "{}", id="fc_0", call_id="call_0"), call("g", arguments, status="incomplete")])


def test_a_cut_call_is_no_call() -> None:
    completion = completion_of(cut_call())

    assert completion.choices[0].finish_reason == "length"
    assert native_of(completion) == "completed"
    assert completion.message.tool_calls == []
    assert [each.name for each in completion.choices[0].incomplete_tool_calls] == ["f", "g"]
    assert [part.final for part in completion.message.parts] == [False, False]


@pytest.mark.parametrize(("arguments", "reason"), [('{"a":', "length"), ('{"a": 1}', "tool_calls"), ("", "length")])
def test_a_call_that_nobody_said_is_done(arguments: str, reason: str) -> None:
    events = without(events_of([call("f", arguments)]), ".done")
    completion = completion_of(changed(events, no_output))

    assert completion.choices[0].finish_reason == reason
    assert len(completion.message.tool_calls) == (reason == "tool_calls")


def test_a_call_without_arguments_has_empty_ones_and_no_repair() -> None:
    completion = completion_of(events_of([call("f", ""), call("g", "", call_id="call_2", id="fc_2")]))

    assert [each.function.arguments for each in completion.message.tool_calls] == ["{}", "{}"]
    assert completion.repairs == ()


@pytest.mark.parametrize("placeholder", ["{}", "null", "", None, {}, [], 5])
def test_arguments_at_the_beginning_may_be_a_placeholder(placeholder: Any) -> None:
    events = changed(
        events_of([call("f", '{"a": 1}')]),
        lambda event: (
            {**event, "item": {**event["item"], "arguments": placeholder}}
            if event["type"].endswith("item.added")
            else event
        ),
    )
    completion = completion_of(events)

    assert completion.message.tool_calls[0].function.arguments == '{"a": 1}'
    assert completion.repairs == ()


def test_arguments_that_are_an_object() -> None:
    events = without(events_of([call("f", "")]), ".delta", "arguments.done")
    events[-2]["item"]["arguments"] = events[-1]["response"]["output"][0]["arguments"] = {"a": 1}

    assert completion_of(events).message.tool_calls[0].function.parsed == {"a": 1}


def test_what_a_server_does_itself_is_no_call() -> None:
    mcp = {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "read",
        "arguments": '{"a": 1}',
        "output": "x",
        "status": "completed",
    }
    where = {"output_index": 0, "item_id": "mcp_1"}
    for kind in ("mcp_call_arguments", "mcp_call.arguments", "function_call_arguments", "custom_tool_call_input"):
        events = events_of([mcp])
        pieces = [{"type": f"response.{kind}.delta", **where, "delta": each} for each in ('{"a"', ": 1}")]
        completion = completion_of([*events[:3], *pieces, *events[3:]])

        assert completion.message.tool_calls == []
        assert completion.choices[0].finish_reason == "stop"
        (part,) = completion.message.parts
        assert (part.kind, part.name, part.text) == (PartKind.SERVER_TOOL, "read", '{"a": 1}')


@pytest.mark.parametrize(
    ("item", "delta", "text"),
    [
        ("shell_call", {"type": "response.shell_call_command.delta", "command_index": 0, "delta": "ls"}, "ls"),
        (
            "shell_call_output",
            {"type": "response.shell_call_output_content.delta", "delta": {"stdout": "a", "stderr": "b", "n": 1}},
            "ab",
        ),
        ("apply_patch_call", {"type": "response.apply_patch_call_operation_diff.delta", "delta": "+x"}, "+x"),
        ("apply_patch_call", {"type": "response.apply_patch_call_operation_diff.done", "diff": "+y"}, "+y"),
    ],
)
def test_texts_of_tools_of_the_server(item: str, delta: Event, text: str) -> None:
    events = events_of([{"type": item, "id": "x_1"}])
    completion = completion_of([*events[:3], {**delta, "output_index": 0}, *events[3:]])

    assert completion.message.parts[0].text == text
    assert completion.text == ""


def test_a_text_of_a_tool_of_the_server_in_its_item_only() -> None:
    completion = completion_of(events_of([{"type": "apply_patch_call", "id": "x_1", "operation": {"diff": "+x"}}]))

    assert completion.message.parts[0].text == "+x"


def test_kinds_of_items() -> None:
    types = ("image_generation_call", "mcp_list_tools", "program_output", "program", "compaction", "file_search_call")
    completion = completion_of(events_of([{"type": each, "id": each} for each in types]))

    kinds = [str(part.kind) for part in completion.message.parts]
    assert kinds == ["image", "server_result", "server_result", "server_tool", "other", "server_tool"]


def test_a_preview_of_an_image_is_in_the_event_only() -> None:
    events = events_of([{"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}])
    preview = {"type": "response.image_generation_call.partial_image", "output_index": 0, "partial_image_b64": "BBBB"}
    chunks, error = decode([*events[:3], preview, *events[3:]])

    assert error is None
    assert [chunk.event for chunk in chunks if chunk.event and "BBBB" in chunk.event] == [json.dumps(preview)]
    assert "BBBB" not in "".join(chunk.model_dump_json() for chunk in chunks)


# Items in odd places.


def test_several_items_are_open_at_once() -> None:
    first, second = events_of([message("Hello there"), call("f", '{"a": 123456}')]), []
    added = [event for event in first if event["type"].endswith(".added") and "item" in event]
    rest = [event for event in first if event not in added]
    texts = [event for event in rest if event.get("output_index") == 0]
    second = [event for event in rest if event.get("output_index") == 1]
    mixed = [each for pair in zip(texts, second, strict=False) for each in pair]
    left = [*texts[len(second) :], *second[len(texts) :]]

    assert said(completion_of([*rest[:2], *added, *mixed, *left, rest[-1]])) == said(completion_of(first))


def test_all_items_at_one_place() -> None:
    events = changed(events_of(ALL), lambda event: {**event, "output_index": 0} if "output_index" in event else event)

    assert said(completion_of(events)) == said(completion_of(events_of(ALL)))


def test_a_text_before_its_item() -> None:
    events = events_of([message("Hello"), call("f", '{"a": 1}')])
    for kind, index in (("message", 0), ("function_call", 1)):
        added = next(e for e in events if e["type"].endswith("item.added") and e["item"]["type"] == kind)
        delta = next(e for e in events if e["type"].endswith(".delta") and e["output_index"] == index)
        moved = [event for event in events if event is not added]
        moved.insert(moved.index(delta) + 1, added)
        assert said(completion_of(moved)) == said(completion_of(events))
        bare = changed(moved, drop("output_index", "item_id"))
        assert said(completion_of(bare))["calls"] == said(completion_of(events))["calls"]
        assert completion_of(bare).text == "Hello"


def test_an_annotation_before_any_item() -> None:
    events = events_of([message("Hello", annotations=[cited(0, 5)])])
    annotation = next(event for event in events if event["type"].endswith("annotation.added"))
    rest = [event for event in events if event is not annotation]

    for early in (annotation, drop("output_index", "item_id")(annotation)):
        completion = completion_of([*rest[:2], early, *rest[2:]])
        assert completion.text == "Hello"
        assert len(completion.message.annotations or ()) == 1
        assert len(completion.message.parts) == 1


def test_items_of_the_end_that_differ_replace() -> None:
    events = events_of([reasoning("Think."), message("Hello")])
    events[-1]["response"]["output"] = [
        {**reasoning("Think."), "encrypted_content": "new"},
        message("Hello", status="x"),
    ]
    parts = completion_of(events).message.parts

    assert [part.block for part in parts] == events[-1]["response"]["output"]
    assert [part.text for part in parts] == ["Think.", "Hello"]


def test_items_of_the_end_that_did_not_come_are_added() -> None:
    listed: list[dict[str, Any]] = [{"type": "mcp_list_tools", "id": each, "tools": []} for each in ("a", "b")]
    events = events_of([*listed, message("Hello")])
    rest = [event for event in events if event.get("output_index") != 1]
    completion = completion_of(rest)

    assert [part.block for part in completion.message.parts] == [*listed, message("Hello")]


def test_calls_in_another_order_at_the_end() -> None:
    calls = [call("f", '{"a": 1}', call_id="call_1"), call("g", '{"b": 2}', id="fc_2", call_id="call_2")]
    events = events_of(calls)
    events[-1]["response"]["output"] = [{**each, "id": f"x{each['id']}"} for each in reversed(calls)]
    completion = completion_of(events)

    assert said(completion) == said(completion_of(events_of(calls)))
    assert [(part.block or {})["name"] for part in completion.message.parts] == ["f", "g"]


def test_one_identifier_for_two_items() -> None:
    items = [reasoning("Think.", id="x"), message("Hello", id="x")]

    assert completion_of(events_of(items)).text == "Hello"
    assert [part.block for part in completion_of(events_of(items)).message.parts] == items


def test_more_items_at_the_end_than_have_places() -> None:
    events = events_of([message("Hello")])
    events[-1]["response"]["output"] = [reasoning("Late."), message("Hello"), message("More", id="msg_9")]
    completion = completion_of(events)

    assert completion.text == "HelloMore"
    assert sorted(str(part.kind) for part in completion.message.parts) == ["reasoning", "text", "text"]


def test_a_whole_text_that_differs_from_its_pieces_adds_nothing() -> None:
    events = changed(
        events_of([message("Hello")]),
        lambda event: {**event, "text": "Something else"} if event["type"].endswith("text.done") else event,
    )

    assert completion_of(events).text == "Hello"


@pytest.mark.parametrize("end", ["text.done", "item.done"])
def test_what_a_whole_text_says_more(end: str) -> None:
    events = events_of([message("Hello you all")])
    last = [event for event in events if event["type"].endswith("text.delta")][-1]
    events.remove(last)

    assert completion_of(without(events, end)).text == "Hello you all"


def test_an_item_that_does_not_say_what_it_is() -> None:
    events = changed(
        events_of(ALL), lambda e: {**e, "item": {"id": e["item"]["id"]}} if e["type"].endswith("item.added") else e
    )

    assert said(completion_of(events)) == said(completion_of(events_of(ALL)))
    _, error = decode([*events[:3], {"type": "response.output_text.delta", "output_index": 0, "delta": "x"}])
    assert isinstance(error, TruncatedStreamError)


def test_a_text_at_the_place_of_another_kind_of_item_is_of_a_new_one() -> None:
    events = events_of([reasoning("Think."), message("Hello")])
    completion = completion_of([event for event in events if "message" not in str(event.get("item"))])
    moved = [{**event, "output_index": 0} if event.get("output_index") == 1 else event for event in events]

    assert completion.text == "Hello"
    assert completion_of([event for event in moved if "message" not in str(event.get("item"))]).text == "Hello"


def test_a_text_that_is_not_yet_announced_is_not_taken_for_another_item() -> None:
    events = events_of([message("Hello"), message("Bye", id="msg_2")])
    first = [event for event in events if event.get("output_index") == 0]
    second = [event for event in events if event.get("output_index") == 1]
    delta = next(event for event in first if event["type"].endswith("delta"))
    first.remove(delta)
    completion = completion_of([*events[:2], delta, second[0], *first, *second[1:], events[-1]])

    assert said(completion) == said(completion_of(events))


def test_an_item_that_is_done_at_the_place_of_another() -> None:
    events = events_of([reasoning("Think.")])
    done = {"type": "response.output_item.done", "output_index": 0, "item": message("Hello")}
    completion = completion_of([*events[:-1], done, changed(events[-1:], no_output)[0]])

    assert [part.block for part in completion.message.parts] == [reasoning("Think."), message("Hello")]


def test_events_that_nobody_knows_are_no_errors() -> None:
    events = events_of([message("Hello")])
    odd = {"type": "response.steer.failed", "error": {"message": "x"}, "status": "error"}

    assert completion_of([*events[:3], odd, *events[3:]]).text == "Hello"
    _, error = decode([*events[:3], {"type": "gateway", "error": {"message": "x"}}, *events[3:]])
    assert isinstance(error, APIStreamError)


def test_an_annotation_in_chat_completions_form_stays_so() -> None:
    chat = {"type": "url_citation", "url_citation": {"url": "https://a.example"}}
    assert completion_of(events_of([message("a", annotations=[chat])])).message.annotations == [{**chat, "part": 0}]


def test_what_a_gateway_names_otherwise_is_passed_over() -> None:
    decoder = get_dialect("openai-responses").decoder()
    events = events_of([message("a")])
    list(decoder.decode(ServerSentEvent("not json", "gateway")))
    chunks = [chunk for event in events for chunk in decoder.decode(json.dumps(event))]

    assert [repair.kind for repair in chunks[0].repairs] == ["event-passed-over"]


def test_odd_content() -> None:
    odd = message("", content=["x", {"type": "output_text", "text": 5, "annotations": 5}, {"type": "other"}])
    thought = {**reasoning(), "summary": None, "content": {"x": 1}}

    events = [{"type": "response.completed", "response": response([odd, thought])}]
    assert completion_of(events).text == ""
    assert len(completion_of(events).message.parts) == 2


def test_a_call_whose_name_comes_at_its_end() -> None:
    events = changed(
        events_of([call("f", '{"a": 1}')]),
        lambda e: {**e, "item": drop("name")(e["item"])} if e["type"].endswith("item.added") else e,
    )

    assert (
        completion_of(events).message.tool_calls == completion_of(events_of([call("f", '{"a": 1}')])).message.tool_calls
    )


def test_an_item_that_is_announced_twice() -> None:
    events = events_of([call("f", '{"a": 1}')])

    assert said(completion_of([*events[:3], events[2], *events[3:]])) == said(completion_of(events))


def test_an_item_that_is_done_twice() -> None:
    events = events_of([message("Hello")])
    again = {**events[-2], "item": message("Hello", phase="final_answer")}

    assert said(completion_of([*events[:-1], again, events[-1]])) == said(completion_of(events))


@given(st.lists(st.sampled_from(range(len(ALL))), max_size=6), st.sampled_from(sorted(VARIANTS)))
def test_any_items_in_any_variant(places: list[int], variant: str) -> None:
    items = [
        {**ALL[place], "id": f"{ALL[place]['id']}_{number}"}
        | ({"call_id": f"call_{number}"} if "call_id" in ALL[place] else {})
        for number, place in enumerate(places)
    ]
    want, got = completion_of(events_of(items)), completion_of(VARIANTS[variant](events_of(items)))

    for name in ("content", "reasoning", "calls", "reason", "usage"):
        assert said(got)[name] == said(want)[name]
    assert [part.kind for part in got.message.parts] == [part.kind for part in want.message.parts]


# Characters.


def test_a_character_that_is_cut_in_two() -> None:
    events: list[Event | str] = [*events_of([message("ab")])]
    text = json.dumps(events[4])
    halves = [text.replace('"ab"', f'"{half}"') for half in ("a\\ud83d", "\\ude00b", "c\\ud83d", "d", "\\ud83d")]
    chunks, error = decode([*events[:4], *halves, *events[7:]])

    assert error is None
    assert "".join(chunk.text for chunk in chunks) == "a😀bc\ufffdd\ufffd"


def test_half_a_character_in_the_midst() -> None:
    events: list[Event | str] = [*events_of([message("ab")])]
    broken = json.dumps(events[4]).replace('"ab"', '"a\\udc00b\\ud83dc"')
    chunks, _ = decode([*events[:4], broken, events[-1]])

    assert "".join(chunk.text for chunk in chunks) == "a\ufffdb\ufffdc"
    assert all(chunk.model_dump_json().encode() for chunk in chunks)


def test_a_whole_text_has_the_character_that_was_cut() -> None:
    events: list[Event | str] = [*events_of([message("ab")])]
    half = json.dumps(events[4]).replace('"ab"', '"a\\ud83d"')
    whole = {**json.loads(json.dumps(events[5])), "text": "a😀"}
    chunks, _ = decode([*events[:4], half, whole, *events[7:]])

    assert "".join(chunk.text for chunk in chunks) == "a😀"


# Bad input.


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("Hello", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        ({"type": "response.output_item.added", "output_index": 0}, "it has no item"),
        ({"type": "response.output_item.done", "item": 5}, "it has no item"),
        ({"type": "response.output_text.delta", "delta": 5}, "it has no text for a delta"),
        ({"type": "response.content_part.added", "part": None}, "it has no part"),
        ({"type": "response.output_text.annotation.added"}, "it has no annotation"),
        ({"type": "response.created", "response": response(id="resp_2")}, "another answer begins with it"),
    ],
)
def test_bad_events(event: Any, message: str) -> None:
    events = events_of([reasoning("Think.")])
    chunks, error = decode([*events[:4], event])

    assert isinstance(error, DecodeError)
    assert message in str(error)
    assert (error.dialect, error.position) == ("openai-responses", 4)
    assert error.text in (event if isinstance(event, str) else json.dumps(event))
    assert len(chunks) == 4


@pytest.mark.parametrize(
    ("event", "protocol"),
    [
        ('{"choices": [{"index": 0, "delta": {"content": "Hi"}}]}', "chat completions of OpenAI"),
        ('{"type": "message_start", "message": {}}', "Messages API of Anthropic"),
        ('{"candidates": []}', "Gemini"),
    ],
)
def test_a_stream_of_another_dialect_is_named(event: str, protocol: str) -> None:
    _, error = decode([event])

    assert isinstance(error, DecodeError)
    assert protocol in str(error)


def test_what_a_gateway_puts_in_is_passed_over() -> None:
    events = events_of([message("Hello")])
    chat = '{"choices": [{"index": 0, "delta": {"content": "Hi"}}]}'
    completion = completion_of([*events[:3], chat, '{"gateway": 1}', "", "[DONE]", "ping", *events[3:], "[DONE]", chat])

    assert completion.text == "Hello"
    assert [repair.kind for repair in completion.repairs] == ["event-passed-over"]


def test_unknown_events_are_kept_and_passed_over() -> None:
    events = events_of([message("Hello")])
    chunks, error = decode([*events[:3], {"type": "response.moonrise", "delta": "x"}, *events[3:]])

    assert error is None
    assert next(chunk for chunk in chunks if chunk.event and "moonrise" in chunk.event).is_empty


def test_nothing_but_what_a_gateway_puts_in() -> None:
    _, error = decode(['{"gateway": 1}'])
    assert isinstance(error, DecodeError)
    assert "it has nothing of one" in str(error)


@pytest.mark.parametrize("events", [[], ["[DONE]"], ["ping"], [{"type": "ping"}]])
def test_no_answer(events: list[Any]) -> None:
    assert isinstance(decode(events)[1], EmptyStreamError)


def test_done_is_no_end() -> None:
    _, error = decode([*events_of([message("Hello")])[:-1], "[DONE]"])
    assert isinstance(error, TruncatedStreamError)


def test_when_it_is_done() -> None:
    decoder = get_dialect("openai-responses").decoder()
    states: list[tuple[bool, bool]] = []
    behind: list[StreamChunk] = []
    events: list[str | bytes] = [*map(json.dumps, events_of([message("Hello")])), b"[DONE]", "{}"]
    for event in events:
        behind = [*decoder.decode(event)]
        states.append((decoder.finished, decoder.done))

    assert states[:-3] == [(False, False)] * (len(states) - 3)
    assert states[-3:] == [(True, False), (True, True), (True, True)]
    assert behind == []


def test_frames_and_names_do_not_matter() -> None:
    def chunks_of(make: Callable[[Event], Any]) -> list[StreamChunk]:
        decoder = get_dialect("openai-responses").decoder()
        return [chunk for event in events_of(ALL) for chunk in decoder.decode(make(event))]

    want = chunks_of(json.dumps)
    assert chunks_of(lambda event: json.dumps(event).encode()) == want
    assert chunks_of(lambda event: ServerSentEvent(json.dumps(event), event["type"])) == want
    assert chunks_of(lambda event: ServerSentEvent(json.dumps(event), "odd")) == want


def test_large_events() -> None:
    text = "x" * 200_000
    assert completion_of(events_of([message(text)])[:2] + events_of([message(text)])[-1:]).text == text
    _, error = decode([{"type": "response.output_text.delta", "delta": "", "x": [[]] * 130_000}])
    assert isinstance(error, LimitExceededError)


def test_an_event_that_is_too_deep_is_not_said_to_be_no_json() -> None:
    deep = '{"a": ' * 300 + "1" + "}" * 300
    decoder = get_dialect("openai-responses").decoder()
    with pytest.raises(LimitExceededError, match="deeper"):
        decoder.decode(f'{{"type": "response.output_item.done", "item": {deep}}}')


def test_the_number_of_items_is_bounded() -> None:
    items = ({"type": "response.output_item.added", "item": {"type": "x"}, "output_index": at} for at in range(5_000))
    _, error = decode(items)
    assert isinstance(error, LimitExceededError)
    assert error.limit == "max_items"


def test_the_number_of_texts_is_bounded() -> None:
    pieces = ({"type": "response.output_text.delta", "delta": "", "content_index": at} for at in range(5_000))
    _, error = decode(pieces)
    assert isinstance(error, LimitExceededError)
    assert error.limit == "max_texts"


@pytest.mark.parametrize("place", [-1, 2**40, True, "0", None, 1.5])
def test_odd_places(place: Any) -> None:
    events = changed(
        events_of([message("Hello")]), lambda e: {**e, "output_index": place} if "output_index" in e else e
    )
    assert completion_of(events).text == "Hello"


# Errors.


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        ({"type": "error", "code": "server_error", "message": "Broken", "param": None}, "server_error", True),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Broken"}, "rate_limit_exceeded", True),
        (
            {"type": "error", "error": {"code": "vector_store_timeout", "message": "Broken"}},
            "vector_store_timeout",
            True,
        ),
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "Broken"}}, "insufficient_quota", False),
        ({"type": "response.error", "code": "server_error", "message": "Broken"}, "server_error", True),
        ({"type": "response.error", "error": {"code": "server_error", "message": "Broken"}}, "server_error", True),
        ({"error": {"code": "server_error", "message": "Broken"}}, "server_error", True),
        ({"code": "invalid_prompt", "error": "Broken"}, "invalid_prompt", False),
        ({"detail": "Broken"}, None, False),
        ({"message": "Broken"}, None, False),
    ],
)
@pytest.mark.parametrize("follows", [True, False])
def test_errors(error: Event, code: str | None, retryable: bool, follows: bool) -> None:
    events = [*events_of([message("Hello")])[:5], error]
    behind = {"type": "response.failed", "response": response(status="failed", error={"message": "Broken"})}
    chunks, caught = decode([*events, *([behind] if follows else [])])

    assert isinstance(caught, APIStreamError)
    assert (str(caught), caught.code, caught.retryable, caught.position) == ("Broken", code, retryable, 5)
    assert "".join(chunk.text for chunk in chunks) == "Hello"


@pytest.mark.parametrize(
    ("said", "failed", "want"),
    [
        ("Bad", "Bad", "Bad"),
        ("Bad", "Bad: really", "Bad: really"),
        ("Bad", "Worse", "Bad: Worse"),
        (None, "Worse", "Worse"),
        ("Bad", None, "Bad"),
    ],
)
def test_both_say_what_went_wrong(said: str | None, failed: str | None, want: str) -> None:
    events: list[Event] = [
        {"type": "error", "code": None, "message": said},
        {"type": "response.failed", "response": response(status="failed", error={"code": "x", "message": failed})},
    ]
    _, caught = decode(events)

    assert isinstance(caught, APIStreamError)
    assert (str(caught), caught.code) == (want, "x")


def test_a_failure_that_does_not_say_why() -> None:
    _, caught = decode([{"type": "response.failed"}])
    assert isinstance(caught, APIStreamError)
    assert "did not say why" in str(caught)


def test_the_type_of_its_event_is_not_that_of_an_error() -> None:
    _, caught = decode([{"type": "response.error", "message": "Broken"}])
    assert isinstance(caught, APIStreamError)
    assert caught.type is None


def test_an_error_in_plain_words() -> None:
    decoder = get_dialect("openai-responses").decoder()
    list(decoder.decode(ServerSentEvent("Overloaded, try again later", "error")))
    assert decoder.finished
    with pytest.raises(APIStreamError, match="Overloaded") as caught:
        list(decoder.close())
    assert caught.value.retryable


def test_only_the_first_error_is_raised() -> None:
    _, caught = decode([{"type": "error", "message": "First"}, {"type": "error", "message": "Second"}])
    assert str(caught) == "First"


def test_an_error_makes_a_completed_answer_a_failure() -> None:
    events = events_of([message("Hello")])
    _, caught = decode([*events[:-1], {"type": "error", "message": "Late"}, events[-1]])
    assert isinstance(caught, APIStreamError)


# Bodies.


def test_an_answer_that_is_no_stream() -> None:
    decoder: Any = get_dialect("openai-responses").decoder()
    accumulator = StreamAccumulator()
    for chunk in decoder.decode_body(json.dumps(response(ALL))):
        accumulator.add(chunk)
    completion = accumulator.completion(ended=True)

    assert decoder.done
    assert list(decoder.close()) == []
    assert [part.block for part in completion.message.parts] == ALL
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]


def test_one_event_with_the_whole_answer() -> None:
    assert completion_of([json.dumps(response([message("Hello")]))]).text == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        '{"error": {"message": "x"}}',
        json.dumps(response(status="queued")),
        "[]",
        '{"object": "response", "status": {}}',
    ],
)
def test_bodies_that_are_no_answer(body: str) -> None:
    decoder: Any = get_dialect("openai-responses").decoder()
    assert list(decoder.decode_body(body)) == []


def test_a_body_that_failed() -> None:
    decoder: Any = get_dialect("openai-responses").decoder()
    body = json.dumps(response(status="failed", error={"code": "server_error", "message": "Broken"}))
    with pytest.raises(APIStreamError, match="Broken"):
        list(decoder.decode_body(body))


def test_a_body_of_another_protocol() -> None:
    decoder: Any = get_dialect("openai-responses").decoder()
    with pytest.raises(DecodeError, match="chat completions"):
        decoder.decode_body('{"object": "chat.completion", "choices": []}')


def test_repairs_behind_the_last_chunk_are_not_lost() -> None:
    decoder = get_dialect("openai-responses").decoder()
    chunks = [chunk for event in events_of([message("a")]) for chunk in decoder.decode(json.dumps(event))]
    assert list(decoder.close()) == []
    assert rxllm.StreamChunk().repairs == ()
    assert all(chunk.repairs == () for chunk in chunks)


def test_a_message_says_whether_it_is_as_it_came() -> None:
    parts = completion_of(events_of([message("Hello")])).message.parts
    assert Message(content="Hello", parts=parts).is_as_it_came
    assert not Message(content=[{"type": "text", "text": "Hello"}], parts=parts).is_as_it_came


def test_empty_pieces() -> None:
    events = events_of([message("abc")])
    pieces = [{**events[4], "delta": each} for each in ("", "a", "", "b", "", "c")]

    assert completion_of([*events[:4], *pieces, *events[5:]]).text == "abc"


@pytest.mark.parametrize(
    ("pieces", "whole", "is_one"),
    [
        (['{"a": ', "1}"], '{"a": 1}', True),
        (['{"a":', "1}"], '{"a": 1}', True),
        (["{}", '{"a": 1}'], '{"a": 1}', True),
        (['{"a": 1}', '{"a": 1}'], '{"a": 1}', True),
        (["1}", '{"a": '], '{"a": 1}', False),
        (['{"a": 1}'], '{"a": 2}', False),
        (['{"a": 1', "1}"], '{"a": 1}', False),
        (['"', '{"a": 1}'], '{"a": 1}', False),
    ],
)
@pytest.mark.parametrize("where", ["arguments.done", "item.done", "completed"])
def test_the_pieces_of_a_call_are_what_the_server_says(pieces: list[str], whole: str, where: str, is_one: bool) -> None:
    events = events_of([call("f", whole)])
    said = [{**events[3], "delta": each} for each in pieces]
    behind = without(events[3:], ".delta", *{"arguments.done", "item.done", "completed"} - {where, "completed"})
    if where != "completed":
        behind = changed(behind, no_output)
    chunks, error = decode([*events[:3], *said, *behind])

    assert (error is None) == is_one
    if error is None:
        calls = completion_of([*events[:3], *said, *behind]).message.tool_calls
        assert [each.function.parsed for each in calls] == [json.loads(whole)]
    else:
        assert isinstance(error, DecodeError)
        assert "its pieces were" in str(error)
        assert chunks


@pytest.mark.parametrize("made", [call("f", '{"a": 1}'), custom_call("g", "free")])
def test_a_piece_for_a_call_that_is_whole(made: dict[str, Any]) -> None:
    events = events_of([made])
    late = next(event for event in events if event["type"].endswith(".delta"))

    for kept in (events[:-2], [event for event in events[:-1] if not event["type"].endswith(("ts.done", "ut.done"))]):
        _, error = decode([*kept, late, events[-1]])
        assert isinstance(error, DecodeError)
        assert "a piece for a call that is whole" in str(error)
        assert decode([*kept, {**late, "delta": ""}, *events[-2:]])[1] is None


def test_the_input_of_a_custom_tool_is_what_the_server_says() -> None:
    events = events_of([custom_call("g", "free text")])
    changed_end = [{**event, "input": "other"} if event["type"].endswith("input.done") else event for event in events]

    assert isinstance(decode(changed_end)[1], DecodeError)
