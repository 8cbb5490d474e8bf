"""The protocol ``ui-message-stream``: what is sent as what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject

from rxllm import (
    ApprovalRequested,
    Approved,
    LLMClient,
    LogItem,
    LogPosition,
    Refused,
    Restarted,
    StreamChunk,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolInputDelta,
    ToolRegistry,
    ToolResult,
    ToolResultEvent,
    serving,
)
from rxllm import operators as ops
from rxllm.exceptions import APIStatusError, StreamCancelledError
from rxllm.models import (
    ChatCompletion,
    CompletionChoice,
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCall,
    Message,
    MessagePart,
    Role,
    RoundCompleted,
    Stopped,
    StreamChoice,
    Usage,
    marked,
)
from rxllm.serving import Asked, PublicError, ServedEnd, UIMessageStream
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk, tool_chunk
from tests.serving.ui_client import UIClient, parts_of

START = {"type": "start"}
STEP = {"type": "start-step"}
STEP_END = {"type": "finish-step"}
A_CALL = {"toolCallId": "a", "toolName": "look"}


def delta(**fields: Any) -> StreamChunk:
    return StreamChunk(choices=(StreamChoice(index=0, delta=Delta(**fields)),))


def frames_of(pipeline: Observable[Any], protocol: UIMessageStream | None = None) -> list[bytes]:
    frames: list[bytes] = []
    failures: list[Exception] = []
    serving.frames(pipeline, protocol=protocol or "ui-message-stream").subscribe(frames.append, failures.append)
    assert not failures
    UIClient.read(frames)
    return frames


def told(*items: object, error: Exception | None = None, **options: Any) -> list[dict[str, Any]]:
    """The parts of a stream."""
    end: Observable[Any] = reactivex.empty() if error is None else reactivex.throw(error)
    return parts_of(frames_of(reactivex.concat(reactivex.from_iterable(items), end), UIMessageStream(**options)))


def kinds(parts: Sequence[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in parts]


def only(parts: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [{key: value for key, value in each.items() if key != "type"} for each in parts if each["type"] == kind]
    return found


# Texts.


def test_reasoning_then_a_text() -> None:
    parts = told(delta(reasoning="Hm."), text_chunk("Hel"), text_chunk("lo"), finish_chunk())
    assert parts == [
        START,
        STEP,
        {"type": "reasoning-start", "id": "t1"},
        {"type": "reasoning-delta", "id": "t1", "delta": "Hm."},
        {"type": "reasoning-end", "id": "t1"},
        {"type": "text-start", "id": "t2"},
        {"type": "text-delta", "id": "t2", "delta": "Hel"},
        {"type": "text-delta", "id": "t2", "delta": "lo"},
        {"type": "text-end", "id": "t2"},
        STEP_END,
        {"type": "finish", "finishReason": "stop"},
    ]


def test_texts_alone() -> None:
    assert told("Hel", "", "lo")[-1] == {"type": "finish"}
    assert told() == [START, {"type": "finish"}]


def test_reasoning_that_stands_in_tags() -> None:
    frames = frames_of(reactivex.of(text_chunk("<think>Hm."), text_chunk("</think>Yes.")).pipe(ops.split_reasoning()))
    client = UIClient.read(frames)
    assert (client.texts("reasoning"), client.texts()) == ("Hm.", "Yes.")


def test_a_refusal_is_a_text_and_other_choices_are_not_told() -> None:
    parts = told(delta(refusal="I will not."), text_chunk("other", choice=1), finish_chunk("content_filter"))
    assert only(parts, "text-delta")["delta"] == "I will not."
    assert parts[-1]["finishReason"] == "content-filter"


def test_half_a_character_is_told_as_a_sign() -> None:
    assert only(told("a\ud800"), "text-delta")["delta"] == "a\ufffd"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("tool-calls", "tool-calls"),
        ("function_call", "tool-calls"),
        ("safety", "content-filter"),
        ("network_error", "error"),
        ("pause_turn", "other"),
        ("moonrise", "other"),
    ],
)
def test_why_it_ended(reason: str, shown: str) -> None:
    assert told(text_chunk("x"), finish_chunk(reason))[-1]["finishReason"] == shown


# Options.


def test_the_message_has_an_identifier_and_metadata() -> None:
    parts = told("x", message_id="m1", metadata={"model": "big"})
    assert parts[0] == {"type": "start", "messageId": "m1", "messageMetadata": {"model": "big"}}


def started(body: dict[str, Any]) -> bytes:
    return UIMessageStream(message_id="m1").writer(Asked(body)).begin()


def test_a_message_that_goes_on_keeps_its_identifier() -> None:
    assert b'"messageId":"mine"' in started({"messages": [{"role": "assistant", "id": "mine"}]})
    for last in ({"role": "user", "id": "mine"}, {"role": "assistant", "id": "x" * 1001}, {"role": "assistant"}, 7):
        assert b'"messageId":"m1"' in started({"messages": [last]})
    assert b'"messageId":"m1"' in started({"messages": []})
    assert b"messageId" not in UIMessageStream().writer(Asked({"messages": [{"role": "assistant", "id": "a"}]})).begin()


def test_what_all_steps_cost() -> None:
    usage = StreamChunk(choices=(), usage=Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5))
    answer = [marked(text_chunk("x"), begins=True), finish_chunk(), usage]
    parts = told(*answer, *answer, usage=True)
    assert parts[-1]["messageMetadata"] == {"usage": {"inputTokens": 6, "outputTokens": 4, "totalTokens": 10}}
    assert kinds(parts).count("finish-step") == 2
    assert told("x", usage=True)[-1] == {"type": "finish"}


@pytest.mark.parametrize("dynamic", [True, ["look"]])
def test_tools_that_the_client_does_not_know(dynamic: Any) -> None:
    parts = told(tool_chunk("{}", id="a", name="look"), tool_chunk("{", id="b", index=1, name="look"), dynamic=dynamic)
    assert [each.get("dynamic") for each in parts if "toolName" in each] == [True] * 4
    parts = told(tool_chunk("{}", id="a", name="go"), dynamic=["look"])
    assert only(parts, "tool-input-start") == {"toolCallId": "a", "toolName": "go"}


def test_wrong_options() -> None:
    with pytest.raises(TypeError, match="message_id must be"):
        UIMessageStream(message_id=7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="message_id must have 1 to 1000 characters, not 0"):
        UIMessageStream(message_id="")
    with pytest.raises(TypeError, match=r"write dynamic=\['look'\]"):
        UIMessageStream(dynamic="look")


# Calls that the client runs.


def test_a_call_for_the_client() -> None:
    parts = told(tool_chunk('{"a":', id="a", name="look"), tool_chunk(" 1}"), finish_chunk("tool_calls"))
    assert parts[2:-2] == [
        {"type": "tool-input-start", **A_CALL},
        {"type": "tool-input-delta", "toolCallId": "a", "inputTextDelta": '{"a":'},
        {"type": "tool-input-delta", "toolCallId": "a", "inputTextDelta": " 1}"},
        {"type": "tool-input-available", **A_CALL, "input": {"a": 1}},
    ]
    assert parts[-1]["finishReason"] == "tool-calls"


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert (
        only(told(tool_chunk(id="a", name="look"), finish_chunk("tool_calls")), "tool-input-available")["input"] == {}
    )


@pytest.mark.parametrize("text", ['{"a": ', "look there", "[" * 5000])
def test_input_that_is_no_json(text: str) -> None:
    call = ToolCall(id="a", function=FunctionCall(name="look", arguments=text))
    failed = ToolResult(call=call, content="x", error="invalid_arguments")
    parts = told(ToolCallEvent(round=1, call=call), ToolResultEvent(round=1, result=failed))
    error = {"input": text, "errorText": "The input of the call is not JSON."}
    assert only(parts, "tool-input-error") == {**A_CALL, **error}
    assert "tool-output-error" not in kinds(parts)


def test_a_call_that_was_cut() -> None:
    cut = {**A_CALL, "input": '{"a": 1}', "errorText": "The call was cut off."}
    chunks = tool_chunk('{"a": 1}', id="a", name="look"), finish_chunk("length")
    assert only(told(*chunks), "tool-input-error") == cut
    parts = told(*chunks, error=APIStatusError("x", status=500))
    assert only(parts, "tool-input-error") == cut
    # Nothing was shown of one whose tool is not known.
    assert kinds(told(tool_chunk("{", id="a"), finish_chunk("length"))) == [
        "start",
        "start-step",
        "finish-step",
        "finish",
    ]


def test_the_input_of_a_custom_tool_is_a_text() -> None:
    custom = delta(tool_calls=({"index": 0, "id": "a", "custom": {"name": "look", "input": "at {it"}},))
    chunk = StreamChunk.model_validate(custom.model_dump())
    assert only(told(chunk, finish_chunk("tool_calls")), "tool-input-available")["input"] == "at {it"
    call = ToolCall(id="a", type="custom", function=FunctionCall(name="look", arguments="at {it"))
    assert only(told(ToolCallEvent(round=1, call=call)), "tool-input-available")["input"] == "at {it"


def test_identifiers_that_come_again_get_a_number() -> None:
    call = [marked(tool_chunk("{}", id="a", name="look"), begins=True), finish_chunk("tool_calls")]
    own = [marked(tool_chunk("{}", id="a-2", name="look"), begins=True), finish_chunk("tool_calls")]
    parts = told(*call, *own, *call)
    assert [each["toolCallId"] for each in parts if each["type"] == "tool-input-start"] == ["a", "a-2", "a-3"]


# Calls that are run here.


def look(where: str) -> object:
    """What is there."""
    if where == "nowhere":
        raise LookupError("postgres://anna:secret@db")
    return {"seen": where} if where == "here" else where


async def conversation(
    *scripts: Any, approve: Callable[[ToolCall], Awaitable[Any]] | None = None, **options: Any
) -> list[dict[str, Any]]:
    async with ScriptedServer(*scripts) as server, LLMClient(base_url=server.base_url, retries=0) as client:
        asked = {"model": "m", "messages": [{"role": "user", "content": "Look."}]}
        events = client.chat_with_tools(asked, ToolRegistry([look]), approve=approve)
        protocol = UIMessageStream(**options)
        frames = [each async for each in serving.frames(events, protocol=protocol)]
    UIClient.read(frames)
    return parts_of(frames)


def looking(where: str, *, id: str = "a", index: int = 0) -> tuple[script.Chunk, ...]:
    return script.tool_call("look", {"where": where}, id=id, index=index)


DONE = script.answer("Done.")


async def test_a_conversation() -> None:
    parts = await conversation(script.answer("I look.", looking("here")), DONE, usage=True)
    assert [each for each in kinds(parts) if not each.endswith("-delta")] == [
        *("start", "start-step", "text-start", "text-end", "tool-input-start", "tool-input-available"),
        *("tool-output-available", "finish-step", "start-step", "text-start", "text-end", "finish-step", "finish"),
    ]
    assert only(parts, "tool-input-available") == {**A_CALL, "input": {"where": "here"}}
    # What a client can read is no text with JSON in it.
    assert only(parts, "tool-output-available") == {"toolCallId": "a", "output": {"seen": "here"}}
    assert parts[-1]["messageMetadata"]["usage"]["totalTokens"] > 0


async def test_what_a_tool_said_that_is_no_object() -> None:
    parts = await conversation(script.answer(looking("42")), DONE)
    assert only(parts, "tool-output-available")["output"] == "42"
    parts = await conversation(script.answer(looking("{42")), DONE)
    assert only(parts, "tool-output-available")["output"] == "{42"


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        (looking("nowhere"), "The tool failed."),
        (script.tool_call("look", {}, id="a"), "The tool was called with wrong arguments."),
        (script.tool_call("jump", {}, id="a"), "There is no such tool."),
    ],
)
async def test_a_tool_that_failed(calls: Any, text: str) -> None:
    assert only(await conversation(script.answer(calls), DONE), "tool-output-error")["errorText"] == text


async def test_two_calls_with_one_identifier() -> None:
    parts = await conversation(script.answer(looking("here"), looking("there", index=1)), DONE)
    told_of = [each for each in parts if each["type"] in {"tool-input-available", "tool-output-available"}]
    assert [(each["toolCallId"], each.get("input") or each["output"]) for each in told_of] == [
        ("a", {"where": "here"}),
        ("a-2", {"where": "there"}),
        ("a", {"seen": "here"}),
        ("a-2", "there"),
    ]


def test_results_of_calls_with_one_identifier() -> None:
    call = ToolCall(id="a", function=FunctionCall(name="look", arguments="{}"))
    both = [ToolCallEvent(round=1, call=call)] * 2
    twice = ToolResultEvent(round=1, result=ToolResult(call=call, content="x", error="duplicate"))
    once = ToolResultEvent(round=1, result=ToolResult(call=call, content="seen"))
    # The one that is not run is done at once.
    parts = told(*both, twice, once)
    assert only(parts, "tool-output-available") == {"toolCallId": "a", "output": "seen"}
    text = "The call has the identifier of another one, and was not run."
    assert only(parts, "tool-output-error") == {"toolCallId": "a-2", "errorText": text}


async def test_somebody_is_asked() -> None:
    async def approve(call: ToolCall) -> Approved | Refused:
        where = call.function.parsed["where"]
        return Approved() if where == "here" else Refused(reason=f"not {where}")

    both = script.answer(looking("here"), looking("there", id="b", index=1))
    parts = await conversation(both, DONE, approve=approve)
    asked = [each for each in parts if each["type"].startswith("tool-approval") or "output" in each["type"]]
    assert asked == [
        {"type": "tool-approval-request", "approvalId": "a-approval", "toolCallId": "a"},
        {"type": "tool-approval-response", "approvalId": "a-approval", "approved": True},
        {"type": "tool-approval-request", "approvalId": "b-approval", "toolCallId": "b"},
        {"type": "tool-approval-response", "approvalId": "b-approval", "approved": False, "reason": "not there"},
        {"type": "tool-output-available", "toolCallId": "a", "output": {"seen": "here"}},
        {"type": "tool-output-denied", "toolCallId": "b"},
    ]


async def test_one_that_could_not_be_asked_about_is_no_denial() -> None:
    call = ToolCall(id="a", function=FunctionCall(name="look", arguments="{}"))
    parts = told(ToolResultEvent(round=1, result=ToolResult(call=call, content="not run", error="refused")))
    # The call itself was never told: who comes in the middle of a stream gets it with its result.
    assert only(parts, "tool-input-available") == {**A_CALL, "input": {}}
    assert only(parts, "tool-output-error") == {"toolCallId": "a", "errorText": "The call was not run."}


# What the provider runs, and what else is in an answer.


def finished(block: dict[str, Any], index: int = 0, **part: Any) -> StreamChunk:
    return delta(part=DeltaPart(index=index, **part), blocks=(DeltaBlock(index=index, block=block),))


def test_a_tool_of_the_provider_whose_result_is_a_part() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "X"}]}
    parts = told(
        delta(part=DeltaPart(index=0, kind="server_tool", id="s", name="web_search", text='{"query": "x"}')),
        finished(use, kind="server_tool"),
        finished(result, 1, kind="server_result", id="s"),
    )
    of = {"toolCallId": "s", "providerExecuted": True}
    assert only(parts, "tool-input-available") == {**of, "toolName": "web_search", "input": {"query": "x"}}
    assert only(parts, "tool-output-available") == {**of, "output": [{"title": "X"}]}
    failed = {**result, "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}}
    parts = told(finished(use, kind="server_tool", id="s"), finished(failed, 1, kind="server_result", id="s"))
    assert only(parts, "tool-output-error") == {**of, "errorText": "The tool failed."}


def test_a_tool_of_the_provider_that_is_one_part() -> None:
    search = {"type": "web_search_call", "id": "s", "status": "completed", "action": {"query": "x"}}
    parts = told(finished(search, kind="server_tool", id="s"))
    of = {"toolCallId": "s", "providerExecuted": True}
    assert only(parts, "tool-input-available") == {**of, "toolName": "web_search", "input": {}}
    assert only(parts, "tool-output-available") == {**of, "output": search}
    # A program is no JSON, and no fault.
    code = delta(part=DeltaPart(index=0, kind="server_tool", id="s", name="python", text="print(1)"))
    parts = told(code, finished({"type": "code_interpreter_call"}, kind="server_tool"))
    assert only(parts, "tool-input-available")["input"] == "print(1)"


def a_round(number: int, **message: Any) -> RoundCompleted:
    made = Message(role=Role.ASSISTANT, **message)
    completion = ChatCompletion(choices=[CompletionChoice(index=0, message=made, finish_reason="stop")])
    return RoundCompleted(round=number, completion=completion, messages=(made,))


def test_a_conversation_tells_what_the_provider_ran_when_the_round_is_over() -> None:
    use = MessagePart(index=0, kind="server_tool", id="s", name="search", text="{}", final=True)
    result = MessagePart(index=1, kind="server_result", id="s", block={"content": "found"}, final=True)
    call = ToolCallEvent(round=1, call=ToolCall(id="a", function=FunctionCall(name="look", arguments="{}")))
    paused = told(call, a_round(1, parts=[use]), a_round(2, parts=[result], refusal="No."))
    assert [each["toolCallId"] for each in paused if each["type"] == "tool-input-available"] == ["a", "s"]
    # The model paused; the result came with the next answer.
    assert only(paused, "tool-output-available") == {"toolCallId": "s", "output": "found", "providerExecuted": True}
    assert only(paused, "text-delta")["delta"] == "No."


def test_sources_and_files() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A"}}
    parts = told(
        delta(annotations=(citation, citation, {"type": "file_citation", "filename": "b.pdf"})),
        delta(images=({"image_url": {"url": "data:image/webp;base64,AAAA"}},)),
        finished({"type": "image_generation_call", "result": "BBBB", "output_format": "jpeg"}, kind="image"),
    )
    assert only(parts, "source-url") == {"sourceId": "s1", "url": "https://a.example", "title": "A"}
    document = {"sourceId": "s2", "mediaType": "text/plain", "title": "b.pdf", "filename": "b.pdf"}
    assert only(parts, "source-document") == document
    assert [each["mediaType"] for each in parts if each["type"] == "file"] == ["image/webp", "image/jpeg"]


def test_a_browser_is_led_to_pages_only() -> None:
    parts = told(
        delta(annotations=({"url": "javascript:alert(1)"}, {"url": "data:text/html,x", "title": "X"})),
        delta(images=({"image_url": {"url": "javascript:alert(1)"}}, {"image_url": {"url": "data:text/html,x"}})),
    )
    assert [each["title"] for each in parts if each["type"] == "source-document"] == ["javascript:alert(1)", "X"]
    assert not {"file", "source-url"} & {*kinds(parts)}


# Restarts.


def again(chunk: StreamChunk) -> StreamChunk:
    return marked(chunk, begins=True, restarts=True)


def test_a_restart_takes_back_the_step() -> None:
    source = delta(annotations=({"url": "https://a.example"},))
    parts = told(text_chunk("Wrong"), source, again(text_chunk("Right")), source, finish_chunk())
    assert kinds(parts).count("start-step") == 1
    assert kinds(parts).count("source-url") == 2
    client = UIClient.read(frames_of(reactivex.of(text_chunk("Wrong"), again(text_chunk("Right")))))
    assert client.texts() == "Right"


def test_a_restart_in_a_later_step_keeps_the_first() -> None:
    events = (
        TextDelta(round=1, text="One. "),
        a_round(1),
        TextDelta(round=2, text="Wrong"),
        ToolInputDelta(round=2, index=0, id="a", name="look", text="{"),
        Restarted(round=2, attempt=2),
        TextDelta(round=2, text="Two."),
    )
    parts = told(*events)
    assert kinds(parts).count("start-step") == 2
    assert UIClient.read(frames_of(reactivex.of(*events))).texts() == "One. Two."
    # A round that nobody ended ends when the next one begins.
    assert kinds(told(TextDelta(round=1, text="One."), TextDelta(round=2, text="Two."))).count("finish-step") == 2
    # Nothing was told of a round that had not begun.
    assert "reset-step" not in kinds(told(TextDelta(round=1, text="One."), Restarted(round=2)))


def placed(*items: object) -> list[LogItem[Any]]:
    """Items of a log; the last is written by somebody else, who began anew."""
    last = len(items) - 1
    return [LogItem(LogPosition(1, place), item, place == last) for place, item in enumerate(items)]


def test_a_log_whose_writer_began_anew() -> None:
    client = UIClient.read(frames_of(reactivex.of(*placed("Wrong", "Right"))))
    assert client.texts() == "Right"
    assert told(*placed(text_chunk("a"), again(text_chunk("b"))))[-1]["type"] == "finish"
    assert "reset-step" not in kinds(told(*placed("only")))


def test_what_the_client_cannot_take_back_ends_the_stream() -> None:
    first = TextDelta(round=1, text="One."), a_round(1), TextDelta(round=2, text="Two")
    parts = told(*placed(*first, TextDelta(round=1, text="One.")))
    assert kinds(parts)[-2:] == ["text-end", "error"]


# Ends.


def test_an_error_in_our_own_words() -> None:
    parts = told(text_chunk("Hel"), error=APIStatusError("key sk-123 at https://x.internal", status=429))
    assert kinds(parts)[-2:] == ["text-end", "error"]
    assert parts[-1] == {"type": "error", "errorText": "The model is busy. Try again in a while."}


def test_what_stood_before_an_item_that_cannot_be_told_is_told() -> None:
    both = tool_chunk('{"a', id="a", name="look"), tool_chunk('{"b', id="b", name="look", index=1)
    fits_nowhere = tool_chunk('": 1}', index=None).choices[0].delta.tool_calls
    parts = told(*both, delta(content="Hello", tool_calls=fits_nowhere))
    assert only(parts, "text-delta")["delta"] == "Hello"
    assert kinds(parts)[-3:] == ["tool-input-error", "tool-input-error", "error"]
    parts = told("Hello", *[delta(part=DeltaPart(index=index, kind="new", text="x")) for index in range(5000)])
    assert only(parts, "text-delta")["delta"] == "Hello"
    assert parts[-1] == {"type": "error", "errorText": "The model's answer could not be used."}
    parts = told("Hello", 7)
    assert parts[-1] == {"type": "error", "errorText": "Something went wrong here."}


@pytest.mark.parametrize(
    "end",
    [{"error": StreamCancelledError("somebody said stop")}, {"items": (Stopped(round=1),)}],
    ids=["error", "event"],
)
def test_a_stop(end: dict[str, Any]) -> None:
    events = TextDelta(round=1, text="Hel"), ToolInputDelta(round=1, index=0, id="a", name="look", text="{")
    parts = (
        told(*events, *end.get("items", ()), "not told", error=end.get("error"))
        if "items" in end
        else told(*events, error=end["error"])
    )
    assert parts[-1] == {"type": "abort"}
    # No call is done, or a client that sends results by itself would ask again.
    assert "tool-input-error" not in kinds(parts)
    assert "not told" not in str(parts)


def test_a_stop_by_the_application() -> None:
    answer: Subject[StreamChunk] = Subject()
    button: Subject[None] = Subject()
    stop: list[bytes] = []
    serving.frames(answer.pipe(ops.stop_when(button)), protocol="ui-message-stream").subscribe(stop.append)
    answer.on_next(text_chunk("a"))
    button.on_next(None)
    assert parts_of(stop)[-1] == {"type": "abort"}
    writer = UIMessageStream().writer(Asked())
    assert parts_of([writer.begin(), writer.end(ServedEnd("stopped", reason="enough"))])[-1]["reason"] == "enough"


def test_the_server_stops() -> None:
    writer = UIMessageStream().writer(Asked())
    asked = ApprovalRequested(round=1, call=ToolCall(id="a", function=FunctionCall(name="look", arguments="{}")))
    told_before = [writer.begin(), writer.write([text_chunk("Hel")]), writer.write([asked])]
    end = writer.end(ServedEnd("closing", PublicError(503, "closing", "The server is going down. Try again.")))
    assert writer.over
    assert UIClient.read([*told_before, end]).ended == {
        "type": "error",
        "errorText": "The server is going down. Try again.",
    }


# What comes late, twice or not at all.


def test_a_call_is_told_when_it_is_known() -> None:
    parts = told(
        ToolInputDelta(round=1, index=0, text='{"a"'),
        ToolInputDelta(round=1, index=0, id="a", name="look", text=": "),
        ToolInputDelta(round=1, index=0, id="a", name="look", text=""),
        ToolCallEvent(round=1, call=ToolCall(id="a", function=FunctionCall(name="look", arguments='{"a": 1}'))),
        ToolInputDelta(round=1, index=0, id="a", name="look", text="1}"),
    )
    assert kinds(parts)[2:-2] == ["tool-input-start", "tool-input-delta", "tool-input-available"]
    assert only(parts, "tool-input-delta")["inputTextDelta"] == '{"a": '
    assert only(parts, "tool-input-available")["input"] == {"a": 1}


def test_a_part_that_goes_on_behind_its_end() -> None:
    use = {"type": "mcp_tool_use", "id": "s", "name": "search"}
    parts = told(
        finished(use, kind="server_tool", id="s", name="search"),
        delta(part=DeltaPart(index=0, kind="server_tool", text="{}")),
        finished(use, kind="server_tool"),
    )
    assert kinds(parts)[2:-2] == ["tool-input-start", "tool-input-available"]


def test_parts_that_nobody_can_be_told_of() -> None:
    parts = told(
        finished({"type": "mcp_approval_request"}, kind="other"),
        finished({"type": "mcp_list_tools"}, 1, kind="server_result"),
        finished({"type": "image_generation_call", "result": None}, 2, kind="image"),
        delta(annotations=(7, {"type": "file_path"})),
        delta(part=DeltaPart(index=3, kind="server_result", text="output")),
        Restarted(round=7),
    )
    assert kinds(parts) == ["start", "start-step", "finish-step", "finish"]


def test_a_result_before_its_call_was_whole() -> None:
    asks = delta(part=DeltaPart(index=0, kind="server_tool", id="s", name="search", text='{"q": 1}'))
    parts = told(asks, finished({"content": "found"}, 1, kind="server_result", id="s"))
    assert only(parts, "tool-input-available")["input"] == {"q": 1}
    assert only(parts, "tool-output-available")["output"] == "found"
    # What was cut of the answer may have had a result.
    result = MessagePart(index=0, kind="server_result", id="s", final=True)
    parts = told(a_round(1, parts=[MessagePart(kind="server_tool", id="s", name="go", final=True, index=1), result]))
    assert only(parts, "tool-output-available")["output"] is None
