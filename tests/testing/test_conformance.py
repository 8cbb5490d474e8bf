"""The conformance suite passes what is right and catches, in the right rows, what is not."""

from __future__ import annotations

import asyncio
import json
import runpy
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from rxllm.testing import conformance, script
from rxllm.testing.conformance import (
    CASES,
    QUIRKS,
    CallResult,
    Case,
    ChatResult,
    ChoiceResult,
    Client,
    Failure,
    Verdict,
    Whole,
    _client,
    _one_run,
    read_result,
    run_case,
    run_conformance,
    rxllm_client,
    rxllm_fallback,
    rxllm_retrying,
)
from rxllm.testing.conformance._command import main
from tests.conformance.handwritten import Fold, hand_written


def case(name: str) -> Case:
    return next(each for each in CASES if each.id == name)


def row(*names: str) -> list[Case]:
    return [each for each in CASES if each.quirk.id in names]


async def failures(client: Client, cases: Iterable[Case], time_limit: float = 5.0) -> set[str]:
    report = await run_conformance(client, cases=cases, time_limit=time_limit)
    return {verdict.case.id for verdict in report.failures}


# rxllm


@pytest.mark.parametrize("each", CASES, ids=str)
async def test_rxllm_conforms(each: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    # Silence is as silent when it is short. In all else no time may be over, however slow the machine is.
    chunk_timeout = 0.1 if each.silent else 60.0
    monkeypatch.setattr(_client, "CHUNK_TIMEOUT", chunk_timeout)

    verdict = await conformance.check(
        rxllm_client,
        each,
        retrying=rxllm_retrying,
        fallback=rxllm_fallback,
        dialects=script.DIALECTS,
        time_limit=60,
        chunk_timeout=chunk_timeout,
    )

    assert verdict.outcome == "pass"


# The catalogue


def test_every_row_has_a_case_and_every_case_a_row() -> None:
    assert {each.quirk.id for each in CASES} == set(QUIRKS)
    assert len({each.id for each in CASES}) == len(CASES)
    assert len({each.title for each in CASES}) == len(CASES)
    assert list(dict.fromkeys(each.quirk.area for each in CASES)) == list(
        dict.fromkeys(quirk.area for quirk in QUIRKS.values())
    )


def test_importing_the_library_or_its_kit_does_not_import_the_suite() -> None:
    code = "import sys, rxllm.testing; sys.exit('rxllm.testing.conformance' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Clients with a known defect, each like many in use


@asynccontextmanager
async def posted(url: str) -> AsyncGenerator[aiohttp.ClientResponse]:
    headers = {"Authorization": "Bearer none"}
    async with aiohttp.ClientSession() as session, session.post(url, json={}, headers=headers) as response:
        response.raise_for_status()
        yield response


async def careful(url: str, *, decode: Callable[[bytes], str] = bytes.decode) -> dict[str, Any]:
    """Passes the plain cases: whole lines, an end that is checked, errors that are raised."""
    fold, ended = Fold(), False
    async with posted(url) as response:
        if response.content_type != "text/event-stream":
            raise ValueError(await response.text())
        async for data in data_of(response, decode):
            if data == "[DONE]":
                ended = True
                break
            chunk = json.loads(data)
            if "error" in chunk:
                raise ValueError(str(chunk["error"]))
            fold.add(chunk)
    completion = fold.completion()
    if not ended and not all(choice["finish_reason"] for choice in completion["choices"] or [{"finish_reason": None}]):
        raise EOFError("the answer is cut")
    return completion


async def data_of(response: aiohttp.ClientResponse, decode: Callable[[bytes], str]) -> AsyncIterator[str]:
    buffer = ""
    async for block in response.content.iter_any():
        *lines, buffer = (buffer + decode(block)).split("\n")
        for line in lines:
            if line.startswith("data: "):
                yield line.removeprefix("data: ")


async def test_a_client_that_takes_cut_answers_for_whole_ones() -> None:
    cut = row("Q30", "Q31", "Q32", "Q34", "N1", "N7")

    assert await failures(careful, row("Q30", "Q31", "Q32", "Q34")) == set()
    assert await failures(hand_written, cut) == {case.id for case in row("Q30")} | {"N1-close", "N1-finished"}


async def test_a_client_that_decodes_each_read_by_itself() -> None:
    async def lossy(url: str) -> dict[str, Any]:
        return await careful(url, decode=lambda block: block.decode(errors="replace"))

    plain = row("Q31", "Q32", "Q56", "N7")

    assert await failures(lossy, plain) == {"Q56"}


async def test_a_client_that_mixes_up_calls() -> None:
    failed = await failures(hand_written, row("Q1", "Q2", "Q3", "Q5", "Q7", "Q8", "Q9", "Q12"))

    assert failed == {"Q1", "Q1-pieces", "Q2", "Q2-one-chunk", "Q3"}


async def test_a_verdict_says_what_was_expected_and_what_came() -> None:
    verdict = await run_case(hand_written, case("Q2"))

    assert verdict.reason == (
        'tool calls: expected a get_weather({"city":"Paris"}), b get_weather({"city":"Rome"}), '
        'got a get_weather({"city":"Paris"}{"city":"Rome"})'
    )
    assert str(verdict) == f"Q2 (index 0 again with a new id): fail: {verdict.reason}"


async def test_fields_that_are_lost() -> None:
    assert [await reasons(hand_written, name) for name in ("Q13", "Q26")] == [
        "extra_content of call a: expected {'google': {'thought_signature': 'c2lnbmVk'}}, got None",
        "mood of the message: expected {'calm': True}, got None",
    ]


async def test_a_check_that_fails_cites_the_row() -> None:
    with pytest.raises(AssertionError, match=r"(?s)Q2 .*An index that is used again with a new id\. Two calls\."):
        await conformance.check(hand_written, case("Q2"))


async def test_a_client_that_hangs() -> None:
    async def patient(url: str) -> str:
        async with posted(url) as response:
            return await response.text()

    verdict = await run_case(patient, case("T1"), time_limit=0.1)

    assert verdict.reason == "hung: it neither returned nor raised within 0.1 s"


async def test_a_client_that_posts_again_after_a_clean_end() -> None:
    async def reconnecting(url: str) -> None:
        while True:
            async with posted(url) as response:
                await response.read()

    verdict = await run_case(reconnecting, case("Q58"))

    assert verdict.reason == "it posted its request again after it had been answered"


async def test_a_request_that_was_not_answered_may_be_posted_again() -> None:
    async def trying_twice(url: str) -> Any:
        try:
            return await careful(url)
        except (aiohttp.ClientError, ValueError):
            return await careful(url)

    assert await failures(trying_twice, [case("N4-429"), case("N6"), case("Q43-html")]) == {"Q43-html"}


async def test_silence_needs_a_time_out() -> None:
    verdict = await run_case(careful, case("T3-gap"))

    assert (verdict.outcome, verdict.reason) == ("not applicable", "the client has no time-out")


async def test_an_error_before_the_time_out_is_another_one() -> None:
    verdict = await run_case(hand_written, case("T4-gap"), chunk_timeout=60)

    assert verdict.reason.startswith("it did not wait: it raised JSONDecodeError: ")


async def test_a_client_that_raises_where_an_answer_is_due() -> None:
    async def gloomy(url: str) -> str:
        async with posted(url):
            raise ExceptionGroup("all of it", [LookupError("no")]) from OSError("down")

    verdict = await run_case(gloomy, case("Q31"))

    assert verdict.reason == "it raised ExceptionGroup: all of it (1 sub-exception) | OSError: down | LookupError: no"
    assert (await run_case(gloomy, case("Q11"))).outcome == "pass"


async def test_an_error_has_to_show_what_came() -> None:
    async def curt(url: str) -> str:
        async with aiohttp.ClientSession() as session, session.post(url):
            raise RuntimeError("True")

    async def noted(url: str) -> str:
        try:
            return await curt(url)
        except RuntimeError as error:
            error.add_note("the kettle is empty")
            raise

    async def hiding(url: str) -> str:
        try:
            return await noted(url)
        except RuntimeError:
            raise ValueError("no") from None

    each = case("Q40-object-shown")
    assert (await run_case(curt, each)).reason == "the error does not show 'the kettle is empty': RuntimeError: True"
    assert (await run_case(noted, each)).outcome == "pass"
    assert (await run_case(hiding, each)).outcome == "fail"


async def test_an_error_may_be_its_own_cause() -> None:
    async def circular(url: str) -> str:
        async with posted(url):
            error = LookupError("no")
            raise error from error

    assert (await run_case(circular, case("Q31"))).reason == "it raised LookupError: no"


async def test_a_client_that_sends_no_request() -> None:
    async def idle(url: str) -> str:
        raise KeyError(url and "model")

    async def made_up(url: str) -> str:
        return url and "It is late."

    assert (await run_case(idle, case("Q11"))).reason == "it sent no request: it raised KeyError: 'model'"
    assert (await run_case(idle, case("N5"))).outcome == "fail"
    assert (await run_case(made_up, case("Q31"))).reason == "it sent no request: it returned"


async def test_what_is_no_error_of_a_client_ends_the_run() -> None:
    class Abort(BaseException):
        pass

    async def aborting(url: str) -> str:
        async with posted(url):
            raise Abort

    with pytest.raises(Abort):
        await run_case(aborting, case("Q30-text"))


async def test_what_is_no_coroutine_function_ends_the_run() -> None:
    client: Any = str.upper
    with pytest.raises(TypeError, match=r"this one returned a str\. asyncio\.to_thread"):
        await run_case(client, case("Q30-text"))


async def test_a_synchronous_client_in_a_thread() -> None:
    def synchronous(url: str) -> str:
        with urllib.request.urlopen(url, data=b"{}") as response:  # noqa: S310 - the server's own
            chunks = [json.loads(line.removeprefix(b"data: ")) for line in response if line.strip()]
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    async def client(url: str) -> str:
        return await asyncio.to_thread(synchronous, url)

    assert (await run_case(client, case("Q31"))).reason == "the client does not tell: finish_reason"


async def test_a_client_that_cancels_itself() -> None:
    async def gone(url: str) -> str:
        async with posted(url):
            raise asyncio.CancelledError

    async def gone_at_once(url: str) -> str:
        raise asyncio.CancelledError(url)

    verdict = await run_case(gone, case("Q30-text"))
    assert verdict.reason == "it raised CancelledError, and nobody had cancelled it"
    verdict = await run_case(gone_at_once, case("Q60"))
    assert verdict.reason == "it ended before its answer did: it raised CancelledError"


# Leaving


async def reasons(client: Client, name: str, time_limit: float = 5.0) -> str:
    return (await run_case(client, case(name), time_limit=time_limit)).reason


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For clients that never do what they have time for."""
    monkeypatch.setattr(_one_run, "LEAVING_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_swallows_a_cancellation() -> None:
    async def stubborn(url: str) -> None:
        async with posted(url):
            while True:
                try:
                    await asyncio.Future[None]()
                except asyncio.CancelledError:
                    if not swallows.pop():
                        raise

    swallows = [False, True]
    assert await reasons(stubborn, "Q60") == "it was cancelled and went on"
    assert swallows == []


async def test_a_client_that_turns_a_cancellation_into_an_error() -> None:
    async def wrapping(url: str) -> str:
        async with posted(url) as response:
            try:
                return await response.text()
            except asyncio.CancelledError:
                raise RuntimeError("stopped") from None

    assert await reasons(wrapping, "Q60") == "it was cancelled, and it raised RuntimeError: stopped"


async def test_a_client_that_returns_when_it_is_cancelled() -> None:
    async def polite(url: str) -> str:
        async with posted(url) as response:
            try:
                return await response.text()
            except asyncio.CancelledError:
                return ""

    assert await reasons(polite, "Q61") == "it was cancelled, and it returned (12 of 12 runs)"


async def test_a_client_that_ends_too_early_or_never_begins() -> None:
    async def hasty(url: str) -> str:
        return url

    async def idle(url: str) -> str:
        return await asyncio.Future[str]() + url

    assert await reasons(hasty, "Q60") == "it ended before its answer did: it returned"
    assert await reasons(idle, "Q60", 0.05) == "hung: it neither returned nor raised within 0.05 s"
    assert await reasons(idle, "N5", 0.05) == "hung: it neither returned nor raised within 0.05 s"


@pytest.mark.usefixtures("impatient")
async def test_a_client_whose_connection_stays_open() -> None:
    sessions: list[aiohttp.ClientSession] = []

    async def leaking(url: str) -> str:
        sessions.append(aiohttp.ClientSession())
        responses.append(await sessions[-1].post(url))
        return await asyncio.shield(asyncio.Future[str]())

    responses: list[aiohttp.ClientResponse] = []
    assert await reasons(leaking, "Q60") == "its connection stayed open after it had ended"
    for session in sessions:
        await session.close()


# Redirects


async def test_credentials_that_follow_a_redirect() -> None:
    async def trusting(url: str) -> str:
        headers = {"Authorization": "Bearer none"}
        async with aiohttp.ClientSession() as session:
            async with session.post(url, headers=headers, allow_redirects=False) as response:
                target = response.headers["location"]
            async with session.post(target, headers=headers) as response:
                return await response.text()

    async def anonymous(url: str) -> str:
        async with aiohttp.ClientSession() as session, session.post(url) as response:
            return await response.text()

    assert await reasons(trusting, "N5") == "its Authorization header went to the other origin"
    assert await reasons(anonymous, "N5") == "the client sends no Authorization or X-Api-Key header"
    assert (await run_case(careful, case("N5"))).outcome == "pass"


# What clients return


def returning(value: object) -> Callable[[str], Awaitable[object]]:
    async def client(url: str) -> object:
        async with posted(url):
            return value

    return client


PARIS = '{"city":"Paris"}'
MESSAGE = {"content": "It is late.", "reasoning": "It is dark.", "tool_calls": None}
OBJECT = SimpleNamespace(
    choices=(SimpleNamespace(index=0, message=SimpleNamespace(**MESSAGE), finish_reason=script.done()),),
    usage=SimpleNamespace(completion_tokens=5),
)


@pytest.mark.parametrize(
    ("result", "name"),
    [
        ("It is late.", "Q31-usage"),
        ({"choices": [{"message": MESSAGE}]}, "Q22-reasoning"),
        (OBJECT, "Q22-reasoning"),
        (
            {
                "choices": [
                    {
                        "message": {
                            "content": [
                                {"type": "thinking", "thinking": [{"type": "text", "text": "It is dark."}]},
                                {"type": "text", "text": "It is late."},
                            ]
                        }
                    }
                ]
            },
            "Q22-parts",
        ),
        (ChatResult((ChoiceResult(text="It is late.", reasoning="It is dark."),)), "Q22-reasoning"),
        (ChatResult.of("ab"), "Q24"),
    ],
)
async def test_results_of_any_shape(result: object, name: str) -> None:
    assert (await run_case(returning(result), case(name))).outcome in {"pass", "not applicable"}


@pytest.mark.parametrize(
    ("result", "name", "reason"),
    [
        (None, "Q31", "the result cannot be read: a NoneType is not a chat completion"),
        (ChatResult.of("It is late."), "Q31", "the client does not tell: finish_reason"),
        (ChatResult.of("ab"), "Q24", "the client does not tell: choices, finish_reason"),
        (
            ChatResult.of("", tool_calls=(CallResult("get_weather", PARIS, "a"),), reports=("text", "tool_calls")),
            "Q13",
            "the client does not tell: extra",
        ),
        (
            {"choices": [{"message": MESSAGE}, {"message": MESSAGE}]},
            "Q34-text",
            "choices: expected 1, got indexes [0, 1]",
        ),
        (
            {"choices": [{"message": {"content": "It is late."}}], "usage": {"completion_tokens": 4}},
            "Q21-after",
            (
                "usage.prompt_tokens: expected 3, got None; usage.completion_tokens: expected 5, got 4; "
                "usage.total_tokens: expected 8, got None"
            ),
        ),
        (
            {"choices": [{"message": {"content": 5}}]},
            "Q31",
            "the result cannot be read: content is a int, not a string: 5",
        ),
        (
            ChatResult((ChoiceResult(tool_calls=(CallResult("get_weather", "{}"),)),)),
            "Q11",
            'tool calls: expected a get_weather({"city":"Paris"}{"city":"Rome"}), got ? get_weather({})',
        ),
        (
            {"choices": [{"message": {"tool_calls": [{"id": "a", "function": {"name": "w", "arguments": "{"}}] * 9}}]},
            "Q14",
            'tool calls: expected a get_weather({"city":"Paris"}), got 9 calls, a w({), a w({), a w({), a w({)',
        ),
        (
            {"choices": [{"message": {"content": "x" * 1000}, "finish_reason": "stop"}]},
            "Q30-text",
            f"an error was due; it returned '{'x' * 159}… (1022 in all)",
        ),
    ],
)
async def test_what_is_said_of_results(result: object, name: str, reason: str) -> None:
    assert (await run_case(returning(result), case(name))).reason == reason


async def test_arguments_are_compared_as_json() -> None:
    def with_arguments(arguments: str) -> ChatResult:
        call = CallResult("get_weather", arguments, "a")
        return ChatResult((ChoiceResult(tool_calls=(call,)),))

    outcomes = [
        (await run_case(returning(with_arguments(arguments)), case("Q8"))).outcome
        for arguments in ('{ "city": "Paris" }', '{"city": "Rome"}', '{"city"')
    ]
    assert outcomes == ["pass", "fail", "fail"]


def test_objects_with_undeclared_fields_are_read() -> None:
    message = SimpleNamespace(content="", model_extra={"mood": "calm"})
    read = read_result(SimpleNamespace(choices=[SimpleNamespace(message=message)]))

    assert read.choices[0].extra["mood"] == "calm"
    assert read.usage == {}


# Reports


def some_report() -> conformance.Report:
    verdicts = (
        Verdict(case("Q1"), "pass"),
        Verdict(case("Q1-pieces"), "fail", "a | b"),
        Verdict(case("Q2"), "fail", "no"),
        Verdict(case("Q3"), "not applicable", "never"),
        Verdict(case("Q4"), "pass"),
    )
    return conformance.Report("mine", verdicts)


def test_a_report_is_a_table() -> None:
    report = some_report()

    head, *lines = str(report).splitlines()
    assert head == "mine: 2 pass, 2 fail, 1 not applicable"
    assert lines[4] == r"| Q1-pieces | a call without an index, in pieces | fail | a \| b |"
    assert [quirk.id for quirk in report.by_quirk()] == ["Q1", "Q2", "Q3", "Q4"]
    assert json.loads(conformance.dumped([report]))[0]["cases"][1] == {
        "id": "Q1-pieces",
        "title": "a call without an index, in pieces",
        "outcome": "fail",
        "reason": "a | b",
    }


def test_clients_side_by_side() -> None:
    other = conformance.Report("other", (Verdict(case("Q2"), "pass"),))

    cells = [line.split(" | ")[2:] for line in conformance.matrix([some_report(), other]).splitlines()]

    assert cells[0] == ["mine", "other |"]
    assert cells[2:] == [["**1 of 2**", "n/a |"], ["**fail**", "pass |"], ["n/a", "n/a |"], ["pass", "n/a |"]]


# The command


def test_the_command_lists_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--case", "Q2"]) == 0
    assert capsys.readouterr().out == (
        "Q2               index 0 again with a new id\nQ2-one-chunk     index 0 for both calls of a chunk\n"
    )


def test_the_command_runs_rxllm_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--case", "Q2-one-chunk"]) == 0
    assert capsys.readouterr().out.startswith("rxllm_client: 1 pass, 0 fail")


def test_the_command_runs_a_client_of_yours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "yours_for_the_command.py").write_text("""
import aiohttp


async def answer(url):
    async with aiohttp.ClientSession() as session, session.post(url):
        return "It is late."
""")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    assert main(["yours_for_the_command:answer", "--case", "Q30-nothing", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["client"] == "yours_for_the_command:answer"
    assert report["cases"][0]["reason"] == "an error was due; it returned 'It is late.'"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "Q99"], "there is no such case"),
        (["yours"], "MODULE:FUNCTION is needed"),
        (["no_such_package.client:answer"], "there is no module 'no_such_package.client'"),
        (["json:answer"], "there is no function 'answer' in 'json'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        main(arguments)


def test_the_command_is_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["conformance", "--list"])
    with pytest.raises(SystemExit) as ended:
        # By its path: pytest's hook for imports is no loader that runpy can read from.
        runpy.run_path(str(Path(conformance.__file__).with_name("__main__.py")), run_name="__main__")

    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)


def test_what_is_expected_is_plain_data() -> None:
    assert case("Q30-text").expected == Failure()
    assert isinstance(case("Q31").expected, Whole)
    assert str(case("Q31")) == "Q31"
