"""``LLMClient.chat_with_tools``: a conversation with a model that calls tools, over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from pydantic import TypeAdapter
from reactivex import operators as rx_ops

import rxllm
from rxllm import (
    ChatCompleted,
    ChatCompletion,
    ChatEvent,
    ChatRequest,
    LLMClient,
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    StreamChunk,
    StreamInfo,
    TextDelta,
    ToolCallEvent,
    ToolInputDelta,
    ToolRegistry,
    ToolResultEvent,
)
from rxllm import operators as ops
from rxllm.exceptions import (
    APIStatusError,
    APIStreamError,
    BufferOverflowError,
    ChunkTimeoutError,
    EmptyStreamError,
    LimitExceededError,
    StreamInterruptedError,
    ToolExecutionError,
    TruncatedStreamError,
)
from rxllm.models import marked
from rxllm.testing import ReceivedRequest, ScriptedServer, script


@pytest.fixture
def asked() -> list[str]:
    """The cities that the tool was asked about."""
    return []


@pytest.fixture
def registry(asked: list[str]) -> ToolRegistry:
    async def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        if city == "Atlantis":
            raise LookupError("no such city")
        return f"rain in {city}"

    return ToolRegistry([get_weather])


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Weather?"}], **fields})


def weather(city: str, *, id: str = "call_1", index: int = 0) -> tuple[script.Chunk, ...]:
    return script.tool_call("get_weather", {"city": city}, id=id, index=index)


CALL = script.answer("I look.", weather("Paris"))
TWO_CALLS = script.answer(weather("Paris"), weather("Tokyo", id="call_2", index=1))
ANSWER = script.answer("It ", "rains.")


async def converse(
    registry: ToolRegistry, *scripts: Any, request: ChatRequest | None = None, repeat: bool = False, **options: Any
) -> tuple[list[ChatEvent], Exception | None, list[ReceivedRequest]]:
    """The events, but for what inputs gained, the error and the requests of a conversation."""
    events: list[ChatEvent] = []
    failure: Exception | None = None
    async with (
        ScriptedServer(*scripts, repeat=repeat) as server,
        LLMClient(base_url=server.base_url, retries=0) as client,
    ):
        conversation = client.chat_with_tools(request or _request(), registry, **options)
        try:
            await conversation.pipe(rx_ops.do_action(events.append))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            failure = error
        assert server.connections == 1
    return [event for event in events if event.type != "tool_input"], failure, server.requests


_request = request


def types(events: list[ChatEvent]) -> list[str]:
    return [event.type for event in events]


async def test_a_call_is_run_and_its_result_sent_back(registry: ToolRegistry) -> None:
    events, failure, requests = await converse(registry, CALL, ANSWER, request=request(temperature=0.5))

    assert failure is None
    text, call, result, first, it, rains, second, completed = events
    assert isinstance(text, TextDelta)
    assert (text.round, text.text) == (1, "I look.")
    assert isinstance(call, ToolCallEvent)
    assert call.call.function.parsed == {"city": "Paris"}
    assert isinstance(result, ToolResultEvent)
    assert result.result.call == call.call
    assert (result.result.content, result.result.error) == ("rain in Paris", None)
    assert isinstance(first, RoundCompleted)
    assert first.round == 1
    assert first.completion.choices[0].finish_reason == "tool_calls"
    assert isinstance(it, TextDelta)
    assert isinstance(rains, TextDelta)
    assert (it.round, it.text + rains.text) == (2, "It rains.")
    assert isinstance(second, RoundCompleted)
    assert isinstance(completed, ChatCompleted)
    assert completed.round == 2
    assert completed.completion == second.completion
    assert completed.completion.content == "It rains."
    assert completed.completion.usage is not None
    assert completed.messages == (*first.messages, *second.messages)

    question = {"role": "user", "content": "Weather?"}
    assistant = {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            }
        ],
    }
    tool = {"role": "tool", "tool_call_id": "call_1", "content": "rain in Paris"}
    assert requests[0].json["messages"] == [question]
    assert requests[1].json["messages"] == [question, assistant, tool]
    assert [message.to_wire() for message in completed.messages] == [
        assistant,
        tool,
        {"role": "assistant", "content": "It rains."},
    ]
    for sent in requests:
        assert sent.json["tools"] == registry.schemas()
        assert sent.json["temperature"] == 0.5
        assert sent.json["stream"] is True


async def test_an_answer_without_calls_is_the_end(registry: ToolRegistry, asked: list[str]) -> None:
    events, failure, requests = await converse(registry, ANSWER)

    assert failure is None
    assert types(events) == ["text", "text", "round", "completed"]
    assert len(requests) == 1
    assert asked == []


async def test_an_answer_of_nothing(registry: ToolRegistry) -> None:
    events, failure, _ = await converse(registry, [script.usage(), script.done()])

    assert isinstance(failure, EmptyStreamError)
    assert events == []


async def test_events_are_json_and_read_back(registry: ToolRegistry) -> None:
    events, _, _ = await converse(registry, CALL, ANSWER)
    adapter = TypeAdapter[ChatEvent](ChatEvent)

    for event in events:
        again = adapter.validate_json(event.model_dump_json())
        assert type(again) is type(event)
        assert again.model_dump() == event.model_dump()


async def test_reasoning_and_what_the_chunks_go_through(registry: ToolRegistry) -> None:
    answer = script.answer("<think>Hm", ".</think>Yes", script.reasoning("Or no?"))
    events, _, _ = await converse(
        registry, answer, through=reactivex.compose(ops.timeout_per_chunk(60), ops.split_reasoning())
    )

    shown = [(event.type, event.text) for event in events if isinstance(event, TextDelta | ReasoningDelta)]
    assert shown == [("reasoning", "Hm"), ("reasoning", "."), ("text", "Yes"), ("reasoning", "Or no?")]


def anew(attempt: int | None) -> Callable[[reactivex.Observable[StreamChunk]], reactivex.Observable[StreamChunk]]:
    """As a retry does: where the text begins with a capital letter the answer begins anew."""

    def mark(chunk: StreamChunk) -> StreamChunk:
        stream = None if attempt is None else StreamInfo(attempt=attempt)
        return marked(chunk, restarts=True, stream=stream) if chunk.text.isupper() else chunk

    return rx_ops.map(mark)


@pytest.mark.parametrize("attempt", [2, None])
async def test_an_answer_that_begins_anew_is_told_and_what_came_before_does_not_count(
    registry: ToolRegistry, asked: list[str], attempt: int | None
) -> None:
    call = script.answer("i look.", weather("Paris"), "NO.", weather("Tokyo", id="call_2"))
    events, failure, requests = await converse(registry, call, ANSWER, through=anew(attempt))

    assert failure is None
    assert types(events)[:4] == ["text", "restarted", "text", "tool_call"]
    assert events[1] == Restarted(round=1, attempt=attempt)
    assert asked == ["Tokyo"]
    assert [message["content"] for message in requests[1].json["messages"][1:]] == ["NO.", "rain in Tokyo"]


async def test_several_calls_run_at_once_and_their_results_go_back_in_their_order() -> None:
    tokyo_done = asyncio.Event()

    async def get_weather(city: str) -> str:
        if city == "Tokyo":
            tokyo_done.set()
        else:
            await tokyo_done.wait()
        return city

    events, failure, requests = await converse(ToolRegistry([get_weather]), TWO_CALLS, ANSWER, ordered=False)

    assert failure is None
    results = [event.result.content for event in events if isinstance(event, ToolResultEvent)]
    assert results == ["Tokyo", "Paris"]
    assert [message["content"] for message in requests[1].json["messages"][2:]] == ["Paris", "Tokyo"]


async def test_what_a_tool_takes_and_at_once() -> None:
    running: list[int] = []
    most: list[int] = []

    async def get_weather(city: str) -> str:
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0)
        running.pop()
        return city

    await converse(ToolRegistry([get_weather]), TWO_CALLS, ANSWER, max_concurrency=1)

    assert most == [1, 1]


async def test_what_goes_wrong_is_told_to_the_model(registry: ToolRegistry) -> None:
    calls = script.answer(
        weather("Atlantis", id="a"),
        script.tool_call("get_weather", "{}", id="b", index=1),
        script.tool_call("launch", "{}", id="c", index=2),
        script.tool_call("get_weather", "no JSON", id="d", index=3),
    )
    events, failure, requests = await converse(registry, calls, ANSWER)

    assert failure is None
    assert [event.result.error for event in events if isinstance(event, ToolResultEvent)] == [
        "failed",
        "invalid_arguments",
        "unknown_tool",
        "invalid_arguments",
    ]
    assert [message["content"] for message in requests[1].json["messages"][2:]] == [
        "'get_weather' failed: LookupError: no such city",
        "the arguments of 'get_weather' are not valid: city: Missing required argument",
        "there is no tool 'launch'; there are: get_weather",
        "the arguments of 'get_weather' are not a JSON object: 'no JSON'",
    ]


async def test_or_ends_the_conversation(registry: ToolRegistry) -> None:
    events, failure, requests = await converse(registry, script.answer(weather("Atlantis")), on_error="raise")

    assert isinstance(failure, ToolExecutionError)
    assert isinstance(failure.partial, ChatCompletion)
    assert failure.partial.message.tool_calls[0].id == "call_1"
    assert types(events) == ["tool_call"]
    assert len(requests) == 1


async def test_a_tool_that_takes_too_long() -> None:
    async def get_weather(city: str) -> str:
        return await asyncio.get_running_loop().create_future() or city

    events, _, _ = await converse(ToolRegistry([get_weather]), CALL, ANSWER, timeout=0.001)

    assert [event.result.error for event in events if isinstance(event, ToolResultEvent)] == ["timeout"]


async def test_a_call_of_each_round_is_run_though_their_identifiers_are_the_same(
    registry: ToolRegistry, asked: list[str]
) -> None:
    await converse(registry, script.answer(weather("Paris")), script.answer(weather("Tokyo")), ANSWER)
    assert asked == ["Paris", "Tokyo"]


async def test_two_calls_with_one_identifier_in_an_answer_are_run_and_go_back_under_two(
    registry: ToolRegistry, asked: list[str]
) -> None:
    calls = script.answer(
        *(
            script.tool_call_delta(f'{{"city": "{city}"}}', index=index, id="same", name="get_weather")
            for index, city in enumerate(("Paris", "Tokyo"))
        )
    )
    events, failure, requests = await converse(registry, calls, ANSWER)

    assert failure is None
    assert asked == ["Paris", "Tokyo"]
    assert [event.result.error for event in events if isinstance(event, ToolResultEvent)] == [None, None]
    _, assistant, *results = requests[1].json["messages"]
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert [result["tool_call_id"] for result in results] == ids
    assert ids[0] == "same" != ids[1]


# What is sent


@pytest.mark.parametrize(
    ("choice", "later"),
    [
        ("required", "auto"),
        ("any", "auto"),
        ({"type": "function", "function": {"name": "get_weather"}}, "auto"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_weather"}]},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_weather"}]},
        ),
        (
            {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        ({"type": "any"}, {"type": "auto"}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"type": "none"}, {"type": "none"}),
        ("auto", "auto"),
        ("none", "none"),
    ],
)
async def test_a_call_is_forced_in_the_first_round_only(registry: ToolRegistry, choice: Any, later: Any) -> None:
    _, _, requests = await converse(registry, CALL, CALL, ANSWER, request=request(tool_choice=choice))
    assert [sent.json["tool_choice"] for sent in requests] == [choice, later, later]


async def test_tools_of_the_request_are_sent_too_and_its_wording_counts(registry: ToolRegistry) -> None:
    own = [
        {"type": "function", "function": {"name": "get_weather", "description": "Mine"}},
        {"type": "function", "function": {"name": "other"}},
        {"type": "web_search"},
    ]
    _, _, requests = await converse(registry, ANSWER, request=request(tools=own))
    assert requests[0].json["tools"] == own

    _, _, requests = await converse(registry, ANSWER, request=request(tools=own[1:]))
    assert requests[0].json["tools"] == [*own[1:], *registry.schemas()]


@pytest.mark.parametrize(
    "own",
    [
        {"type": "function", "name": "get_weather", "parameters": {"type": "object"}},
        {"name": "get_weather", "input_schema": {"type": "object"}},
        {"type": "custom", "custom": {"name": "get_weather"}},
        {"type": "get_weather_20260101", "name": "get_weather"},
    ],
)
async def test_a_tool_in_the_words_of_another_dialect_is_not_sent_twice(
    registry: ToolRegistry, own: dict[str, Any]
) -> None:
    _, _, requests = await converse(registry, ANSWER, request=request(tools=[own]))
    assert requests[0].json["tools"] == [own]


async def test_without_any_tools_none_are_sent() -> None:
    _, _, requests = await converse(ToolRegistry(), ANSWER)
    assert "tools" not in requests[0].json


async def test_the_request_is_not_changed(registry: ToolRegistry) -> None:
    asking = request(tool_choice="required")
    before = asking.model_dump()
    await converse(registry, CALL, ANSWER, request=asking)
    assert asking.model_dump() == before


async def test_two_subscriptions_are_two_conversations(registry: ToolRegistry, asked: list[str]) -> None:
    async with (
        ScriptedServer(CALL, ANSWER, CALL, ANSWER) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        conversation = client.chat_with_tools(request(), registry)
        assert server.requests == []
        first = await conversation.pipe(rx_ops.to_list())
        second = await conversation.pipe(rx_ops.to_list())

    assert [event.model_dump() for event in first] == [event.model_dump() for event in second]
    assert asked == ["Paris", "Paris"]
    assert len(server.requests) == 4


# Ends


async def test_rounds_are_bounded_and_the_calls_of_the_last_are_not_run(
    registry: ToolRegistry, asked: list[str]
) -> None:
    events, failure, requests = await converse(registry, CALL, repeat=True, max_rounds=2)

    assert isinstance(failure, LimitExceededError)
    assert (failure.limit, failure.maximum) == ("max_rounds", 2)
    assert isinstance(failure.partial, ChatCompletion)
    assert failure.partial.message.tool_calls[0].function.name == "get_weather"
    assert types(events) == ["text", "tool_call", "tool_result", "round", "text"]
    assert len(requests) == 2
    assert asked == ["Paris"]


LATER_ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "error object": ([script.text("It "), script.error("overloaded")], APIStreamError, "It "),
    "status": (script.status(429, "slow down"), APIStatusError, ""),
    "cut": ([script.text("It "), script.reset()], StreamInterruptedError, "It "),
    "truncated": ([script.text("It "), *weather("Tokyo")], TruncatedStreamError, "It "),
}


@pytest.mark.parametrize(("answer", "kind", "content"), LATER_ERRORS.values(), ids=LATER_ERRORS)
async def test_an_error_in_a_later_round_leaves_what_was_emitted(
    registry: ToolRegistry, asked: list[str], answer: Any, kind: type[Exception], content: str
) -> None:
    events, failure, _ = await converse(registry, CALL, answer)

    assert isinstance(failure, kind)
    assert isinstance(failure, rxllm.RxllmError)
    assert isinstance(failure.partial, ChatCompletion)
    assert failure.partial.content == content
    assert not failure.partial.message.tool_calls
    assert types(events)[:4] == ["text", "tool_call", "tool_result", "round"]
    assert asked == ["Paris"]


NOT_COMPLETED = {
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "content_filter": "content_filter",
    "error": "truncated",
    "abort": "truncated",
    "moonrise": "unknown",
    "null": "unknown",
}


@pytest.mark.parametrize(("reason", "ending"), NOT_COMPLETED.items(), ids=NOT_COMPLETED)
async def test_of_an_answer_that_was_cut_no_call_is_run(
    registry: ToolRegistry, asked: list[str], reason: str, ending: str
) -> None:
    """Its arguments parse: but the call without any may have been about to get some."""
    calls = [*weather("Paris"), script.tool_call_delta("", index=1, id="call_2", name="get_weather")]
    events, failure, _ = await converse(registry, [*calls, script.finish(reason), script.done()])

    assert isinstance(failure, TruncatedStreamError)
    assert failure.partial is not None
    assert (failure.partial.complete, failure.partial.ending) == (False, ending)
    assert failure.partial.message.tool_calls == [] or ending == "unknown"
    assert events == []
    assert asked == []


async def test_what_calls_gain_is_told_while_the_model_writes_them(registry: ToolRegistry) -> None:
    """By the call, whatever the server numbers it; nothing of it can be run."""
    first = [
        script.tool_call_delta("", index=0, id="call_1", name="get_weather"),
        script.tool_call_delta('{"city": ', index=0),
        script.tool_call_delta("", index=0),
        script.tool_call_delta('"Paris"}', index=0),
        *weather("Tokyo", id="call_2", index=1),
    ]
    async with (
        ScriptedServer([*first, script.finish("tool_calls"), script.done()], ANSWER) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        events = [event async for event in client.chat_with_tools(request(), registry)]

    told = [event for event in events if isinstance(event, ToolInputDelta)]
    assert events[: len(told)] == told
    assert {event.round for event in told} == {1}
    assert [(event.index, event.id, event.name, event.text) for event in told][:3] == [
        (0, "call_1", "get_weather", ""),
        (0, "call_1", "get_weather", '{"city": '),
        (0, "call_1", "get_weather", '"Paris"}'),
    ]
    whole = {index: "".join(event.text for event in told if event.index == index) for index in (0, 1)}
    assert [json.loads(text) for text in whole.values()] == [{"city": "Paris"}, {"city": "Tokyo"}]


async def test_what_calls_gain_of_an_answer_that_begins_anew_is_told_from_the_start(registry: ToolRegistry) -> None:
    cut = [script.tool_call_delta('{"ci', index=0, id="call_1", name="get_weather"), script.cut()]
    again = ops.retry_with_backoff(2, after_first="restart", initial=0)
    async with ScriptedServer(cut, CALL, ANSWER) as server, LLMClient(base_url=server.base_url) as client:
        events = [event async for event in client.chat_with_tools(request(), registry, through=again)]

    restarted = types(events).index("restarted")
    assert types(events)[:restarted] == ["tool_input"]
    told = [event for event in events[restarted:] if isinstance(event, ToolInputDelta)]
    assert json.loads("".join(event.text for event in told)) == {"city": "Paris"}
    assert {event.index for event in told} == {0}


async def test_a_model_that_pauses_is_asked_to_go_on(registry: ToolRegistry, asked: list[str]) -> None:
    pause = [script.text("Wait. "), *weather("Paris"), script.finish("pause_turn"), script.done()]
    events, failure, requests = await converse(registry, pause, CALL, ANSWER)

    assert failure is None
    assert asked == ["Paris"]
    rounds = [event.completion for event in events if isinstance(event, RoundCompleted)]
    assert [(each.complete, each.ending) for each in rounds] == [
        (False, "paused"),
        (True, "completed"),
        (True, "completed"),
    ]
    assert (requests[1].json or {})["messages"][-1] == {"role": "assistant", "content": "Wait. "}

    _, failure, _ = await converse(registry, pause, repeat=True, max_rounds=2)
    assert isinstance(failure, LimitExceededError)


async def test_text_that_was_cut_by_its_length_is_an_answer(registry: ToolRegistry) -> None:
    events, failure, _ = await converse(registry, script.answer("It ", finish_reason="length"))

    assert failure is None
    assert types(events) == ["text", "round", "completed"]


async def test_calls_of_other_choices_are_nobodys(registry: ToolRegistry, asked: list[str]) -> None:
    other = [*script.tool_call("get_weather", {"city": "Rome"}, choice=1), script.finish("tool_calls", choice=1)]
    events, failure, _ = await converse(registry, [script.text("Hi"), script.finish(), *other, script.done()])

    assert failure is None
    assert types(events) == ["text", "round", "completed"]
    assert asked == []

    events, _, _ = await converse(registry, [*other, script.done()])
    assert types(events) == ["round", "completed"]
    assert asked == []


async def test_silence_is_an_error_where_it_is_watched(registry: ToolRegistry) -> None:
    stalling = [script.text("It "), script.stall()]
    events, failure, _ = await converse(registry, CALL, stalling, through=ops.timeout_per_chunk(0.05, first=60))

    assert isinstance(failure, ChunkTimeoutError)
    assert types(events)[-1] == "text"


async def test_what_a_subscription_emits_at_once_is_taken_and_does_not_pause_the_loop_that_takes_it(
    registry: ToolRegistry,
) -> None:
    chunk = rxllm.StreamChunk.from_wire({"choices": [{"delta": {"content": "x"}}]})
    through = rx_ops.start_with(*[chunk] * 64)

    events, failure, _ = await converse(registry, CALL, ANSWER, through=through)

    assert failure is None
    assert types(events).count("text") == 131


async def test_what_cannot_be_paused_is_bounded(registry: ToolRegistry) -> None:
    chunk = rxllm.StreamChunk.from_wire({"choices": [{"delta": {"content": "x"}}]})
    flood: rxllm.OperatorFunction[rxllm.StreamChunk, rxllm.StreamChunk] = rx_ops.start_with(*[chunk] * 1000)
    conversation = LLMClient(base_url="http://127.0.0.1").chat_with_tools(request(), registry, through=flood)

    with pytest.raises(BufferOverflowError):
        await conversation


# Leaving


async def collect(conversation: reactivex.Observable[ChatEvent], until: Callable[[ChatEvent], bool]) -> None:
    async with rxllm.iterate(conversation) as events:
        async for event in events:
            if until(event):
                return


async def test_leaving_while_an_answer_arrives_closes_the_connection(registry: ToolRegistry) -> None:
    async with (
        ScriptedServer(CALL, [script.text("It "), script.stall()]) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        conversation = client.chat_with_tools(request(), registry)
        await collect(conversation, lambda event: event.round == 2)
        await server.requests[1].peer_left.wait()


async def test_leaving_before_the_first_byte_closes_the_connection(registry: ToolRegistry) -> None:
    async with (
        ScriptedServer([script.stall()]) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        subscription = client.chat_with_tools(request(), registry).subscribe()
        sent = await server.wait_for_request()
        subscription.dispose()
        await sent.peer_left.wait()


async def test_leaving_while_tools_run_cancels_them() -> None:
    ends: list[str] = []

    async def get_weather(city: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ends.append(city)

    async with (
        ScriptedServer(TWO_CALLS) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        conversation = client.chat_with_tools(request(), ToolRegistry([get_weather]))
        async with rxllm.iterate(conversation) as events:
            async for event in events:
                if isinstance(event, ToolCallEvent) and event.call.id == "call_2":
                    # The tools begin in the turns that follow.
                    for _ in range(20):
                        await asyncio.sleep(0)
                    break
        for _ in range(20):
            await asyncio.sleep(0)

    assert sorted(ends) == ["Paris", "Tokyo"]
    assert len(server.requests) == 1


async def test_cancelling_the_task_that_awaits_ends_it(registry: ToolRegistry) -> None:
    async with (
        ScriptedServer(CALL, [script.stall()]) as server,
        LLMClient(base_url=server.base_url) as client,
    ):

        async def last() -> ChatEvent:
            return await client.chat_with_tools(request(), registry)

        task = asyncio.create_task(last())
        sent = await server.wait_for_request(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sent.peer_left.wait()


# Backpressure


async def test_a_consumer_that_stands_still_stops_the_server_in_each_round(registry: ToolRegistry) -> None:
    # Beside the text, so that the next request does not have to carry it.
    padded = [{**script.text(str(number)).payload, "padding": "." * 16_384} for number in range(1500)]
    calling: list[script.StepLike] = [*padded, *weather("Paris"), script.finish("tool_calls"), script.done()]
    async with (
        ScriptedServer(calling, calling, ANSWER) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        taken: list[int] = []
        async with rxllm.iterate(client.chat_with_tools(request(), registry), buffer_size=4) as events:
            stood_still: set[int] = set()
            async for event in events:
                if event.round not in stood_still and event.round < 3:
                    stood_still.add(event.round)
                    sent = await server.wait_for_request(event.round - 1)
                    await sent.writes_stopped()
                    assert sent.bytes_written < 1500 * 16_384
                if isinstance(event, TextDelta) and event.round < 3:
                    taken.append(int(event.text))

    assert stood_still == {1, 2}
    assert taken == [*range(1500), *range(1500)]


async def test_a_consumer_that_stands_still_holds_up_tools_that_wait() -> None:
    """With one place, at most what is on its way is run while nobody takes results."""
    ran: list[int] = []

    async def count(n: int) -> int:
        ran.append(n)
        return n

    calls = script.answer(
        *(script.tool_call("count", json.dumps({"n": n}), id=f"call_{n}", index=n) for n in range(300))
    )
    async with (
        ScriptedServer(calls, ANSWER) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        conversation = client.chat_with_tools(request(), ToolRegistry([count]), max_concurrency=1)
        async with rxllm.iterate(conversation, buffer_size=1) as events:
            results: list[str] = []
            async for event in events:
                if isinstance(event, ToolResultEvent):
                    if not results:
                        for _ in range(1000):
                            await asyncio.sleep(0)
                        assert len(ran) < 100
                    results.append(event.result.content)

    assert results == [str(n) for n in range(300)]
    assert ran == list(range(300))


# Arguments


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({}, {"max_rounds": 0}, "max_rounds must be at least 1"),
        ({"n": 2}, {}, "one answer"),
        ({}, {"max_concurrency": 0}, "at least 1"),
        ({}, {"timeout": -1}, "timeout"),
        ({}, {"on_error": "ignore"}, "on_error"),
    ],
)
def test_wrong_arguments(registry: ToolRegistry, fields: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LLMClient(base_url="http://127.0.0.1").chat_with_tools(request(**fields), registry, **options)
