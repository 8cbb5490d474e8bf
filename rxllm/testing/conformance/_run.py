"""Runs cases: each against a server of its own, on a loopback port.

Rules:

1. The client gets the address of chat completions and returns or raises. Nothing else is known of it.
2. A client that does neither is cancelled after a while and has failed; so has one that posts its request a second
   time after it was answered.
3. A client that sends no request has failed, whatever it returns or raises.
4. Only ``Exception`` is a client's error. What else it raises ends the run, as it would end the program; so does what
   is no coroutine function.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from rxllm.testing import script
from rxllm.testing._server import ScriptedServer
from rxllm.testing.conformance._case import Case, Failure, Leaves, Whole
from rxllm.testing.conformance._cases import CASES
from rxllm.testing.conformance._judge import judge_error, judge_result, message_of, shortened
from rxllm.testing.conformance._verdict import Finding, Report, Verdict

__all__ = ["Client", "check", "run_case", "run_conformance"]

Client: TypeAlias = Callable[[str], Awaitable[Any]]
"""A client: gets the address of chat completions, returns what it made of the answer, or raises."""

# How long a client that left may take until the server sees it, and one that was cancelled until it has ended.
LEAVING_SECONDS = 1.0
# A client may swallow a cancellation, or clean up in several steps; then it is let go.
STOPPING_TRIES = 2
PASS = Finding("pass")
# What is raised within this share of a client's time-out is something else.
EARLY = 0.5
# Of the findings of several runs, the worst counts, and of those the first.
GRAVITY = {"pass": 0, "not applicable": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class _Limits:
    """How long a client may take, and has to wait before it raises, in seconds."""

    hung: float
    early: float = 0.0


async def run_conformance(
    client: Client,
    *,
    cases: Iterable[Case] = CASES,
    name: str | None = None,
    time_limit: float = 5.0,
    chunk_timeout: float | None = None,
) -> Report:
    """Run a client through the cases, one after the other.

    Args:
        client: A coroutine function: gets the address of chat completions, of a server on a loopback port; sends a
            request (POST) and returns the answer, or raises. See ``read_result`` for what it may return. It
            runs in this event loop, so that one that blocks it waits for ever: run one that is synchronous in
            ``asyncio.to_thread``.
        cases: Which cases; all by default.
        name: What the report calls the client; by default, as its function is called.
        time_limit: After how many seconds a client is hung. Correct ones take a few milliseconds a case.
        chunk_timeout: For how many seconds the client lets a server be silent before it raises. ``None`` is for one
            without such a limit: cases of silence do not apply to it.

    Returns:
        A verdict a case.

    Example:
        >>> import asyncio, aiohttp
        >>> from rxllm.testing import conformance
        >>> async def hasty(url):
        ...     async with aiohttp.ClientSession() as session, session.post(url) as response:
        ...         return await response.text()
        >>> cases = [case for case in conformance.CASES if case.id == "Q30-text"]
        >>> report = asyncio.run(conformance.run_conformance(hasty, cases=cases))
        >>> [verdict.outcome for verdict in report.verdicts]
        ['fail']
    """
    verdicts = [
        await run_case(client, case, time_limit=time_limit, chunk_timeout=chunk_timeout) for case in tuple(cases)
    ]
    return Report(name or str(getattr(client, "__name__", type(client).__name__)), tuple(verdicts))


async def check(client: Client, case: Case, *, time_limit: float = 5.0, chunk_timeout: float | None = None) -> Verdict:
    """Run a client through one case, for a test.

    Args:
        client: As in ``run_conformance``, like the rest.
        case: Which case.
        time_limit: After how many seconds the client is hung.
        chunk_timeout: For how many seconds the client lets a server be silent.

    Returns:
        The verdict, if it is no failure.

    Raises:
        AssertionError: The client failed; the message says how.
    """
    verdict = await run_case(client, case, time_limit=time_limit, chunk_timeout=chunk_timeout)
    if verdict.outcome == "fail":
        raise AssertionError(f"{verdict}\n{case.quirk.wire} {case.quirk.rule}")
    return verdict


async def run_case(
    client: Client, case: Case, *, time_limit: float = 5.0, chunk_timeout: float | None = None
) -> Verdict:
    """Run a client through one case.

    Args:
        client: As in ``run_conformance``, like the rest.
        case: Which case.
        time_limit: After how many seconds the client is hung.
        chunk_timeout: For how many seconds the client lets a server be silent.
    """
    limits = _Limits(time_limit)
    if case.silent:
        if chunk_timeout is None:
            return Verdict(case, "not applicable", "the client has no time-out")
        limits = _Limits(time_limit + chunk_timeout, chunk_timeout * EARLY)
    findings = [finding async for finding in _findings(client, case, limits)]
    worst = max(findings, key=lambda finding: GRAVITY[finding.outcome])
    reason = worst.reason
    if reason and len(findings) > 1:
        reason = f"{reason} ({sum(each.outcome != 'pass' for each in findings)} of {len(findings)} runs)"
    return Verdict(case, worst.outcome, reason)


async def _findings(client: Client, case: Case, limits: _Limits) -> AsyncIterator[Finding]:
    for answer in case.answers:
        match case.expected:
            case Whole() | Failure() as expected:
                yield await _answered(client, answer, expected, limits, may_repeat=case.may_repeat)
            case Leaves(turns):
                for number in turns:
                    yield await _left(client, answer, number, limits)
            case _:
                yield await _redirected(client, answer, limits)


async def _answered(
    client: Client, answer: script.Answer, expected: Whole | Failure, limits: _Limits, *, may_repeat: bool
) -> Finding:
    """The client returns or raises."""
    async with ScriptedServer(answer, repeat=True) as server, _running(client, server.url) as task:
        begun = asyncio.get_running_loop().time()
        again = asyncio.create_task(server.wait_for_request(1))
        watched: set[asyncio.Task[Any]] = {task} if may_repeat else {task, again}
        try:
            await asyncio.wait(watched, timeout=limits.hung, return_when=asyncio.FIRST_COMPLETED)
        finally:
            again.cancel()
        if len(server.requests) > 1 and not may_repeat:
            return Finding("fail", "it posted its request again after it had been answered")
        if not task.done():
            return _hung(limits)
        if not server.requests:
            return _sent_nothing(task)
        return _judged(task, expected, early=asyncio.get_running_loop().time() - begun < limits.early)


def _judged(task: asyncio.Task[Any], expected: Whole | Failure, *, early: bool) -> Finding:
    if task.cancelled():
        return Finding("fail", "it raised CancelledError, and nobody had cancelled it")
    error = _error_of(task)
    if error is None:
        return judge_result(expected, task.result())
    if early:
        return Finding("fail", f"it did not wait: it raised {shortened(message_of(error))}")
    return judge_error(expected, error)


async def _left(client: Client, answer: script.Answer, turns: int, limits: _Limits) -> Finding:
    """The client is cancelled so many turns of the loop after the server's last write."""
    written = asyncio.Event()
    silent = replace(answer, steps=(*answer.steps, script.notify(written), script.stall()))
    async with ScriptedServer(silent, repeat=True) as server, _running(client, server.url) as task:
        await _first(written.wait(), task, limits.hung)
        if task.done():
            return Finding("fail", f"it ended before its answer did: {_ending(task)}")
        if not written.is_set():
            return _hung(limits)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=LEAVING_SECONDS)
        if not task.done():
            return Finding("fail", "it was cancelled and went on")
        if not task.cancelled():
            return Finding("fail", f"it was cancelled, and {_ending(task)}")
        request = server.requests[0]
        await _first(request.peer_left.wait(), None, LEAVING_SECONDS)
        return PASS if request.peer_left.is_set() else Finding("fail", "its connection stayed open after it had ended")


async def _redirected(client: Client, answer: script.Answer, limits: _Limits) -> Finding:
    """The client is sent to another origin; whether it goes there is its own affair."""
    async with (
        ScriptedServer(answer, repeat=True) as target,
        ScriptedServer(script.redirect(target.url), repeat=True) as origin,
        _running(client, origin.url) as task,
    ):
        await asyncio.wait({task}, timeout=limits.hung)
        if not task.done():
            return _hung(limits)
        if not origin.requests:
            return _sent_nothing(task)
        if not any("authorization" in request.headers for request in origin.requests):
            return Finding("not applicable", "the client sends no Authorization header")
        if any("authorization" in request.headers for request in target.requests):
            return Finding("fail", "its Authorization header went to the other origin")
        return PASS


@asynccontextmanager
async def _running(client: Client, url: str) -> AsyncGenerator[asyncio.Task[Any]]:
    """The client's task, which is not left running."""
    answer = client(url)
    if not inspect.isawaitable(answer):
        raise TypeError(
            f"a client is a coroutine function; this one returned a {type(answer).__name__}. asyncio.to_thread makes "
            "a coroutine of a call that is synchronous"
        )
    task = asyncio.create_task(_awaited(answer))
    try:
        yield task
    finally:
        for _ in range(STOPPING_TRIES):
            task.cancel()
            await asyncio.wait({task}, timeout=LEAVING_SECONDS)
        if task.done() and not task.cancelled():
            # Looked at, so that asyncio does not report it.
            task.exception()


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


async def _first(event: Coroutine[Any, Any, object], task: asyncio.Task[Any] | None, seconds: float) -> None:
    """Wait until something happens, the task ends, or the time is over."""
    waiter = asyncio.create_task(event)
    watched: set[asyncio.Task[Any]] = {waiter} if task is None else {waiter, task}
    try:
        await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()


def _error_of(task: asyncio.Task[Any]) -> Exception | None:
    """What a client that has ended raised, if that is an error of the client."""
    error = task.exception()
    if error is None or isinstance(error, Exception):
        return error
    raise error


def _ending(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "it raised CancelledError"
    error = _error_of(task)
    return "it returned" if error is None else f"it raised {shortened(message_of(error))}"


def _sent_nothing(task: asyncio.Task[Any]) -> Finding:
    return Finding("fail", f"it sent no request: {_ending(task)}")


def _hung(limits: _Limits) -> Finding:
    return Finding("fail", f"hung: it neither returned nor raised within {limits.hung:g} s")
