"""Streams that servers really sent.

They stay where they are: the environment variable ``RXLLM_CORPUS`` names the folder. Two expectations there are not
ours. Of identifier, model and time the folder has what the first chunk says, even if that is a placeholder, and
here the first real value counts. And where a finished call has no arguments at all, here they are ``{}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import APIStreamError, RxllmError, ToolCallError, TruncatedStreamError
from rxllm.models import ChatCompletion, CompletionChoice, StreamChunk, ToolCall, ending_of
from rxllm.wire import SSEDecoder


def corpus() -> list[Any]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return [pytest.param({}, b"", marks=pytest.mark.skip(reason="RXLLM_CORPUS names no folder"))]
    cases: list[Any] = []
    for path in sorted(Path(folder).glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        if case["dialect"] == "openai-chat":
            cases.append(pytest.param(case, (path.parent / case["file"]).read_bytes(), id=path.stem))
    return cases


def decode(wire: bytes, size: int) -> tuple[list[StreamChunk], RxllmError | None, bool]:
    events = SSEDecoder()
    decoder = get_dialect("openai-chat").decoder()
    chunks: list[StreamChunk] = []
    try:
        for start in range(0, len(wire), size):
            for event in events.feed(wire[start : start + size]):
                chunks.extend(decoder.decode(event))
        decoder.close()
    except RxllmError as error:
        return chunks, error, decoder.done
    return chunks, None, decoder.done


def accumulate(chunks: list[StreamChunk], *, ended: bool) -> ChatCompletion:
    accumulator = StreamAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.completion(ended=True) if ended else accumulator.partial()


def described(choice: CompletionChoice) -> dict[str, Any]:
    """A choice in the words of the folder."""
    message = choice.message
    return {
        "index": choice.index,
        "content": message.text,
        "reasoning": message.reasoning_text or "",
        "refusal": message.refusal or "",
        "tool_calls": [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
        or [(call.id, call.name, call.arguments) for call in choice.incomplete_tool_calls if choice.finish_reason],
        "finish_reason": choice.finish_reason,
        "logprob_tokens": len((choice.logprobs or {}).get("content") or ()),
    }


def expected(choice: dict[str, Any]) -> dict[str, Any]:
    calls = [(call["id"], call["name"], call["arguments"] or "{}") for call in choice["tool_calls"]]
    return {"logprob_tokens": 0, **choice, "tool_calls": calls}


@pytest.mark.parametrize(("case", "wire"), corpus())
def test_stream(case: dict[str, Any], wire: bytes) -> None:
    chunks, error, done = decode(wire, len(wire))
    completion = accumulate(chunks, ended=error is None)
    want = case["expected"]
    assert [described(choice) for choice in completion.choices] == [expected(choice) for choice in want["choices"]]
    assert (completion.usage and completion.usage.model_dump(exclude_unset=True)) == want["usage"]
    for name, value in want["meta"].items():
        real = value or next((each for chunk in chunks if (each := chunk.model_dump().get(name))), value)
        assert completion.model_dump()[name] == ("chat.completion" if name == "object" else real)
    check_end(case, error, done=done)


def check_end(case: dict[str, Any], error: RxllmError | None, *, done: bool) -> None:
    want = case["expected"]
    # What follows an error is not looked at.
    assert done == (want["sse"]["done_sentinel"] and not isinstance(error, APIStreamError))
    if want["error"] is not None:
        assert isinstance(error, APIStreamError)
        assert {"message": str(error), "type": error.type, "code": error.code}.items() <= want["error"].items()
    elif not want["sse"]["done_sentinel"] and any(not choice["finish_reason"] for choice in want["choices"]):
        assert isinstance(error, TruncatedStreamError)
    else:
        assert error is None


@pytest.mark.parametrize(("case", "wire"), corpus())
def test_events_are_counted(case: dict[str, Any], wire: bytes) -> None:
    want = case["expected"]["sse"]
    events = SSEDecoder().feed(wire)
    assert len(events) == want["events"]
    assert any(event.data == "[DONE]" for event in events) == want["done_sentinel"]


def emit(accumulator: ToolCallAccumulator, chunks: list[StreamChunk]) -> Iterator[ToolCall]:
    for chunk in chunks:
        yield from accumulator.add(chunk)
    yield from accumulator.close()


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(("case", "wire"), corpus())
def test_stream_of_calls(case: dict[str, Any], wire: bytes, *, eager: bool) -> None:
    chunks, _, _ = decode(wire, 100)
    calls = [call for choice in case["expected"]["choices"] for call in choice["tool_calls"]]
    whole = [call for call in calls if call["arguments_json"] is not None]
    emitted: list[ToolCall] = []
    endings = {ending_of(choice["finish_reason"] or "") for choice in case["expected"]["choices"]}
    if calls and endings != {"completed"}:
        with pytest.raises(TruncatedStreamError, match="none of them is run"):
            list(emit(ToolCallAccumulator(), chunks))
        return
    # Eagerly the good calls come before the error about another one; otherwise none.
    whole = whole if eager or whole == calls else []
    with nullcontext() if whole == calls else pytest.raises(ToolCallError, match=r"no JSON object"):
        for call in emit(ToolCallAccumulator(eager=eager), chunks):
            emitted.append(call)  # noqa: PERF402  # what came before the error counts
    assert [(call.id, call.function.parsed) for call in emitted] == [
        (call["id"], call["arguments_json"]) for call in whole
    ]
