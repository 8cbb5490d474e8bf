"""Plays attacks through ``chat_with_tools``, and holds what came of them against what is allowed.

Rules:

1. Many conversations are under way at once, so that one that waits delays no other.
2. A conversation hangs if ``PATIENCE`` streams that fell silent were given up, one behind the other, since the server
   has last written something for it. That is no matter of how fast the machine is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
from reactivex import compose
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from tests.attack.mutations import Attack
from tests.attack.oracle import Allowed, allowed
from tests.attack.server import Desk, serving

__all__ = ["Offence", "Report", "run", "through"]

AT_ONCE = 64
SILENCE_SECONDS = 2.0
PATIENCE = 8
# Numbers that no attack has.
PACEMAKER = -1


class UserError(Exception):
    """What the user's own code raises."""


@dataclass(frozen=True)
class Offence:
    """Something that must not be.

    Attributes:
        kind: What it is, in a word or two.
        sent: What the server sent.
        what: What came of it.
    """

    kind: str
    sent: Attack
    what: str


@dataclass
class Report:
    """What came of the attacks: how many of which outcome, and the offences."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    offences: list[Offence] = field(default_factory=list[Offence])


ran: ContextVar[list[str]] = ContextVar("ran")
tools = rxllm.ToolRegistry()


@tools.tool
async def delete(path: str) -> str:
    """Delete a file.

    Args:
        path: Which file.
    """
    ran.get().append(path)
    return "deleted"


async def run(attacks: Iterable[Attack]) -> Report:
    """Play attacks.

    Args:
        attacks: Which ones.
    """
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    async with (
        serving() as (base_url, desk),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        rxllm.LLMClient(base_url=base_url, api_key="none", session=session, retries=0) as client,
    ):
        battle = _Battle(desk, client, iter(attacks))
        pacemaker = asyncio.create_task(battle.keep_pace())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(battle.fight())
        finally:
            pacemaker.cancel()
            await asyncio.wait({pacemaker})
    report = battle.report
    report.offences += [Offence("unheard", Attack(PACEMAKER, b""), repr(context)) for context in unheard]
    return report


class _Battle:
    def __init__(self, desk: Desk, client: rxllm.LLMClient, attacks: Iterator[Attack]) -> None:
        self.report = Report()
        self._desk = desk
        self._client = client
        self._attacks = attacks
        self._beat = asyncio.Condition()

    async def keep_pace(self) -> None:
        """Listen to streams that fall silent, one behind the other."""
        for number in count(PACEMAKER, -1):
            silent = Attack(number, b": \n\n", "close", "silence")
            await self._outcome(silent, [])
            async with self._beat:
                self._desk.beats += 1
                self._beat.notify_all()

    async def fight(self) -> None:
        """Play one attack after the other."""
        for sent in self._attacks:
            events: list[rxllm.ChatEvent] = []
            held: list[str] = []
            ran.set(held)
            task = asyncio.create_task(self._outcome(sent, events))
            hung = asyncio.create_task(self._given_up(sent.number))
            await asyncio.wait({task, hung}, return_when=asyncio.FIRST_COMPLETED)
            hung.cancel()
            if task.done():
                self._judge(sent, asyncio.CancelledError() if task.cancelled() else task.result(), events, held)
            else:
                self.report.outcomes["hung"] += 1
                self.report.offences.append(Offence("hung", sent, f"after {len(events)} events"))
                task.cancel()
                await asyncio.wait({task})

    async def _given_up(self, number: int) -> None:
        """Wait until nothing more is to be hoped for."""
        desk = self._desk
        async with self._beat:
            await self._beat.wait_for(lambda: desk.beats >= desk.written_at.get(number, desk.beats) + PATIENCE)

    async def _outcome(self, sent: Attack, events: list[rxllm.ChatEvent]) -> BaseException | None:
        """Hold the conversation; returns what it failed with."""
        self._desk.begin(sent)
        request = rxllm.ChatRequest(model=str(sent.number), messages=[{"role": "user", "content": "Tidy up."}])
        conversation = self._client.chat_with_tools(request, tools, max_rounds=3, through=through(sent))
        try:
            async with rxllm.iterate(conversation) as arriving:
                async for event in arriving:
                    events.append(event)  # noqa: PERF401 - those before an error count
        except Exception as error:  # noqa: BLE001 - what it is is judged
            return error
        finally:
            self._desk.end(sent.number)
        return None

    def _judge(self, sent: Attack, error: BaseException | None, events: list[rxllm.ChatEvent], held: list[str]) -> None:
        self.report.outcomes[_named(error, held)] += 1
        for kind, what in _offences(allowed(sent), error, events, held):
            self.report.offences.append(Offence(kind, sent, what))


def through(sent: Attack) -> Any:
    """What the chunks of an answer go through first: a time-out, and at times code of the user's that raises."""
    timeout = ops.timeout_per_chunk(SILENCE_SECONDS)
    if sent.user_error is None:
        return timeout

    def fail(_: Any, number: int) -> Any:
        if number == sent.user_error:
            raise UserError(number)
        return _

    return compose(timeout, rx_ops.map_indexed(fail))


def _named(error: BaseException | None, held: list[str]) -> str:
    end = "completed" if error is None else type(error).__name__
    return f"{end}, tool ran" if held else end


def _offences(
    may: Allowed, error: BaseException | None, events: list[rxllm.ChatEvent], held: list[str]
) -> Iterator[tuple[str, str]]:
    shown = f"{error!r}, tool ran with {held}, {[type(event).__name__ for event in events][-6:]}"
    if error is not None and not isinstance(error, rxllm.RxllmError | UserError):
        yield "foreign error", shown
    if held and not may.tools:
        yield "tool ran", shown
    first = next((event for event in events if isinstance(event, rxllm.RoundCompleted)), None)
    if first is not None:
        completion = first.completion
        if held and completion.ending != "completed":
            yield "tool ran of what is not completed", f"{completion.ending}: {shown}"
        if completion.complete and not may.whole:
            yield "called whole", f"{completion.ending}: {completion.message!r}, {shown}"
