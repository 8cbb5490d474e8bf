"""Whatever comes, a UI message stream is one that its client can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable

from rxllm import LogItem, LogPosition, serving
from rxllm import operators as ops
from rxllm.exceptions import APIConnectionError, StreamCancelledError
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ChatCompletion,
    CompletionChoice,
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCall,
    FunctionCallDelta,
    Message,
    MessagePart,
    PartKind,
    ReasoningDelta,
    Refused,
    Restarted,
    Role,
    RoundCompleted,
    Stopped,
    StreamChoice,
    StreamChunk,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallEvent,
    ToolInputDelta,
    ToolResult,
    ToolResultEvent,
    Usage,
    marked,
)
from rxllm.testing.strategies import answers
from tests.recorded import each_of, streams
from tests.serving.ui_client import UIClient
from tests.thorough import times

DIALECTS = {"anthropic", "openai-chat", "openai-responses"}
NOTHING: dict[str, Any] = {}
ENDS: list[Exception | None] = [None, None, APIConnectionError("gone"), StreamCancelledError("stopped")]


def told(items: Sequence[object], error: Exception | None = None) -> list[bytes]:
    """The frames of a stream that ends with an error, or in good order."""
    pipeline: Observable[Any] = reactivex.from_iterable(items)
    if error is not None:
        pipeline = reactivex.concat(pipeline, reactivex.throw(error))
    frames: list[bytes] = []
    failures: list[Exception] = []
    serving.frames(pipeline, protocol="ui-message-stream").subscribe(frames.append, failures.append)
    assert not failures
    return frames


@each_of(streams(*DIALECTS), "case", "wire")
def test_each_recorded_stream(case: dict[str, Any], wire: bytes) -> None:
    chunks = reactivex.just(wire).pipe(ops.decode_sse(), ops.parse(case["dialect"]))
    frames: list[bytes] = []
    serving.frames(chunks, protocol="ui-message-stream").subscribe(frames.append)
    client = UIClient.read(frames)

    choice: dict[str, Any] = {
        "content": "",
        **next((each for each in case["expected"]["choices"] if each["index"] == 0), NOTHING),
    }
    assert client.texts() == (choice.get("content") or "") + (choice.get("refusal") or "")
    assert client.texts("reasoning") == (choice.get("reasoning") or "")
    own = [each for each in client.calls() if not each.get("providerExecuted")]
    assert [each["toolName"] for each in own] == [each["name"] for each in choice.get("tool_calls") or ()]


@given(answers())
def test_each_answer(answer: Any) -> None:
    client = UIClient.read(told(answer.chunks))
    message = answer.completion.choices[0].message
    assert client.texts() == (message.content or "") + (message.refusal or "")
    assert client.texts("reasoning") == (message.reasoning_text or "")
    # They take turns: a call stands where it began.
    names = sorted(each["toolName"] for each in client.calls())
    assert names == sorted(each.function.name for each in message.tool_calls)


IDS = st.sampled_from(["", "a", "a", "a-2", "b"]) | st.none()
NAMES = st.sampled_from(["look", "go", ""]) | st.none()
TEXTS = st.sampled_from(["", "x", "{}", '{"a": ', "1}", "[", "\ud800"])
INDEX = st.integers(0, 2)
KINDS = st.sampled_from([*map(str, PartKind), "new"])
BLOCKS = st.sampled_from(
    [
        {"type": "web_search_call", "status": "failed"},
        {"type": "server_tool_use", "name": "search"},
        {"type": "mcp_tool_result", "content": [{"type": "text"}], "is_error": True},
        {"type": "image_generation_call", "result": "AAAA"},
        {},
    ]
)


CALL_DELTAS = st.builds(
    ToolCallDelta,
    index=INDEX | st.none(),
    id=IDS,
    function=st.builds(FunctionCallDelta, name=NAMES, arguments=TEXTS | st.none()) | st.none(),
    custom=st.none() | st.sampled_from([{"name": "sketch", "input": "cat"}]),
)
ANNOTATIONS = st.sampled_from(
    [{"type": "url_citation", "url": "https://a.example"}, {"url": "javascript:alert(1)"}, {"filename": "a.pdf"}, 7]
)
IMAGES = st.sampled_from([{"image_url": {"url": "data:image/png;base64,AAAA"}}, {"image_url": "data:text/html,x"}])
DELTAS = st.builds(
    Delta,
    content=TEXTS | st.none(),
    reasoning=st.none() | TEXTS,
    refusal=st.none() | TEXTS,
    tool_calls=st.none() | st.lists(CALL_DELTAS, max_size=2).map(tuple),
    function_call=st.none() | st.builds(FunctionCallDelta, name=NAMES, arguments=TEXTS),
    part=st.none() | st.builds(DeltaPart, index=INDEX, kind=KINDS, id=IDS, name=NAMES, text=TEXTS | st.none()),
    blocks=st.none()
    | st.lists(st.builds(DeltaBlock, index=INDEX, block=BLOCKS, final=st.booleans()), max_size=2).map(tuple),
    annotations=st.none() | st.lists(ANNOTATIONS, max_size=2).map(tuple),
    images=st.none() | st.lists(IMAGES, max_size=1).map(tuple),
)
CHOICES = st.builds(
    StreamChoice,
    index=st.sampled_from([0, 0, 0, 1]),
    delta=DELTAS,
    finish_reason=st.sampled_from([None, None, None, "stop", "length", "tool_calls", "moonrise", "null"]),
)
USAGES = st.none() | st.builds(Usage, total_tokens=st.integers(0, 9))


@st.composite
def odd_chunks(draw: st.DrawFn) -> StreamChunk:
    chunk = StreamChunk(choices=tuple(draw(st.lists(CHOICES, max_size=2))), usage=draw(USAGES))
    mark = draw(st.sampled_from(["", "", "", "begins", "restarts", "both"]))
    if not mark:
        return chunk
    return marked(chunk, begins=mark != "restarts", restarts=mark != "begins")


@settings(max_examples=times(100))
@given(st.lists(odd_chunks(), max_size=8), st.sampled_from(ENDS))
def test_odd_chunks(chunks: list[StreamChunk], error: Exception | None) -> None:
    UIClient.read(told(chunks, error))


def called(given: str, kind: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=given, type=kind, function=FunctionCall(name=name, arguments=arguments))


CALLS = st.builds(
    called,
    given=st.sampled_from(["a", "a", "b", "a-2"]),
    name=st.sampled_from(["look", "go"]),
    arguments=st.sampled_from(["{}", "", "{", '{"a": 1}']),
    kind=st.sampled_from(["function", "custom"]),
)
ROUNDS = st.integers(1, 3)
DECISIONS = st.sampled_from([Approved(), Approved(arguments={"a": 2}), Refused(reason="no")])


PARTS = st.builds(
    MessagePart,
    index=INDEX,
    kind=KINDS,
    id=IDS,
    name=NAMES,
    text=st.sampled_from(["", "{}", "print(1)"]),
    block=st.none() | BLOCKS,
    final=st.booleans(),
)


@st.composite
def completed_rounds(draw: st.DrawFn) -> RoundCompleted:
    message = Message(
        role=Role.ASSISTANT,
        content="x",
        refusal=draw(st.none() | st.just("no")),
        parts=draw(st.lists(PARTS, max_size=3)),
        annotations=[{"url": "https://a.example"}],
    )
    choice = CompletionChoice(index=0, message=message, finish_reason="stop")
    completion = ChatCompletion(choices=[choice], usage=draw(USAGES))
    return RoundCompleted(round=draw(ROUNDS), completion=completion, messages=(message,))


ERRORS = st.sampled_from([None, None, "unknown_tool", "duplicate", "refused", "failed", "timeout"])
RESULTS = st.builds(ToolResult, call=CALLS, content=st.sampled_from(["ok", "{}", "[", '{"a": 1}']), error=ERRORS)
EVENTS = st.one_of(
    st.builds(TextDelta, round=ROUNDS, text=st.just("x")),
    st.builds(ReasoningDelta, round=ROUNDS, text=st.just("y")),
    st.builds(Restarted, round=ROUNDS),
    st.builds(ToolInputDelta, round=ROUNDS, index=INDEX, id=IDS, name=NAMES, text=TEXTS.filter(str.isprintable)),
    st.builds(ToolCallEvent, round=ROUNDS, call=CALLS),
    st.builds(ApprovalRequested, round=ROUNDS, call=CALLS),
    st.builds(ApprovalGiven, round=ROUNDS, call=CALLS, decision=DECISIONS),
    st.builds(ToolResultEvent, round=ROUNDS, result=RESULTS),
    completed_rounds(),
    st.builds(Stopped, round=ROUNDS),
    st.sampled_from(["text", "", "\ud800", 7]),
)


@st.composite
def placed_events(draw: st.DrawFn) -> list[Any]:
    found = draw(st.lists(EVENTS, max_size=8))
    if draw(st.booleans()):
        return found
    return [LogItem(LogPosition(1, place), each, draw(st.integers(0, 5)) == 0) for place, each in enumerate(found)]


@settings(max_examples=times(100))
@given(placed_events(), st.sampled_from(ENDS))
def test_odd_events(found: list[Any], error: Exception | None) -> None:
    UIClient.read(told(found, error))
