"""The cases of other tries and other servers pass what is right and catch what is not."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rxllm.testing.conformance import CASES, Case, Client, FallbackClient, _run, run_case
from rxllm.testing.conformance._command import main
from tests.conformance.handwritten import Fold

TRIES = [case for case in CASES if case.way == "retrying"]
SERVERS = [case for case in CASES if case.way == "fallback"]


def case(name: str) -> Case:
    return next(each for each in CASES if each.id == name)


class RefusedError(Exception):
    """An error of a server: whether it may pass, and how long to wait."""

    def __init__(self, text: str, *, passes: bool, seconds: float = 0.0) -> None:
        super().__init__(text)
        self.passes = passes
        self.seconds = seconds


async def ask(url: str, fold: Fold) -> bool:
    """Fold an answer; returns whether it has ended as it should."""
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        if response.status != 200:
            text = await response.text()
            passes = response.status in {429, 500, 503} and "insufficient_quota" not in text
            milliseconds = response.headers.get("retry-after-ms", "0")
            after = response.headers.get("retry-after", "0")
            seconds = max(float(milliseconds) / 1000, float(after) if after.isdecimal() else 0.0)
            passes = passes and response.headers.get("x-should-retry") != "false"
            raise RefusedError(text, passes=passes and seconds < 60 and "2123" not in after, seconds=seconds)
        async for line in response.content:
            if line.startswith(b"data: {"):
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    raise RefusedError(str(chunk), passes="overloaded" in str(chunk))
                fold.add(chunk)
            if line.startswith(b"data: [DONE]"):
                return True
    return False


def began(fold: Fold) -> bool:
    messages = [choice["message"] for choice in fold.completion()["choices"]]
    return any(message["content"] or message["tool_calls"] for message in messages)


def passes(error: Exception) -> bool:
    return not isinstance(error, RefusedError) or error.passes


async def right(url: str) -> Any:
    """Does what is right in every case."""
    error: Any = None
    for _ in range(3):
        fold = Fold()
        try:
            if await ask(url, fold):
                return fold.completion()
            error = EOFError("the answer is cut")
        except (aiohttp.ClientError, RefusedError) as failure:
            error = failure
        if began(fold):
            error.partial = fold.completion()
            break
        if not passes(error):
            break
        await asyncio.sleep(getattr(error, "seconds", 0.0))
    raise error


def hasty(tries: int, *, glues: bool = False) -> Client:
    """Tries again at once, whatever it was."""

    async def client(url: str) -> Any:
        fold, error = Fold(), None
        for _ in range(tries):
            fold = fold if glues else Fold()
            try:
                if await ask(url, fold):
                    return fold.completion()
            except (aiohttp.ClientError, RefusedError) as failure:
                error = failure
        raise error or EOFError

    return client


async def never(url: str) -> Any:
    raise AssertionError(url)


async def failed(client: Client, cases: list[Case]) -> dict[str, str]:
    verdicts = [await run_case(never, each, retrying=client) for each in cases]
    return {verdict.case.id: verdict.reason for verdict in verdicts if verdict.outcome == "fail"}


async def test_a_client_that_does_what_is_right() -> None:
    assert await failed(right, TRIES) == {}


async def test_a_client_that_never_tries_again_or_knows_no_other_server() -> None:
    verdicts = [await run_case(never, case(name)) for name in ("R1-503", "R7-503")]

    assert [(verdict.outcome, verdict.reason) for verdict in verdicts] == [
        ("not applicable", "the client never tries again"),
        ("not applicable", "the client knows no other server"),
    ]


async def test_a_client_that_gives_up_at_once() -> None:
    lost = await failed(hasty(1), TRIES)

    assert {name.partition("-")[0] for name in lost} == {"R1", "R2", "R5"}
    assert lost["R1-503"].startswith("it raised RefusedError: ")


async def test_a_client_that_waits_for_nothing_and_heeds_nothing() -> None:
    wrong = await failed(hasty(3), TRIES)

    again = "it posted its request again after it had been answered"
    assert wrong == {
        "R2-seconds": "it came again before the 1 s were over that the server had asked for",
        "R2-ms": "it came again before the 0.8 s were over that the server had asked for",
        **dict.fromkeys(
            ("R3-hour", "R4-400", "R4-401", "R4-404", "R4-quota", "R4-should", "R5-quota"),
            again,
        ),
    }


async def test_a_client_that_never_gives_up() -> None:
    assert await failed(hasty(1000), [case("R1-ever")]) == {"R1-ever": "it posted its request more than 13 times"}


async def test_a_client_that_glues_two_answers_together() -> None:
    wrong = await failed(hasty(3, glues=True), [each for each in TRIES if each.quirk.id == "R6"])

    assert wrong["R6-cut"] == "text: expected 'Ten past nine.', got 'Ten to Ten past nine.'"
    assert {"R6-reset", "R6-end", "R6-error", "R6-call", "R6-part"} < wrong.keys()


@pytest.mark.parametrize(
    ("partial", "outcome", "reason"),
    [
        ("Ten to ", "pass", ""),
        ("Ten ", "fail", "partial: expected 'Ten to ', got ['Ten ']"),
        (None, "not applicable", "the client does not tell: partial"),
        (5, "fail", "partial cannot be read: a int is not a chat completion"),
    ],
)
async def test_what_an_error_has_of_the_answer(partial: object, outcome: str, reason: str) -> None:
    async def client(url: str) -> Any:
        try:
            await ask(url, Fold())
        except aiohttp.ClientError as error:
            error.partial = partial  # type: ignore[attr-defined]
            raise

    verdict = await run_case(never, case("R6-partial"), retrying=client)

    assert (verdict.outcome, verdict.reason) == (outcome, reason)


# Another server


def with_another(*, glues: bool = False) -> FallbackClient:
    async def client(url: str, other: str) -> Any:
        fold = Fold()
        try:
            if await ask(url, fold):
                return fold.completion()
        except (aiohttp.ClientError, RefusedError):
            pass
        fold = fold if glues else Fold()
        await ask(other, fold)
        return fold.completion()

    return client


async def fallen_back(client: FallbackClient, cases: list[Case], time_limit: float = 5.0) -> dict[str, str]:
    verdicts = [await run_case(never, each, fallback=client, time_limit=time_limit) for each in cases]
    return {verdict.case.id: verdict.reason for verdict in verdicts if verdict.outcome == "fail"}


async def test_a_client_with_another_server() -> None:
    assert await fallen_back(with_another(), SERVERS) == {}
    glued = await fallen_back(with_another(glues=True), SERVERS)
    assert {each.id for each in SERVERS if each.quirk.id == "R8"} == glued.keys()
    assert glued["R8-cut"] == "text: expected 'Ten past nine.', got 'Ten to Ten past nine.'"


async def test_a_client_that_asks_neither_server_or_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def idle(url: str, other: str) -> Any:
        return url + other

    async def endless(url: str, other: str) -> Any:
        return await asyncio.Future[str]() + url + other

    monkeypatch.setattr(_run, "RETRYING_SECONDS", 0.0)
    each = case("R7-503")
    assert await fallen_back(idle, [each]) == {"R7-503": "it sent no request: it returned"}
    assert await fallen_back(endless, [each], 0.05) == {"R7-503": "hung: it neither returned nor raised within 0.05 s"}


# The command


def test_the_command_runs_the_ways_of_a_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "yours_with_tries.py").write_text("""
from rxllm.testing.conformance import rxllm_client as once, rxllm_fallback as fallback, rxllm_retrying as retrying
""")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    ways = [f"--{way}=yours_with_tries:{way}" for way in ("retrying", "fallback")]

    assert main(["yours_with_tries:once", *ways, "--case", "R4-400", "--case", "R7-503"]) == 0
    assert capsys.readouterr().out.startswith("yours_with_tries:once: 2 pass, 0 fail, 0 not applicable")
