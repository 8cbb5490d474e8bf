"""The steps of a script and the conveniences that make answers of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from rxllm.testing import script
from rxllm.testing.script import Answer, Chunk, Comment, Event, Raw, as_answer, as_step


class Model(BaseModel):
    id: str
    choices: list[str] = []


def deltas(steps: tuple[script.Step, ...]) -> list[dict[str, Any]]:
    return [choice["delta"] for step in steps if isinstance(step, Chunk) for choice in step.payload["choices"]]


@pytest.mark.parametrize(
    ("item", "step"),
    [
        ("Hel", script.text("Hel")),
        (b"data: 1\n", Raw(b"data: 1\n")),
        ({"id": "a"}, Chunk({"id": "a"})),
        (Model(id="a"), Chunk({"id": "a"})),
        (script.cut(), script.cut()),
    ],
)
def test_plain_things_are_steps(item: script.StepLike, step: script.Step) -> None:
    assert as_step(item) == step


def test_a_chunk_has_the_shape_of_a_chat_completion_chunk() -> None:
    assert script.text("Hel", choice=1).payload == {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": "scripted",
        "choices": [{"index": 1, "delta": {"content": "Hel"}, "finish_reason": None}],
    }


def test_steps_by_name_are_the_steps() -> None:
    event = asyncio.Event()
    assert script.chunk({"id": "a"}) == Chunk({"id": "a"})
    assert script.raw(b"x") == Raw(b"x")
    assert script.comment("hi") == Comment("hi")
    assert script.keep_alive() == Comment("OPENROUTER PROCESSING")
    assert script.delay(0.5) == script.Delay(0.5)
    assert script.wait_for(event) == script.WaitFor(event)
    assert script.notify(event) == script.Notify(event)
    assert script.stall() == script.Stall()
    assert script.reset() == script.Reset()
    assert script.close(1011, "tired") == script.Close(1011, "tired")
    assert deltas((script.reasoning("Hm"),)) == [{"reasoning_content": "Hm"}]


def test_an_answer_is_whole() -> None:
    steps = script.answer("Hel", "lo")
    assert deltas(steps) == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}]
    assert steps[-3:] == (script.finish("stop"), script.usage(completion_tokens=2), script.done())


def test_an_answer_with_a_tool_call_says_so() -> None:
    call = script.tool_call("add", {"a": 1, "b": 2}, id="call_7", piece_length=8)
    steps = script.answer(call, script.delay(0))
    fragments = [delta["tool_calls"][0] for delta in deltas(call)]
    assert fragments[0] == {
        "index": 0,
        "id": "call_7",
        "type": "function",
        "function": {"name": "add", "arguments": ""},
    }
    assert json.loads("".join(fragment["function"]["arguments"] for fragment in fragments)) == {"a": 1, "b": 2}
    assert [len(fragment["function"]["arguments"]) for fragment in fragments] == [0, 8, 8]
    assert script.finish("tool_calls") in steps


def test_an_answer_takes_mappings_that_are_any_chunk_and_an_ending_of_ones_own() -> None:
    steps = script.answer(
        {"choices": None}, {"choices": [{"delta": None}]}, finish_reason="length", completion_tokens=9
    )
    assert steps[-3:-1] == (script.finish("length"), script.usage(completion_tokens=9))


def test_arguments_that_are_text_go_out_as_they_are() -> None:
    (_, fragment) = script.tool_call("f", '{"a"')
    assert deltas((fragment,)) == [{"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}]


def test_an_error_is_an_object_in_the_stream() -> None:
    assert script.error("boom", type="overloaded", code=529) == Event(
        '{"error":{"message":"boom","type":"overloaded","code":529}}'
    )


@pytest.mark.parametrize("text", ["", "It is late.", "  two\n\nlines \t", "\n"])
def test_words_lose_nothing(text: str) -> None:
    assert "".join(script.words(text)) == text


def test_a_flood_is_numbered_and_can_be_sent_again() -> None:
    flood = script.flood(1000, size=100)
    first, second = list(flood), list(flood)
    texts = [json.loads(step.data)["choices"][0]["delta"]["content"] for step in first[:10] if isinstance(step, Event)]
    assert first == second
    assert [int(text[:10]) for text in texts] == list(range(10))
    assert {len(text) for text in texts} == {100}
    assert first[10:] == [script.finish(), script.done()]


def test_plain_things_are_answers() -> None:
    whole = Answer(("a",))
    assert as_answer(whole) is whole
    assert as_answer("It is").steps == script.answer("It", " is")
    assert as_answer(b"data: 1\n\n").steps == (Raw(b"data: 1\n\n"),)
    assert as_answer(["a", script.cut()]).steps == ["a", script.cut()]


def test_a_status_is_a_whole_answer() -> None:
    problem = script.status(429, {"error": "busy"}, headers={"retry-after": "3"})
    assert (problem.status, problem.content_type, problem.framing) == (429, "application/json", "length")
    assert problem.steps == (Raw(b'{"error":"busy"}'),)
    assert problem.headers == {"retry-after": "3"}
    page = script.status(502, "<html>", content_type="text/html")
    assert (page.steps, page.content_type) == ((Raw(b"<html>"),), "text/html")
    assert script.redirect("/v2", code=308).headers == {"location": "/v2"}


def test_a_write_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="one byte or more"):
        Answer(fragment=0)
