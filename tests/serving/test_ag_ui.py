"""``ag-ui``: what a client of AG-UI 1.0 makes of what is served."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st

from rxllm import LogItem, LogPosition, serving
from rxllm.exceptions import APIConnectionError, RestartError, StreamCancelledError
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    ChatEvent,
    Refused,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChunk,
    TextDelta,
    ToolCallEvent,
    ToolInputDelta,
    ToolResult,
    ToolResultEvent,
    marked,
)
from rxllm.serving import AGUI, PublicError, ServedEnd
from tests.serving.agui_client import AGUIClient, events_of
from tests.serving.conftest import Host, Serve
from tests.serving.conversations import (
    ANSWER,
    ASKED,
    CALL,
    CALLS,
    CONVERSATION,
    FIRST_ROUND,
    call_piece,
    chunk,
    completion,
    delta,
    every_recorded,
    framed,
    read,
    written,
)

AG_UI = AGUI(thread_id="t", run_id="r")


def client_of(items: Sequence[object], end: ServedEnd | None = None, **body: Any) -> AGUIClient:
    return AGUIClient.read([written(AG_UI, items, end, **body)])


def test_all_of_a_stream() -> None:
    assert events_of([written(AG_UI, ANSWER)]) == [
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "protocolVersion": "1.0"},
        {"type": "STEP_STARTED", "stepName": "step-1"},
        {"type": "REASONING_START", "messageId": "r-1"},
        {"type": "REASONING_MESSAGE_START", "messageId": "r-1", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "r-1", "delta": "Hm. "},
        {"type": "REASONING_MESSAGE_END", "messageId": "r-1"},
        {"type": "REASONING_END", "messageId": "r-1"},
        {"type": "TEXT_MESSAGE_START", "messageId": "r-2", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "r-2", "delta": "Hel"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "r-2", "delta": "lo"},
        {"type": "TEXT_MESSAGE_END", "messageId": "r-2"},
        {"type": "STEP_FINISHED", "stepName": "step-1"},
        {
            "type": "RUN_FINISHED",
            "threadId": "t",
            "runId": "r",
            "outcome": {"type": "success"},
            "usage": [{"model": "m", "inputTokens": 3, "outputTokens": 2, "totalTokens": 5}],
        },
    ]


def test_the_messages_of_a_conversation_with_a_tool() -> None:
    client = client_of(CONVERSATION)

    arguments = CALL.function.arguments
    assert client.messages == [
        {"id": "r-1", "role": "reasoning", "content": "Oslo, then."},
        {
            "id": "r-2",
            "role": "assistant",
            "content": "Let me see.",
            "toolCalls": [{"id": "c1", "name": "weather", "arguments": arguments}],
        },
        {"id": "r-3", "role": "tool", "toolCallId": "c1", "content": '{"sky": "clear"}'},
        {"id": "r-4", "role": "assistant", "content": "It is sunny."},
    ]
    assert client.customs == [
        {"name": "approval_requested", "toolCallId": "c1", "toolCallName": "weather"},
        {"name": "approval_given", "toolCallId": "c1", "toolCallName": "weather", "approved": True},
    ]
    assert client.ended
    assert client.ended["outcome"] == {"type": "success"}
    assert client.ended["usage"] == [{"inputTokens": 6, "outputTokens": 4, "totalTokens": 10}]


def test_calls_for_the_client_are_pending() -> None:
    client = client_of(CALLS)

    (message,) = client.messages
    assert message["content"] == "Two calls."
    assert [call["arguments"] for call in message["toolCalls"]] == ['{"city": "Oslo"}', '{"city": "Rome"}']
    assert client.ended
    assert client.ended["outcome"] == {"type": "success", "pendingToolCallIds": ["c1", "c2"]}


@pytest.mark.parametrize("end", [None, ServedEnd("stopped")])
def test_a_run_that_ends_while_somebody_is_asked(end: ServedEnd | None) -> None:
    client = client_of(ASKED, end)

    assert client.ended
    outcome = client.ended["outcome"]
    if end is not None:
        assert outcome == {"type": "cancelled"}
        return
    (interrupt,) = outcome["interrupts"]
    assert outcome["type"] == "interrupt"
    assert interrupt.pop("responseSchema")["required"] == ["approved"]
    assert interrupt == {
        "id": "c1-approval",
        "reason": "tool_call",
        "toolCallId": "c1",
        "message": "May weather be run?",
    }


def test_a_call_that_was_refused_or_failed() -> None:
    refused = Refused(reason="Not today.")
    items: list[ChatEvent] = [
        *ASKED,
        ApprovalGiven(round=1, call=CALL, decision=refused),
        ToolResultEvent(round=1, result=ToolResult(call=CALL, content="Not today.", error="refused")),
    ]
    failed = ToolResultEvent(round=1, result=ToolResult(call=CALL, content="boom at 10.0.0.1", error="failed"))

    assert client_of(items).messages[-1]["content"] == "Not today."
    assert client_of(items).customs[-1] == {
        "name": "approval_given",
        "toolCallId": "c1",
        "toolCallName": "weather",
        "approved": False,
        "reason": "Not today.",
    }
    assert client_of([*FIRST_ROUND, failed]).messages[-1]["content"] == "The tool failed."


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({}, ("t", "r", None)),
        ({"threadId": "T", "runId": "R", "parentRunId": "P"}, ("T", "R", "P")),
        ({"threadId": "", "runId": 7, "parentRunId": "x" * 1001}, ("t", "r", None)),
    ],
)
def test_the_identifiers_of_the_request_count(body: dict[str, Any], ids: tuple[str, ...]) -> None:
    first, *_, last = events_of([written(AG_UI, ANSWER, **body)])

    assert (first["threadId"], first["runId"], first.get("parentRunId")) == ids
    assert (last["threadId"], last["runId"]) == ids[:2]


def test_identifiers_are_made_up_and_no_two_are_the_same() -> None:
    one, other = (events_of([written(AGUI(), ANSWER)])[0] for _ in range(2))

    assert len({one["threadId"], one["runId"], other["threadId"], other["runId"]}) == 4


@pytest.mark.parametrize("options", [{"thread_id": ""}, {"run_id": "x" * 1001}])
def test_identifiers_are_bounded(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must have 1 to 1000 characters"):
        AGUI(**options)


@pytest.mark.parametrize(
    "messages",
    [
        [{"toolCalls": [{"id": "c1"}, {"id": "c1-2"}, {"id": 7}, None]}, {"toolCalls": 3}, "x"],
        [{"role": "assistant", "toolCalls": [{"id": "c1"}]}, {"toolCalls": [{"id": "c1-2"}]}],
    ],
)
def test_a_call_has_no_identifier_that_the_client_knows_from_before(messages: list[Any]) -> None:
    client = client_of(CONVERSATION, messages=messages)

    assert [call["id"] for call in client.calls] == ["c1-3"]
    assert client.messages[2]["toolCallId"] == "c1-3"
    assert [call["id"] for call in client_of(CONVERSATION, messages="none").calls] == ["c1"]


def test_a_text_behind_a_call_and_one_behind_reasoning_are_messages_of_their_own() -> None:
    items = [
        delta(content="a"),
        call_piece(0, '{"x": 1}', id="c1", name="f"),
        delta(content="b"),
        delta(reasoning_content="r"),
        delta(content="c"),
        delta(reason="stop"),
    ]

    assert [(each["role"], each["content"]) for each in client_of(items).messages] == [
        ("assistant", "a"),
        ("assistant", "b"),
        ("reasoning", "r"),
        ("assistant", "c"),
    ]


def test_a_call_without_input_has_an_empty_object_and_a_message() -> None:
    items = [call_piece(0, "", id="c1", name="f"), delta(reason="tool_calls")]

    (message,) = client_of(items).messages
    assert message == {"id": "r-1", "role": "assistant", "toolCalls": [{"id": "c1", "name": "f", "arguments": "{}"}]}


def test_a_call_without_a_name_gets_one_that_no_tool_has() -> None:
    client = client_of([delta(function_call={"arguments": "{}"}), delta(reason="function_call")])

    assert [call["name"] for call in client.calls] == ["unnamed"]


def test_a_custom_tool_without_input_has_none() -> None:
    custom = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "run", "input": ""}}

    (call,) = client_of([delta(tool_calls=[custom]), delta(reason="tool_calls")]).calls

    assert call["arguments"] == ""


def test_sources_and_pictures_are_activities() -> None:
    pages = [
        {"type": "url_citation", "url_citation": {"url": f"https://example.com/{n}", "title": f"T{n}"}} for n in "ab"
    ]
    image = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}}

    client = client_of([delta(content="a", annotations=pages, images=[image]), delta(content="b")])

    text, sources, file = client.messages
    assert text["content"] == "ab"
    assert sources["type"] == "sources"
    assert [each["url"] for each in sources["content"]["sources"]] == ["https://example.com/a", "https://example.com/b"]
    assert (file["type"], file["content"]) == (
        "file",
        {"url": "data:image/webp;base64,AAAA", "mediaType": "image/webp"},
    )


# Ends.


@pytest.mark.parametrize(
    ("items", "end"),
    [
        (FIRST_ROUND, ServedEnd("stopped")),
        (FIRST_ROUND[:5], ServedEnd("stopped")),
        (FIRST_ROUND[:1], ServedEnd("stopped")),
        ([*FIRST_ROUND[:5], Stopped(round=1)], None),
        ([*FIRST_ROUND[:3], Stopped(round=1)], None),
        ([], ServedEnd("stopped")),
    ],
)
def test_a_run_that_was_stopped(items: list[object], end: ServedEnd | None) -> None:
    client = client_of(items, end)

    assert client.ended
    assert client.ended["outcome"] == {"type": "cancelled"}


@pytest.mark.parametrize("items", [FIRST_ROUND, FIRST_ROUND[:5], FIRST_ROUND[:3], FIRST_ROUND[:1], []])
@pytest.mark.parametrize("kind", ["failed", "closing"])
def test_a_run_that_failed(items: list[object], kind: Any) -> None:
    end = ServedEnd(kind, PublicError(502, "interrupted", "The answer broke off."))

    events = events_of([written(AG_UI, items, end)])

    assert events[-1] == {"type": "RUN_ERROR", "message": "The answer broke off.", "code": "interrupted"}
    kinds = [each["type"] for each in events]
    assert kinds.count("TEXT_MESSAGE_START") == kinds.count("TEXT_MESSAGE_END")
    # Nobody is to run what was cut.
    assert ("TOOL_CALL_END" in kinds) == (len(items) == len(FIRST_ROUND))


def test_an_error_is_told_with_what_it_cost() -> None:
    error = ServedEnd("failed", PublicError(502, "interrupted", "The answer broke off."))
    without = written(AGUI(usage=False), CONVERSATION)

    assert events_of([written(AG_UI, CONVERSATION, error)])[-1]["usage"][0]["totalTokens"] == 10
    assert "usage" not in events_of([without])[-1]


def test_what_providers_count_is_told_in_the_words_of_the_protocol() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 99,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": True},
        "cache_creation_input_tokens": 2,
    }

    assert events_of([written(AG_UI, [delta(content="a"), chunk(usage=usage)])])[-1]["usage"] == [
        {
            "model": "m",
            "inputTokens": 10,
            "outputTokens": 5,
            "totalTokens": 15,
            "cachedInputTokens": 4,
            "cacheWriteInputTokens": 2,
        }
    ]
    assert "usage" not in events_of([written(AG_UI, [delta(content="a"), chunk(usage={"total_tokens": 3})])])[-1]


def test_a_call_that_was_cut_is_an_error_for_the_client_would_run_it() -> None:
    cut = [call_piece(0, '{"x": 1}', id="c1", name="f"), call_piece(1, '{"y":', id="c2", name="f")]

    events = events_of([written(AG_UI, [*cut, delta(reason="length")])])

    assert events[-1]["code"] == "cut"
    assert "c2" not in [each["toolCallId"] for each in events if each["type"] == "TOOL_CALL_END"]


def test_a_call_that_was_cut_in_a_round_before_is_no_error() -> None:
    items = [
        ToolInputDelta(round=1, index=0, id="c1", name="f", text="{"),
        RoundCompleted(round=1, completion=completion(""), messages=()),
        TextDelta(round=2, text="Hi"),
    ]

    client = client_of(items)

    assert client.text == "Hi"
    assert client.ended
    assert client.ended["outcome"] == {"type": "success"}


@pytest.mark.parametrize(
    "items",
    [
        [delta(content="Hi"), marked(delta(content="Ho"), begins=True, restarts=True)],
        [TextDelta(round=1, text="Hi"), Restarted(round=1)],
        [*FIRST_ROUND[4:5], Restarted(round=1)],
        [delta(annotations=[{"type": "url_citation", "url": "https://example.com"}]), marked(delta(), restarts=True)],
        [delta(images=[{"image_url": {"url": "https://example.com"}}]), marked(delta(), restarts=True)],
        [*CONVERSATION, LogItem(LogPosition(1, 9), CONVERSATION[0], restarts=True)],
    ],
)
def test_a_step_that_begins_anew_after_something_was_told_is_an_error(items: list[object]) -> None:
    events = events_of([framed(AG_UI, items)])

    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "restarted")
    with pytest.raises(RestartError):
        written(AG_UI, items)


@pytest.mark.parametrize(
    "items",
    [
        [delta(role="assistant"), marked(delta(content="Hi"), begins=True, restarts=True)],
        [Restarted(round=1), TextDelta(round=1, text="Hi")],
    ],
)
def test_a_step_that_begins_anew_before_that_is_nothing(items: list[object]) -> None:
    assert client_of(items).text == "Hi"


def test_what_was_told_of_an_item_before_an_error_is_not_lost() -> None:
    whole = marked(delta(content="Hi"), begins=True)
    garbled = delta(content=" there", tool_calls=[{"index": 0, "function": {"arguments": "{}{"}}, {"id": " "}])

    events = events_of([framed(AG_UI, [whole, garbled], APIConnectionError("x"))])

    assert "Hi" in [each.get("delta") for each in events]
    assert events[-1]["type"] == "RUN_ERROR"


@pytest.mark.parametrize(
    ("error", "last"),
    [(StreamCancelledError("stopped"), "RUN_FINISHED"), (APIConnectionError("https://secret.internal"), "RUN_ERROR")],
)
def test_errors_of_the_pipeline(error: Exception, last: str) -> None:
    wire = framed(AG_UI, ANSWER[:3], error)

    assert events_of([wire])[-1]["type"] == last
    assert b"secret" not in wire


def test_an_answer_with_another_status_is_the_event() -> None:
    body = AGUI().refusal(PublicError(429, "rate_limited", "Busy."))

    assert json.loads(body or b"") == {"type": "RUN_ERROR", "message": "Busy.", "code": "rate_limited"}


async def test_it_is_chosen_by_its_name() -> None:
    frames = [each async for each in serving.frames(reactivex.from_iterable(["Hi"]), protocol="ag-ui")]

    assert AGUIClient.read(frames).text == "Hi"


async def test_over_a_connection(serve: Serve, host: Host, http: aiohttp.ClientSession) -> None:
    body: dict[str, Any] = {"threadId": "T", "runId": "R", "messages": []}
    options = {"body": body} if host == "asgi" else {}
    url = await serve(lambda: reactivex.from_iterable(ANSWER), protocol="ag-ui", **options)

    async with http.post(url, json=body) as response:
        client = AGUIClient.read([await response.read()])

    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert client.text == "Hello"
    assert client.ended
    assert (client.ended["threadId"], client.ended["runId"]) == ("T", "R")


# Laws.


def test_each_event_of_the_table_is_sent() -> None:
    sources = [{"type": "url_citation", "url": f"https://example.com/{n}"} for n in "ab"]
    streams = [CONVERSATION, [delta(annotations=sources)]]
    kinds = {kind for items in streams for kind in client_of(items).kinds} | {"RUN_ERROR"}

    assert kinds == AGUI.sent.keys()
    assert not AGUI.sent.keys() & AGUI.not_sent.keys()
    assert all(AGUI.not_sent.values())


@every_recorded
def test_whatever_a_provider_sends_a_client_can_read(dialect: str, wire: bytes) -> None:
    chunks, errors = read(wire, dialect)

    client = AGUIClient.read([framed(AG_UI, chunks, errors[0] if errors else None)])

    said = "".join(item.text for item in chunks)
    refused = "".join(each.delta.refusal or "" for item in chunks for each in item.choices if not each.index)
    assert len(client.text) == len(said) + len(refused)
    assert client.text == said or refused


def fragment(index: int, text: str, name: str, call: str) -> StreamChunk:
    given_fields = {key: value for key, value in (("id", call), ("name", name)) if value}
    return call_piece(index, text, **given_fields)


EVENTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(TextDelta, round=st.integers(1, 3), text=st.text(min_size=1, max_size=3)),
    st.text(max_size=3).map(lambda text: delta(content=text)),
    st.text(max_size=3).map(lambda text: delta(reasoning_content=text)),
    st.builds(
        fragment,
        st.integers(0, 2),
        st.sampled_from(["", "{", "}", "{}", '{"a": 1}']),
        st.sampled_from(["", "f", "g"]),
        st.sampled_from(["", "c1", "c2"]),
    ),
    st.sampled_from(["stop", "length", "tool_calls"]).map(lambda reason: delta(reason=reason)),
    st.sampled_from([*CONVERSATION, Restarted(round=1), Stopped(round=1), ToolCallEvent(round=2, call=CALL)]),
    st.sampled_from([ApprovalRequested(round=1, call=CALL), marked(delta(content="x"), begins=True)]),
)


@given(st.lists(EVENTS, max_size=12), st.sampled_from([None, APIConnectionError("x"), StreamCancelledError("stopped")]))
def test_whatever_comes_a_client_can_read(items: list[StreamChunk | ChatEvent], error: Exception | None) -> None:
    AGUIClient.read([framed(AG_UI, items, error)])
