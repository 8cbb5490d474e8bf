"""The cases of other dialects pass what is right and catch, in the right rows, what is not."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rxllm.testing.conformance import CASES, CallResult, Case, ChatResult, run_case, run_conformance
from rxllm.testing.conformance._command import main
from rxllm.testing.script import DIALECTS, ScriptDialect

OTHERS = DIALECTS[1:]
PATHS = {
    "anthropic": "/v1/messages",
    "openai-responses": "/v1/responses",
    "bedrock-converse": "/model/scripted/converse-stream",
    "gemini": ":streamGenerateContent?alt=sse",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
}


def of(dialect: ScriptDialect) -> list[Case]:
    return [case for case in CASES if case.dialect == dialect]


async def events(url: str) -> AsyncIterator[dict[str, Any]]:
    """The data of each event, as a loop without a library has it."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={}, headers={"x-api-key": "secret"}) as response,
    ):
        response.raise_for_status()
        async for line in response.content:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


async def of_anthropic(url: str) -> ChatResult:
    """What such a loop makes of events of Anthropic's: whatever came is an answer, each tool is a call."""
    text, calls = "", list[CallResult]()
    async for event in events(url):
        match event:
            case {"content_block": {"id": identifier, "name": name}}:
                calls.append(CallResult(name, "", identifier))
            case {"delta": {"text": piece}}:
                text += piece
            case {"delta": {"partial_json": piece}}:
                calls[-1] = replace(calls[-1], arguments=calls[-1].arguments + piece)
            case _:
                pass
    return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))


async def of_responses(url: str) -> ChatResult:
    """What such a loop makes of events of the Responses API: deltas are all that counts, each text is of the answer."""
    text, calls = "", list[CallResult]()
    async for event in events(url):
        match event:
            case {"type": "response.output_text.delta" | "response.code_interpreter_call_code.delta", "delta": piece}:
                text += piece
            case {"type": "response.output_item.done", "item": {"type": "function_call"} as item}:
                calls.append(CallResult(item["name"], item["arguments"], item["call_id"]))
            case _:
                pass
    return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))


async def of_gemini(url: str) -> ChatResult:
    """What such a loop makes of events of Gemini's: whatever came is an answer, and the first reason ends it."""
    text, calls = "", list[CallResult]()
    async for event in events(url):
        for candidate in event.get("candidates") or ():
            for part in candidate.get("content", {}).get("parts", ()):
                text += part.get("text", "")
                if call := part.get("functionCall"):
                    calls.append(CallResult(call["name"], json.dumps(call["args"]), call.get("id")))
            if candidate.get("finishReason"):
                return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))
    return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))


async def of_cohere(url: str) -> ChatResult:
    """What such a loop makes of events of Cohere's: whatever came is an answer, and what was planned is its text."""
    text, calls = "", list[CallResult]()
    async for event in events(url):
        match event.get("delta", {}).get("message"):
            case {"content": {"text": str(piece)}} | {"tool_plan": str(piece)}:
                text += piece
            case {"tool_calls": {"id": identifier, "function": {"name": name}}}:
                calls.append(CallResult(name, "", identifier))
            case {"tool_calls": {"function": {"arguments": piece}}}:
                calls[-1] = replace(calls[-1], arguments=calls[-1].arguments + piece)
            case _:
                pass
    return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))


async def of_ollama(url: str) -> ChatResult:
    """What such a loop makes of lines of Ollama's: whatever came is an answer."""
    text, calls = "", list[CallResult]()
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        response.raise_for_status()
        async for line in response.content:
            message: dict[str, Any] = json.loads(line).get("message") or {}
            text += message.get("content") or ""
            for call in message.get("tool_calls") or ():
                calls.append(CallResult(call["function"]["name"], json.dumps(call["function"]["arguments"]), None))
    return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))


async def of_bedrock(url: str) -> ChatResult:
    """What a loop over frames makes of them that verifies no checksum: whatever came is an answer."""
    text, calls = "", list[CallResult]()
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        response.raise_for_status()
        body = await response.read()
    while len(body) > 16:
        total, headers = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
        payload, body = json.loads(body[12 + headers : total - 4] or b"{}"), body[total or len(body) :]
        match payload:
            case {"start": {"toolUse": {"name": name, "toolUseId": identifier}}}:
                calls.append(CallResult(name, "", identifier))
            case {"delta": {"text": piece}}:
                text += piece
            case {"delta": {"toolUse": {"input": piece}}}:
                calls[-1] = replace(calls[-1], arguments=calls[-1].arguments + piece)
            case _:
                pass
    return ChatResult.of(text, reports=("text", "tool_calls"), tool_calls=tuple(calls))


async def failed(client: Any, dialect: ScriptDialect) -> set[str]:
    report = await run_conformance(client, cases=of(dialect), dialects=(dialect,))
    return {verdict.case.id for verdict in report.failures}


async def test_a_loop_over_anthropics_events_is_caught() -> None:
    wrong = await failed(of_anthropic, "anthropic")

    cuts = {case.id for case in of("anthropic") if case.quirk.id == "A10"} - {"A10-lost"}
    assert wrong >= cuts | {
        "A2-other",
        "A3-whole",
        "A5-none",
        "A6-search",
        "A6-mcp",
        "A11-first",
        "A11-within",
        "A12-chat",
    }
    # What such a loop does right.
    assert not wrong & {"A1-names", "A1-done", "A5-one", "A7-redacted", "A9-end_turn", "A9-no-stop", "A10-lost"}


async def test_a_loop_over_events_of_the_responses_api_is_caught() -> None:
    wrong = await failed(of_responses, "openai-responses")

    cuts = {case.id for case in of("openai-responses") if case.quirk.id == "O9"} - {"O9-lost"}
    assert wrong >= cuts | {"O3-end", "O3-item", "O5", "O6-code", "O10-flat", "O10-failed", "O11-chat"}
    assert not wrong & {"O1-text", "O2-ids", "O6-mcp", "O7-call", "O7-padding", "O9-lost"}


async def test_a_loop_over_events_of_gemini_is_caught() -> None:
    wrong = await failed(of_gemini, "gemini")

    cuts = {case.id for case in of("gemini") if case.quirk.id == "G6"} - {"G6-pieces"}
    assert wrong >= cuts | {"G2-each", "G2-code", "G3-none", "G3-pieces", "G4-text", "G7-first", "G7-bare", "G8-array"}
    assert not wrong & {
        "G1-whole",
        "G1-crlf",
        "G1-signature",
        "G3-one",
        "G3-ids",
        "G3-text",
        "G5-MAX_TOKENS",
        "G6-pieces",
    }


async def test_a_loop_over_events_of_cohere_is_caught() -> None:
    wrong = await failed(of_cohere, "cohere")

    cuts = {case.id for case in of("cohere") if case.quirk.id == "C7"} - {"C7-lost", "C7-last"}
    assert wrong >= cuts | {
        "C3-plan",
        "C4-none",
        "C4-mixed",
        "C8-error",
        "C8-word",
        "C8-message",
        "C9-chat",
        "C9-older",
    }
    assert not wrong & {"C1-whole", "C1-names", "C2-two", "C4-two", "C5-within", "C7-lost", "C8-malformed"}


async def test_a_loop_over_lines_of_ollama_is_caught() -> None:
    wrong = await failed(of_ollama, "ollama")

    cuts = {case.id for case in of("ollama") if case.quirk.id == "L5"} - {"L5-lost", "L5-line", "L5-last"}
    assert wrong >= cuts | {"L1-blank", "L6-first", "L6-within", "L6-400"}
    assert not wrong & {"L1-whole", "L1-bytes", "L2-one", "L2-ids", "L5-lost", "L6-malformed", "L7-chat"}


async def test_a_loop_over_frames_is_caught() -> None:
    wrong = await failed(of_bedrock, "bedrock-converse")

    cuts = {case.id for case in of("bedrock-converse") if case.quirk.id == "B8"} - {"B8-lost", "B8-frame"}
    assert wrong >= cuts | {"B2-end", "B4-none", "B5", "B9-first", "B9-within", "B9-error", "B10-chunk"}
    assert not wrong & {"B1-whole", "B1-bytes", "B4-one", "B6-text", "B7-none", "B8-lost"}


@pytest.mark.parametrize("dialect", OTHERS)
async def test_a_client_that_speaks_only_chat_completions_is_not_run(dialect: ScriptDialect) -> None:
    async def untouched(url: str) -> str:
        raise AssertionError(url)

    report = await run_conformance(untouched, cases=of(dialect))

    assert {verdict.outcome for verdict in report.verdicts} == {"not applicable"}
    assert {verdict.reason for verdict in report.verdicts} == {f"the client does not speak {dialect}"}


@pytest.mark.parametrize("dialect", OTHERS)
async def test_the_end_of_the_address_tells_the_dialect(dialect: ScriptDialect) -> None:
    urls: list[str] = []

    async def noting(url: str) -> str:
        urls.append(url)
        async for _ in events(url):
            pass
        return "It is late."

    first = {"A1-names", "O1-text", "G1-whole", "B1-whole", "C1-whole", "L1-whole"}
    case = next(case for case in of(dialect) if case.id in first)
    verdict = await run_case(noting, case, dialects=(dialect,))

    assert verdict.outcome == "pass"
    (url,) = urls
    assert url.endswith(PATHS[dialect])


def in_a_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / "yours_in_a_dialect.py").write_text("""
import aiohttp

async def answer(url):
    async with aiohttp.ClientSession() as session, session.post(url):
        return "It is late."
""")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return "yours_in_a_dialect:answer"


def test_the_command_knows_what_a_client_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = in_a_module(tmp_path, monkeypatch)

    def outcomes(*arguments: str) -> list[str]:
        main([name, "--case", "A1-names", "--case", "O1-text", "--json", *arguments])
        (report,) = json.loads(capsys.readouterr().out)
        return [case["outcome"] for case in report["cases"]]

    with pytest.raises(SystemExit, match="not about openai-chat; --dialect says what the client speaks"):
        outcomes()
    assert outcomes("--dialect", "anthropic") == ["pass"]
    assert outcomes("--dialect", "anthropic", "--dialect", "openai-responses") == ["pass", "pass"]


async def test_a_key_that_is_sent_along_is_caught() -> None:
    # aiohttp takes Authorization away, and no other header.
    (case,) = [case for case in of("anthropic") if case.id == "A13"]
    verdict = await run_case(of_anthropic, case, dialects=OTHERS)

    assert (verdict.outcome, verdict.reason) == ("fail", "its X-Api-Key header went to the other origin")
