"""Runs cases: each against a server of its own, on a loopback port.

Rules:

1. The client gets the address of chat completions and returns or raises. Nothing else is known of it.
2. A client that does neither is cancelled after a while and has failed; so has one that posts its request more often
   than it is due: a second time after it was answered, most of the time.
3. A client that sends no request has failed, whatever it returns or raises.
4. Only ``Exception`` is a client's error. What else it raises ends the run, as it would end the program; so does what
   is no coroutine function.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass

from rxllm.testing.conformance._case import Case, Failure, Leaves, Whole
from rxllm.testing.conformance._cases import CASES
from rxllm.testing.conformance._one_run import Client, FallbackClient, Limits, answered, fell_back, left, redirected
from rxllm.testing.conformance._verdict import Finding, Report, Verdict
from rxllm.testing.script import DIALECTS, Answer, ScriptDialect

__all__ = ["Client", "FallbackClient", "check", "run_case", "run_conformance"]

# How long a client may wait in all before other tries.
RETRYING_SECONDS = 15.0
# What is raised within this share of a client's time-out is something else.
EARLY = 0.5
# Of the findings of several runs, the worst counts, and of those the first.
GRAVITY = {"pass": 0, "not applicable": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class _Clients:
    """The ways in which a client can be run; ``None`` where there is no such way."""

    once: Client
    retrying: Client | None
    fallback: FallbackClient | None


async def run_conformance(
    client: Client,
    *,
    cases: Iterable[Case] = CASES,
    name: str | None = None,
    retrying: Client | None = None,
    fallback: FallbackClient | None = None,
    dialects: Collection[ScriptDialect] = DIALECTS[:1],
    time_limit: float = 5.0,
    chunk_timeout: float | None = None,
) -> Report:
    """Run a client through the cases, one after the other.

    Args:
        client: A coroutine function. It gets the URL of chat completions of a server on a loopback port, sends a
            request (POST), and returns the answer or raises. ``read_result`` says what it may return. It runs in this
            event loop, so it must not block: run a synchronous client in ``asyncio.to_thread``.
        cases: The cases; all by default.
        name: The name of the client in the report; by default the name of its function.
        retrying: The client with its usual retries; the same function if it always retries. ``None`` if it never
            retries: the cases about retries do not apply.
        fallback: The client with a second server in case the first one fails; it gets both URLs. ``None`` if it cannot
            have one: these cases do not apply.
        dialects: The dialects of the client; the cases of other dialects do not apply. The end of the URL tells the
            client which dialect to use: ``/chat/completions``, ``/messages``, ``/responses``.
        time_limit: After how many seconds a client counts as hung. Correct clients take a few milliseconds for each
            case.
        chunk_timeout: How many seconds of silence the client allows before it raises. ``None`` if it has no such limit:
            cases of silence do not apply.

    Returns:
        A report with one verdict for each case.

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
        await run_case(
            client,
            case,
            retrying=retrying,
            fallback=fallback,
            dialects=dialects,
            time_limit=time_limit,
            chunk_timeout=chunk_timeout,
        )
        for case in tuple(cases)
    ]
    return Report(name or str(getattr(client, "__name__", type(client).__name__)), tuple(verdicts))


async def check(
    client: Client,
    case: Case,
    *,
    retrying: Client | None = None,
    fallback: FallbackClient | None = None,
    dialects: Collection[ScriptDialect] = DIALECTS[:1],
    time_limit: float = 5.0,
    chunk_timeout: float | None = None,
) -> Verdict:
    """Run a client through one case, for a test.

    Args:
        client: As in ``run_conformance``, like the rest.
        case: Which case.
        retrying: The client as it tries again.
        fallback: The client with a second server.
        dialects: What the client speaks.
        time_limit: After how many seconds the client is hung.
        chunk_timeout: For how many seconds the client lets a server be silent.

    Returns:
        The verdict, if the client did not fail.

    Raises:
        AssertionError: The client failed; the message says how.
    """
    verdict = await run_case(
        client,
        case,
        retrying=retrying,
        fallback=fallback,
        dialects=dialects,
        time_limit=time_limit,
        chunk_timeout=chunk_timeout,
    )
    if verdict.outcome == "fail":
        raise AssertionError(f"{verdict}\n{case.quirk.wire} {case.quirk.rule}")
    return verdict


async def run_case(
    client: Client,
    case: Case,
    *,
    retrying: Client | None = None,
    fallback: FallbackClient | None = None,
    dialects: Collection[ScriptDialect] = DIALECTS[:1],
    time_limit: float = 5.0,
    chunk_timeout: float | None = None,
) -> Verdict:
    """Run a client through one case.

    Args:
        client: As in ``run_conformance``, like the rest.
        case: Which case.
        retrying: The client as it tries again.
        fallback: The client with a second server.
        dialects: What the client speaks.
        time_limit: After how many seconds the client is hung.
        chunk_timeout: For how many seconds the client lets a server be silent.
    """
    if case.dialect not in dialects:
        return Verdict(case, "not applicable", f"the client does not speak {case.dialect}")
    if case.silent and chunk_timeout is None:
        return Verdict(case, "not applicable", "the client has no time-out")
    silence = chunk_timeout or 0.0 if case.silent else 0.0
    limits = Limits(
        hung=time_limit + silence + (0.0 if case.way == "once" else RETRYING_SECONDS),
        early=silence * EARLY,
        requests=None if case.may_repeat else 1 + len(case.then),
        wait=case.wait,
        dialect=case.dialect,
    )
    findings = [finding async for finding in _findings(_Clients(client, retrying, fallback), case, limits)]
    worst = max(findings, key=lambda finding: GRAVITY[finding.outcome])
    reason = worst.reason
    if reason and len(findings) > 1:
        reason = f"{reason} ({sum(each.outcome != 'pass' for each in findings)} of {len(findings)} runs)"
    return Verdict(case, worst.outcome, reason)


async def _findings(clients: _Clients, case: Case, limits: Limits) -> AsyncIterator[Finding]:
    for answer in case.answers:
        match case.expected:
            case Whole() | Failure() as expected:
                yield await _answered(clients, case, (answer, *case.then), expected, limits)
            case Leaves(turns):
                for number in turns:
                    yield await left(clients.once, answer, number, limits)
            case _:
                yield await redirected(clients.once, answer, limits)


async def _answered(
    clients: _Clients, case: Case, answers: tuple[Answer, ...], expected: Whole | Failure, limits: Limits
) -> Finding:
    match case.way:
        case "once":
            return await answered(clients.once, answers, expected, limits)
        case "retrying":
            if clients.retrying is None:
                return Finding("not applicable", "the client never tries again")
            return await answered(clients.retrying, answers, expected, limits)
        case _:
            if clients.fallback is None:
                return Finding("not applicable", "the client knows no other server")
            return await fell_back(clients.fallback, answers, expected, limits)
