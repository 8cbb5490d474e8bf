"""``LLMClient.chat_with_tools(approve=…)``: somebody says whether a call may run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

import pytest
import reactivex
from pydantic import AfterValidator, TypeAdapter
from reactivex import operators as rx_ops
from reactivex.testing import TestScheduler

import rxllm
from rxllm import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ChatCompletion,
    ChatEvent,
    ChatRequest,
    LLMClient,
    Message,
    Refused,
    Role,
    Stopped,
    ToolCall,
    ToolCallEvent,
    ToolInputDelta,
    ToolRegistry,
    ToolResultEvent,
)
from rxllm import operators as ops
from rxllm.exceptions import ApprovalError, ChunkTimeoutError, LimitExceededError, ToolExecutionError
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.tools import Approve

REQUEST = ChatRequest(model="m", messages=[Message(role=Role.USER, content="Clean up.")])


def delete(path: str, *, id: str = "call_1", index: int = 0) -> tuple[script.Chunk, ...]:
    return script.tool_call("delete", {"path": path}, id=id, index=index)


ONE = script.answer(delete("a"))
TWO = script.answer(delete("a"), delete("b", id="call_2", index=1))
ANSWER = script.answer("Done.")


@pytest.fixture
def deleted() -> list[str]:
    """The paths that the tool was called with."""
    return []


@pytest.fixture
def registry(deleted: list[str]) -> ToolRegistry:
    async def delete(path: str) -> str:
        deleted.append(path)
        return f"{path} is gone"

    return ToolRegistry([delete])


def says(*answers: object) -> Callable[[ToolCall], Awaitable[Any]]:
    """An approver that gives these answers in turn, and raises those that are exceptions."""
    left = iter(answers)

    async def approve(_: ToolCall) -> object:
        answer = next(left)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return approve


async def converse(
    registry: ToolRegistry,
    approve: Callable[[ToolCall], Awaitable[Any]],
    *scripts: Any,
    watch: Callable[[Any], Any] | None = None,
    **options: Any,
) -> tuple[list[ChatEvent], Exception | None, list[ReceivedRequest]]:
    """The events, but for what inputs gained, the error and the requests of a conversation."""
    events: list[ChatEvent] = []
    failure: Exception | None = None
    async with ScriptedServer(*scripts) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=approve, **options)
        try:
            seen = conversation.pipe(rx_ops.do_action(events.append))
            await (seen if watch is None else seen.pipe(watch))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            failure = error
    return [event for event in events if event.type != "tool_input"], failure, server.requests


def types(events: list[ChatEvent]) -> list[str]:
    return [event.type for event in events]


def results(events: list[ChatEvent]) -> list[tuple[str, str | None]]:
    """What the model was told, and what kind of failure it was."""
    return [(event.result.content, event.result.error) for event in events if isinstance(event, ToolResultEvent)]


# Decisions


@pytest.mark.parametrize("answer", [True, Approved(), Approved(arguments=None)], ids=repr)
async def test_what_is_approved_runs(registry: ToolRegistry, deleted: list[str], answer: object) -> None:
    events, failure, requests = await converse(registry, says(answer), ONE, ANSWER)

    assert failure is None
    assert types(events) == [
        *("tool_call", "approval_requested", "approval_given", "tool_result", "round"),
        *("text", "round", "completed"),
    ]
    call, requested, given = events[:3]
    assert isinstance(call, ToolCallEvent)
    assert requested == ApprovalRequested(round=1, call=call.call)
    assert given == ApprovalGiven(round=1, call=call.call, decision=Approved())
    assert deleted == ["a"]
    assert requests[1].json["messages"][-1]["content"] == "a is gone"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Refused(reason="Not that file."), "Not that file."),
        (False, "The call was refused. It was not run."),
        (Refused(reason=" \n"), "The call was refused. It was not run."),
        (Refused(reason="no \ud83d"), "no \ufffd"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("on_error", ["send", "raise"])
async def test_of_what_is_refused_the_model_gets_the_reason(
    registry: ToolRegistry, deleted: list[str], answer: object, told: str, on_error: str
) -> None:
    events, failure, requests = await converse(registry, says(answer), ONE, ANSWER, on_error=on_error)

    assert failure is None
    assert results(events) == [(told, "refused")]
    (given,) = (event for event in events if isinstance(event, ApprovalGiven))
    assert given.decision == Refused(reason=told)
    assert deleted == []
    assert requests[1].json["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": told}


async def test_arguments_that_are_changed_are_what_runs_and_the_call_stays_in_the_models_words(
    registry: ToolRegistry, deleted: list[str]
) -> None:
    events, failure, requests = await converse(registry, says(Approved(arguments={"path": "tmp"})), ONE, ANSWER)

    assert failure is None
    assert deleted == ["tmp"]
    assistant, tool = requests[1].json["messages"][1:]
    assert assistant["tool_calls"][0]["function"]["arguments"] == '{"path": "a"}'
    assert tool["content"] == 'Approved with other arguments: {"path":"tmp"}\ntmp is gone'
    (result,) = (event.result for event in events if isinstance(event, ToolResultEvent))
    assert (result.value, result.error) == ("tmp is gone", None)
    assert result.call.function.parsed == {"path": "a"}
    (given,) = (event for event in events if isinstance(event, ApprovalGiven))
    assert given.call.function.parsed == {"path": "a"}
    assert given.decision == Approved(arguments={"path": "tmp"})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "path: Missing required argument"),
        ({"path": 1}, "path: Input should be a valid string"),
        ({"path": "a", "force": True}, "force: Unexpected keyword argument"),
    ],
    ids=str,
)
async def test_arguments_that_are_changed_are_validated_as_the_models_are(
    registry: ToolRegistry, deleted: list[str], arguments: dict[str, Any], problem: str
) -> None:
    approve = says(Approved(arguments=arguments))
    events, failure, _ = await converse(registry, approve, ONE, ANSWER)
    ((content, kind),) = results(events)

    assert failure is None
    assert kind == "invalid_arguments"
    assert content.startswith("Approved with other arguments: {")
    assert content.endswith(f"\nthe arguments of 'delete' are not valid: {problem}")
    assert deleted == []

    _, failure, _ = await converse(registry, says(Approved(arguments=arguments)), ONE, on_error="raise")
    assert isinstance(failure, ToolExecutionError)


async def test_several_calls_are_asked_about_one_by_one_and_none_runs_before(
    registry: ToolRegistry, deleted: list[str]
) -> None:
    asked: list[tuple[str, list[str]]] = []

    async def approve(call: ToolCall) -> bool:
        asked.append((call.id, [*deleted]))
        # In the time of twenty turns another one would be asked, or a call would run.
        for _ in range(20):
            await asyncio.sleep(0)
        asked.append((call.id, [*deleted]))
        return call.id == "call_2"

    events, failure, requests = await converse(registry, approve, TWO, ANSWER)

    assert failure is None
    assert asked == [("call_1", []), ("call_1", []), ("call_2", []), ("call_2", [])]
    assert types(events)[:8] == [
        *("tool_call", "tool_call"),
        *("approval_requested", "approval_given", "approval_requested", "approval_given"),
        *("tool_result", "tool_result"),
    ]
    assert deleted == ["b"]
    assert [message["content"] for message in requests[1].json["messages"][2:]] == [
        "The call was refused. It was not run.",
        "b is gone",
    ]


async def test_nobody_is_asked_while_somebody_pauses(registry: ToolRegistry, deleted: list[str]) -> None:
    pauses, reached = rxllm.Pauses(), asyncio.Event()
    asked: list[str] = []

    def pause(event: ChatEvent) -> None:
        if isinstance(event, ApprovalRequested):
            pauses.hold()
            reached.set()

    async def approve(call: ToolCall) -> bool:
        asked.append(call.id)
        return True

    conversation = asyncio.create_task(converse(registry, approve, ONE, ANSWER, watch=rx_ops.do_action(pause)))
    await reached.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    before = [*asked]
    pauses.release()
    _, failure, _ = await conversation

    assert before == []
    assert asked == ["call_1"]
    assert deleted == ["a"]
    assert failure is None


async def test_a_call_that_cannot_be_run_is_not_asked_about(registry: ToolRegistry, deleted: list[str]) -> None:
    calls = script.answer(
        script.tool_call("launch", "{}", id="unknown", index=0),
        script.tool_call("delete", "{}", id="missing", index=1),
        script.tool_call("delete", "no JSON", id="broken", index=2),
        delete("a", id="good", index=3),
    )
    events, failure, _ = await converse(registry, says(Approved()), calls, ANSWER)

    assert failure is None
    assert [event.call.id for event in events if isinstance(event, ApprovalRequested)] == ["good"]
    assert [kind for _, kind in results(events)] == ["unknown_tool", "invalid_arguments", "invalid_arguments", None]
    assert deleted == ["a"]


async def test_a_decision_holds_for_its_own_call_also_if_another_one_has_its_identifier(
    registry: ToolRegistry, deleted: list[str]
) -> None:
    async def approve(call: ToolCall) -> bool:
        return call.function.parsed == {"path": "b"}

    calls = script.answer(
        *(
            script.tool_call_delta(f'{{"path": "{path}"}}', index=index, id="same", name="delete")
            for index, path in enumerate(("a", "b"))
        )
    )
    events, failure, _ = await converse(registry, approve, calls, ANSWER)

    assert failure is None
    assert results(events)[0] == ("The call was refused. It was not run.", "refused")
    assert "a" not in deleted


FILES: set[str] = set()


def existing(path: str) -> str:
    if path not in FILES:
        raise ValueError("no such file")
    return path


Existing = Annotated[str, AfterValidator(existing)]


async def test_a_call_that_can_be_run_only_after_another_one_is_not_run_unasked() -> None:
    FILES.clear()

    async def create(path: str) -> None:
        FILES.add(path)

    async def delete(path: Existing) -> None:
        FILES.remove(path)

    calls = script.answer(
        script.tool_call("create", {"path": "a"}, id="1", index=0),
        script.tool_call("delete", {"path": "a"}, id="2", index=1),
    )
    events, failure, _ = await converse(
        ToolRegistry([create, delete]), says(Approved()), calls, ANSWER, max_concurrency=1
    )

    assert failure is None
    assert [event.call.id for event in events if isinstance(event, ApprovalRequested)] == ["1"]
    assert results(events)[1] == ("not run: when approval was asked for, it could not be run", "refused")
    assert {"a"} == FILES


async def test_in_the_last_round_nobody_is_asked(registry: ToolRegistry) -> None:
    events, failure, _ = await converse(registry, says(), ONE, max_rounds=1)

    assert isinstance(failure, LimitExceededError)
    assert events == []


async def test_events_are_json_and_read_back(registry: ToolRegistry) -> None:
    approve = says(Approved(arguments={"path": "tmp"}), Refused(reason="no"))
    events, _, _ = await converse(registry, approve, TWO, ANSWER)
    adapter = TypeAdapter[ChatEvent](ChatEvent)

    assert {type(event) for event in events} >= {ApprovalRequested, ApprovalGiven}
    for event in events:
        again = adapter.validate_json(event.model_dump_json())
        assert type(again) is type(event)
        assert again.model_dump() == event.model_dump()


# Approvers that fail


class NoTerminalError(ConnectionError):
    pass


async def test_an_approver_that_raises_ends_the_conversation_and_nothing_runs(
    registry: ToolRegistry, deleted: list[str]
) -> None:
    raised = NoTerminalError("cannot reach https://me:secret@home/")
    events, failure, requests = await converse(registry, says(Approved(), raised), TWO)

    assert isinstance(failure, ApprovalError)
    assert not isinstance(failure, ConnectionError)
    assert str(failure) == "the approval of 'delete' failed: NoTerminalError: cannot reach https://***@home/"
    assert (failure.name, failure.call_id) == ("delete", "call_2")
    assert failure.__cause__ is raised
    assert isinstance(failure.partial, ChatCompletion)
    assert [call.id for call in failure.partial.message.tool_calls] == ["call_1", "call_2"]
    assert types(events)[-1] == "approval_requested"
    assert deleted == []
    assert len(requests) == 1


async def test_so_does_one_that_is_cancelled_from_within(registry: ToolRegistry, deleted: list[str]) -> None:
    async def approve(_: ToolCall) -> bool:
        dialog: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        dialog.cancel()
        return await dialog

    _, failure, _ = await converse(registry, approve, ONE)

    assert isinstance(failure, ApprovalError)
    assert str(failure) == "the approval of 'delete' failed: it was cancelled"
    assert deleted == []


async def test_so_does_one_that_fails_as_a_tool_does(registry: ToolRegistry, deleted: list[str]) -> None:
    raised = ToolExecutionError("no", kind="failed", name="ask", call_id="1")
    _, failure, _ = await converse(registry, says(raised), ONE)

    assert isinstance(failure, ApprovalError)
    assert failure.__cause__ is raised
    assert deleted == []


@pytest.mark.parametrize("answer", [None, 1, 0, "yes", "", {"path": "b"}, Approved, (True,), "x" * 1000], ids=repr)
async def test_another_answer_is_an_error_that_says_what_to_return(
    registry: ToolRegistry, deleted: list[str], answer: object
) -> None:
    _, failure, _ = await converse(registry, says(answer), ONE)

    assert isinstance(failure, TypeError)
    assert "for the call of 'delete': it has to return True, False, Approved(…) or Refused(…)" in str(failure)
    assert len(str(failure)) < 500
    assert isinstance(vars(failure)["partial"], ChatCompletion)
    assert deleted == []


async def test_a_function_that_is_no_coroutine_function_is_an_error(registry: ToolRegistry, deleted: list[str]) -> None:
    approve: Any = bool
    _, failure, _ = await converse(registry, approve, ONE)

    assert isinstance(failure, TypeError)
    assert str(failure) == "approve must be a coroutine function: it returned 'True' at once"
    assert deleted == []


async def test_one_that_writes_into_the_call_is_an_error(registry: ToolRegistry, deleted: list[str]) -> None:
    async def approve(call: ToolCall) -> bool:
        call.function.arguments = '{"path": "b"}'
        return True

    events, failure, _ = await converse(registry, approve, ONE)

    assert isinstance(failure, TypeError)
    assert "return Approved(arguments=…) instead" in str(failure)
    assert isinstance(events[0], ToolCallEvent)
    assert events[0].call.function.parsed == {"path": "a"}
    assert deleted == []


def test_what_cannot_be_called_is_refused_at_once(registry: ToolRegistry) -> None:
    client = LLMClient(base_url="http://127.0.0.1")
    wrong: Any = True
    with pytest.raises(TypeError, match="approve must be a coroutine function, not True"):
        client.chat_with_tools(REQUEST, registry, approve=wrong)


async def test_whatever_can_be_awaited_will_do(registry: ToolRegistry, deleted: list[str]) -> None:
    async def policy(arguments: dict[str, Any], call: ToolCall) -> bool:
        return call.function.parsed == arguments

    answers: asyncio.Queue[Approved] = asyncio.Queue()
    answers.put_nowait(Approved())
    approvers: list[Approve] = [partial(policy, {"path": "a"}), lambda _: answers.get()]
    for approve in approvers:
        await converse(registry, approve, ONE, ANSWER)

    assert deleted == ["a", "a"]


# Waiting


class Person:
    """Who is asked, and answers when told to.

    Attributes:
        asked: Set when somebody asks.
        left: Set when nobody waits for the answer any more.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()

    async def approve(self, _: ToolCall) -> bool:
        self.asked.set()
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.left.set()
            raise


async def test_whoever_reads_the_events_may_give_the_answer(registry: ToolRegistry, deleted: list[str]) -> None:
    person = Person()
    async with ScriptedServer(ONE, ANSWER) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=person.approve)
        async for event in rxllm.iterate(conversation, buffer_size=1):
            if isinstance(event, ApprovalRequested):
                person.answer.set_result(True)

    assert deleted == ["a"]


async def test_a_consumer_that_stands_still_is_not_asked_and_nothing_runs_before_it_goes_on(
    registry: ToolRegistry, deleted: list[str]
) -> None:
    person = Person()
    async with ScriptedServer(ONE, ANSWER) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=person.approve)
        async with rxllm.iterate(conversation, buffer_size=1) as events:
            assert isinstance(await anext(events), ToolInputDelta)
            async for event in events:
                for _ in range(50):
                    await asyncio.sleep(0)
                if isinstance(event, ApprovalRequested):
                    # The decision waits until it is taken.
                    assert person.asked.is_set()
                    person.answer.set_result(True)

    assert deleted == ["a"]


async def test_the_time_that_an_approval_takes_is_nobodys_silence(registry: ToolRegistry) -> None:
    time = TestScheduler()

    async def approve(_: ToolCall) -> bool:
        for _turn in range(100):
            time.advance_by(50.0)
            await asyncio.sleep(0)
        return True

    watch = ops.timeout_per_chunk(10, scheduler=time)
    events, failure, _ = await converse(registry, approve, ONE, ANSWER, watch=watch, timeout=5)
    assert failure is None
    assert types(events)[-1] == "completed"


async def test_that_of_a_tool_is() -> None:
    time = TestScheduler()

    async def wait() -> None:
        time.advance_by(11.0)
        await asyncio.sleep(0)

    watch = ops.timeout_per_chunk(10, scheduler=time)
    calls = script.answer(script.tool_call("wait", {}))
    _, failure, _ = await converse(ToolRegistry([wait]), says(Approved()), calls, ANSWER, watch=watch)
    assert isinstance(failure, ChunkTimeoutError)


async def test_the_time_out_of_a_tool_begins_when_it_is_approved(registry: ToolRegistry, deleted: list[str]) -> None:
    """A loop whose clock leaps an hour while somebody thinks."""
    loop: Any = asyncio.get_running_loop()
    tick, hours = loop.time, 0

    async def approve(_: ToolCall) -> bool:
        nonlocal hours
        hours += 1
        await asyncio.sleep(0)
        return True

    loop.time = lambda: tick() + 3600 * hours
    try:
        events, failure, _ = await converse(registry, approve, ONE, ANSWER, timeout=60)
    finally:
        del loop.time

    assert failure is None
    assert results(events) == [("a is gone", None)]
    assert deleted == ["a"]


async def test_an_explicit_time_out_cancels_the_approval(registry: ToolRegistry, deleted: list[str]) -> None:
    person = Person()
    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=person.approve)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                async for event in conversation:
                    if isinstance(event, ApprovalRequested):
                        await person.asked.wait()
                        limit.reschedule(0)
        await person.left.wait()

    assert deleted == []


async def test_a_time_out_of_reactivex_cancels_the_approval(registry: ToolRegistry) -> None:
    time = TestScheduler()
    person = Person()
    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=person.approve)
        failures: list[Exception] = []
        conversation.pipe(rx_ops.timeout(10.0, scheduler=time)).subscribe(on_error=failures.append)
        await person.asked.wait()
        time.advance_by(11.0)
        await person.left.wait()

    assert [str(failure) for failure in failures] == ["Timeout"]


# Leaving


async def test_disposing_cancels_the_approval(registry: ToolRegistry, deleted: list[str]) -> None:
    person = Person()
    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:
        events: list[ChatEvent] = []
        conversation = client.chat_with_tools(REQUEST, registry, approve=person.approve)
        subscription = conversation.subscribe(events.append)
        await person.asked.wait()
        subscription.dispose()
        await person.left.wait()

    assert types(events)[-1] == "approval_requested"
    assert deleted == []


async def test_whoever_leaves_at_the_question_is_not_asked(registry: ToolRegistry) -> None:
    person = Person()
    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=person.approve)
        await conversation.pipe(rx_ops.take_while(lambda event: event.type != "approval_requested"))
        for _ in range(20):
            await asyncio.sleep(0)

    assert not person.asked.is_set()


async def test_a_break_cancels_the_approval(registry: ToolRegistry, deleted: list[str]) -> None:
    person = Person()
    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:
        async for event in client.chat_with_tools(REQUEST, registry, approve=person.approve):
            if isinstance(event, ApprovalRequested):
                await person.asked.wait()
                break
        await person.left.wait()

    assert deleted == []


async def test_cancelling_the_task_that_awaits_cancels_the_approval(registry: ToolRegistry, deleted: list[str]) -> None:
    person = Person()
    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:

        async def last() -> ChatEvent:
            return await client.chat_with_tools(REQUEST, registry, approve=person.approve)

        task = asyncio.create_task(last())
        await person.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await person.left.wait()

    assert deleted == []


async def test_stopping_cancels_the_approval_and_does_not_wait_for_it(
    registry: ToolRegistry, deleted: list[str]
) -> None:
    button = asyncio.Event()
    asked, release = asyncio.Event(), asyncio.Event()

    async def stubborn(_: ToolCall) -> bool:
        asked.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await release.wait()
        return True

    async with ScriptedServer(ONE) as server, LLMClient(base_url=server.base_url) as client:
        conversation = client.chat_with_tools(REQUEST, registry, approve=stubborn)
        events: list[ChatEvent] = []
        async for event in conversation.pipe(ops.stop_when(button)):
            events.append(event)
            if isinstance(event, ApprovalRequested):
                await asked.wait()
                button.set()
        assert events[-1] == Stopped(round=1)
        # It says yes when nobody waits for that any more.
        release.set()
        for _ in range(20):
            await asyncio.sleep(0)

    assert deleted == []


async def test_two_conversations_wait_at_the_same_time(registry: ToolRegistry, deleted: list[str]) -> None:
    asked = asyncio.Barrier(2)

    async def approve(_: ToolCall) -> bool:
        await asked.wait()
        return True

    async with (
        ScriptedServer(ONE, ONE, ANSWER, ANSWER) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        conversation = client.chat_with_tools(REQUEST, registry, approve=approve)
        await reactivex.merge(conversation, conversation)

    assert deleted == ["a", "a"]
