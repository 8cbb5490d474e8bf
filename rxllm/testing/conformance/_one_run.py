"""One run of a case: a client, and the servers it talks to."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from rxllm.testing import script
from rxllm.testing._server import ScriptedServer
from rxllm.testing._server_request import ReceivedRequest
from rxllm.testing.conformance._case import Failure, Whole
from rxllm.testing.conformance._judge import judge_error, judge_result, message_of, shortened
from rxllm.testing.conformance._verdict import Finding

__all__ = ["Client", "FallbackClient", "Limits", "answered", "fell_back", "left", "redirected"]

Client: TypeAlias = Callable[[str], Awaitable[Any]]
"""A client: gets the address of chat completions, returns what it made of the answer, or raises."""

FallbackClient: TypeAlias = Callable[[str, str], Awaitable[Any]]
"""A client that has a second server: gets the address of the one, and that of the other, which is for when it fails."""

# How long a client that left may take until the server sees it, and one that was cancelled until it has ended.
LEAVING_SECONDS = 1.0
# A client may swallow a cancellation, or clean up in several steps; then it is let go.
STOPPING_TRIES = 2
PASS = Finding("pass")
# What a key may be in.
KEY_HEADERS = ("Authorization", "X-Api-Key")
# Clocks are not that exact.
SLACK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do, and what it is up against: times in seconds.

    Attributes:
        hung: How long it may take.
        early: How long it has to wait before it raises.
        requests: How many requests it may send; ``None`` if any number.
        wait: How long after the first request the second one may come.
        dialect: What the server speaks.
    """

    hung: float
    early: float = 0.0
    requests: int | None = 1
    wait: float = 0.0
    dialect: script.ScriptDialect = "openai-chat"


async def answered(
    client: Client, answers: tuple[script.Answer, ...], expected: Whole | Failure, limits: Limits
) -> Finding:
    """The client returns or raises. Of several answers each is for one request; the last one is for all further ones.

    Unless any number is due, a request beyond those ends the run.
    """
    async with (
        ScriptedServer(*answers, repeat=True, dialect=limits.dialect) as server,
        running(client(server.url)) as task,
    ):
        begun = asyncio.get_running_loop().time()
        await _first(_beyond(server, limits.requests), task, limits.hung)
        if limits.requests is not None and len(server.requests) > limits.requests:
            return _sent_too_often(limits.requests)
        if not task.done():
            return _hung(limits)
        if not server.requests:
            return _sent_nothing(task)
        finding = _judged(task, expected, early=asyncio.get_running_loop().time() - begun < limits.early)
        return _too_soon(server.requests, limits) if finding == PASS else finding


async def _beyond(server: ScriptedServer, requests: int | None) -> None:
    """Wait for a request that is not due."""
    if requests is None:
        await asyncio.Future[None]()
    else:
        await server.wait_for_request(requests)


def _sent_too_often(requests: int) -> Finding:
    if requests == 1:
        return Finding("fail", "it posted its request again after it had been answered")
    return Finding("fail", f"it posted its request more than {requests} times")


def _too_soon(requests: list[ReceivedRequest], limits: Limits) -> Finding:
    """Whether the second request came before the server wanted it."""
    times = [request.received_at for request in requests[:2]]
    if times[-1] - times[0] >= limits.wait - SLACK_SECONDS or len(times) == 1:
        return PASS
    return Finding("fail", f"it came again before the {limits.wait:g} s were over that the server had asked for")


async def fell_back(
    client: FallbackClient, answers: tuple[script.Answer, ...], expected: Whole | Failure, limits: Limits
) -> Finding:
    """The client has a second server, and the first one fails. How often it asks either is its own affair."""
    async with (
        ScriptedServer(answers[0], repeat=True, dialect=limits.dialect) as first,
        ScriptedServer(answers[-1], repeat=True, dialect=limits.dialect) as second,
        running(client(first.url, second.url)) as task,
    ):
        await asyncio.wait({task}, timeout=limits.hung)
        if not task.done():
            return _hung(limits)
        return _judged(task, expected, early=False) if first.requests else _sent_nothing(task)


def _judged(task: asyncio.Task[Any], expected: Whole | Failure, *, early: bool) -> Finding:
    if task.cancelled():
        return Finding("fail", "it raised CancelledError, and nobody had cancelled it")
    error = _error_of(task)
    if error is None:
        return judge_result(expected, task.result())
    if early:
        return Finding("fail", f"it did not wait: it raised {shortened(message_of(error))}")
    return judge_error(expected, error)


async def left(client: Client, answer: script.Answer, turns: int, limits: Limits) -> Finding:
    """The client is cancelled so many turns of the loop after the server's last write."""
    written = asyncio.Event()
    silent = replace(answer, steps=(*answer.steps, script.notify(written), script.stall()))
    async with (
        ScriptedServer(silent, repeat=True, dialect=limits.dialect) as server,
        running(client(server.url)) as task,
    ):
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


async def redirected(client: Client, answer: script.Answer, limits: Limits) -> Finding:
    """The client is sent to another origin; whether it goes there is its own affair."""
    async with (
        ScriptedServer(answer, repeat=True, dialect=limits.dialect) as target,
        ScriptedServer(script.redirect(target.url), repeat=True) as origin,
        running(client(origin.url)) as task,
    ):
        await asyncio.wait({task}, timeout=limits.hung)
        if not task.done():
            return _hung(limits)
        if not origin.requests:
            return _sent_nothing(task)
        names = [name for name in KEY_HEADERS if any(name.lower() in request.headers for request in origin.requests)]
        if not names:
            return Finding("not applicable", f"the client sends no {' or '.join(KEY_HEADERS)} header")
        leaked = [name for name in names if any(name.lower() in request.headers for request in target.requests)]
        return Finding("fail", f"its {leaked[0]} header went to the other origin") if leaked else PASS


@asynccontextmanager
async def running(answer: Awaitable[Any]) -> AsyncGenerator[asyncio.Task[Any]]:
    """The task of a client that was called, which is not left running."""
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


def _hung(limits: Limits) -> Finding:
    return Finding("fail", f"hung: it neither returned nor raised within {limits.hung:g} s")
