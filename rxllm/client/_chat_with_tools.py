"""The loop between a model and the tools that it calls.

Rules:

1. One request at a time; the tools of an answer run when that answer is whole, and the next request goes out when they
   are done.
2. A call is run only if its answer is ``completed``. Of an answer that was cut by its length or by a filter, that ended
   in a word that nobody knows, or with ``[DONE]`` and no word, no call is run, and the conversation fails.
3. The loop ends with the first answer without calls, unless the model paused: then it is asked to go on. In the last
   round that is allowed no call is run: nobody would learn of the result.
4. What makes a model call a tool holds for the first round only; with it in every one there would be no end.
5. Before any call of an answer runs, all of them are decided about. Only a call that was approved runs.
6. A consumer that pauses pauses everything above: the loop, the tools, the socket. Nobody is asked about a call before
   the consumer took its ``ApprovalRequested``, nor while it pauses: a display has to show the question first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias

from reactivex import Observable

from rxllm import models
from rxllm.accumulators import ChatDeltas, Stopwatch, StreamAccumulator, require_completed
from rxllm.bridges import iterate
from rxllm.exceptions import LimitExceededError, attach_partial
from rxllm.flow import Emitter, FlowControl, Readings, Stream, check_count, mark_stopped, task_source
from rxllm.models import (
    Approved,
    ChatCompletion,
    ChatRequest,
    Message,
    Refused,
    StreamChunk,
    ToolCall,
    ToolResult,
)
from rxllm.sources import from_async_iterable
from rxllm.tools import Approve, Approver, ToolRegistry
from rxllm.typing import OperatorFunction

Ask: TypeAlias = Callable[[ChatRequest], Observable[StreamChunk]]

_NOT_FORCED = ("auto", "none", None)
# As types of an object, which may say more than that a call is forced.
_FORCED = ("any", "tool")
_NOT_ASKED = Refused(reason="not run: when approval was asked for, it could not be run")


class RunTools(Protocol):
    """``operators.run_tools`` with everything but the approval."""

    def __call__(self, *, approve: Approve | None) -> OperatorFunction[ToolCall, ToolResult]: ...


def chat_with_tools(
    ask: Ask,
    request: ChatRequest,
    registry: ToolRegistry,
    run_tools: RunTools,
    *,
    max_rounds: int,
    approve: Approve | None = None,
) -> Stream[models.ChatEvent]:
    """The conversation that begins with a request, as its events.

    Args:
        ask: Gives the answer to a request.
        request: The first request.
        registry: The tools.
        run_tools: Runs the calls of an answer.
        max_rounds: How many requests are sent at most.
        approve: Says whether a call may run.

    Returns:
        The events; see ``LLMClient.chat_with_tools``.

    Raises:
        ValueError: ``max_rounds`` is less than 1, or the request asks for several answers in parallel.
    """
    check_count("max_rounds", max_rounds)
    if (request.n or 1) > 1:
        raise ValueError(f"a conversation goes on with one answer, not with n={request.n}")
    first = request.model_copy(update={"messages": [*request.messages], **_tools(request, registry)})

    def begin(emitter: Emitter[models.ChatEvent]) -> _Conversation:
        approver = None if approve is None else Approver(approve)
        return _Conversation(first, ask, registry, run_tools, max_rounds, approver, emitter)

    async def produce(emitter: Emitter[models.ChatEvent]) -> None:
        conversation = begin(emitter)
        FlowControl.leave()
        while await conversation.hold_round():
            pass

    return task_source(produce)


@dataclass(repr=False)
class _Conversation:
    """The conversation so far; its ``repr``, which tracebacks may show, says nothing of it.

    Attributes:
        request: The first request.
        ask: Gives the answer to a request.
        registry: The tools.
        run_tools: Runs the calls of an answer.
        max_rounds: How many requests are sent at most.
        approver: Who is asked whether a call may run, if somebody is.
        emitter: Where events go.
        round: Which round comes next, counted from 1.
        messages: What was added to the messages of the request.
    """

    request: ChatRequest
    ask: Ask
    registry: ToolRegistry
    run_tools: RunTools
    max_rounds: int
    approver: Approver | None
    emitter: Emitter[models.ChatEvent]
    round: int = 1
    messages: list[Message] = field(default_factory=list[Message])

    async def hold_round(self) -> bool:
        """Send a request, emit what is answered, and run the calls in the answer; returns whether to go on."""
        answer = StreamAccumulator()
        said: models.AnswerEnding | None = None
        try:
            if await self._listen(answer):
                await self._emit((models.Stopped(round=self.round, completion=answer.partial("stopped")),))
                mark_stopped()
                return False
            completion = answer.completion(ended=True)
            said = completion.ending
            calls = _calls(completion)
            goes_on = bool(calls) or completion.ending == "paused"
            self._check_rounds(goes_on=goes_on)
            results = await self._run(calls) if calls else []
        except Exception as error:
            ending = models.ending_after(error)
            # "length" says more than "truncated".
            attach_partial(error, partial(answer.partial, (said or ending) if ending == "truncated" else ending))
            raise
        added = (completion.message, *(result.message() for result in results))
        self.messages += added
        events: list[models.ChatEvent] = [
            models.RoundCompleted(round=self.round, completion=completion, messages=added)
        ]
        if not goes_on:
            events.append(models.ChatCompleted(round=self.round, completion=completion, messages=tuple(self.messages)))
        await self._emit(events)
        self.round += 1
        return goes_on

    def _check_rounds(self, *, goes_on: bool) -> None:
        if goes_on and self.round == self.max_rounds:
            raise LimitExceededError(
                f"the model wants to go on after round {self.round}, the last one allowed: none of its calls is run",
                limit="max_rounds",
                maximum=self.max_rounds,
            )

    async def _emit(self, events: Iterable[models.ChatEvent]) -> None:
        """Emit events. The flow control of the conversation is the current one meanwhile, and at no other time.

        Otherwise what a round subscribes to, and what that emits at once, would pause the loop that is to take it.
        """
        self.emitter.flow.enter()
        await self.emitter.emit(events)
        FlowControl.leave()

    def _next_request(self) -> ChatRequest:
        if self.round == 1:
            return self.request
        update: dict[str, Any] = {"messages": [*self.request.messages, *self.messages]}
        if self.request.tool_choice not in _NOT_FORCED:
            update["tool_choice"] = _no_longer_forced(self.request.tool_choice)
        return self.request.model_copy(update=update)

    async def _listen(self, answer: StreamAccumulator) -> bool:
        """Emit what is answered; returns whether it was stopped."""
        deltas = ChatDeltas(self.round)
        readings, flow = Readings(self.emitter.scheduler), self.emitter.flow
        answer.watch = watch = Stopwatch(readings.began, unix=readings.unix)
        try:
            async with iterate(self.ask(self._next_request())) as chunks:
                async for chunk in chunks:
                    watch.tick(1, readings.now(), flow.paused_time)
                    answer.add(chunk)
                    await self._emit(deltas.add(chunk))
                return chunks.stopped
        finally:
            watch.tick(0, readings.now(), flow.paused_time)

    async def _run(self, calls: list[ToolCall]) -> list[ToolResult]:
        """Run the calls; returns their results in the order of the calls."""
        await self._emit(models.ToolCallEvent(round=self.round, call=call) for call in calls)
        approve = None if self.approver is None else await self._decide(self.approver, calls)

        async def pending() -> AsyncIterator[ToolCall]:
            for call in calls:
                yield call

        results: list[ToolResult] = []
        async with iterate(from_async_iterable(pending).pipe(self.run_tools(approve=approve))) as arriving:
            async for result in arriving:
                results.append(result)
                await self._emit((models.ToolResultEvent(round=self.round, result=result),))
        # By identity: several calls may have one identifier.
        places = {id(call): place for place, call in enumerate(calls)}
        return sorted(results, key=lambda result: places[id(result.call)])

    async def _decide(self, approver: Approver, calls: list[ToolCall]) -> Approve:
        """Have it decided about each call that can be run; returns what knows the decisions."""
        first: dict[str, ToolCall] = {}
        for call in calls:
            first.setdefault(call.id, call)  # of several calls with one identifier only that is run
        # What one call does may make another one that can be run: then nobody has approved it.
        decisions: dict[str, Approved | Refused] = dict.fromkeys(first, _NOT_ASKED)
        for call in first.values():
            if self.registry.accepts(call):
                decisions[call.id] = await self._ask_about(approver, call)

        async def decided(call: ToolCall) -> Approved | Refused:
            return decisions[call.id]

        return decided

    async def _ask_about(self, approver: Approver, call: ToolCall) -> Approved | Refused:
        await self._emit((models.ApprovalRequested(round=self.round, call=call),))
        await self.emitter.ready()
        with self.emitter.flow.untimed():
            decision = await approver(call)
        await self._emit((models.ApprovalGiven(round=self.round, call=call, decision=decision),))
        return decision


def _tools(request: ChatRequest, registry: ToolRegistry) -> dict[str, Any]:
    """The tools of the request and those of the registry that it does not name; the request's own wording counts."""
    own = request.tools or []
    named = {_name_of(tool) for tool in own}
    tools = [*own, *(tool for tool in registry.schemas() if tool["function"]["name"] not in named)]
    return {"tools": tools} if tools else {}


def _name_of(tool: Mapping[str, Any]) -> Any:
    """The name of a tool, which some dialects have beside its type and others in an object of its own."""
    inner = tool.get("function", tool.get("custom"))
    return inner.get("name") if models.is_object(inner) else tool.get("name")


def _no_longer_forced(tool_choice: str | Mapping[str, Any] | None) -> str | Mapping[str, Any]:
    """The model may call tools and need not; of a list of allowed ones the list stays."""
    if not isinstance(tool_choice, Mapping):
        return "auto"
    kind = tool_choice.get("type")
    if kind in _NOT_FORCED:
        return tool_choice
    if "allowed_tools" in tool_choice:
        return {**tool_choice, "allowed_tools": {**tool_choice["allowed_tools"], "mode": "auto"}}
    if "mode" in tool_choice:
        return {**tool_choice, "mode": "auto"}
    if kind in _FORCED:
        return {**{name: value for name, value in tool_choice.items() if name != "name"}, "type": "auto"}
    return "auto"


def _calls(completion: ChatCompletion) -> list[ToolCall]:
    """The calls in an answer.

    Raises:
        TruncatedStreamError: There are some, and the answer is not ``completed``.
    """
    if completion.ending == "paused":
        return []
    if any(choice.message.tool_calls or choice.incomplete_tool_calls for choice in completion.choices):
        require_completed({choice.index: choice.finish_reason for choice in completion.choices})
    return completion.message.tool_calls
