"""Chunks of text that nobody has read: operators that want no more than the text, or none of it, leave them unread."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import reactivex
from pydantic import BaseModel
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import StreamChunk
from rxllm import operators as ops
from rxllm.models._unread import unread

TEXTS = ('{"na', 'me":"', "Ada ", "Love", 'lace"', "}")


# Whitespace, which changes neither the JSON nor, for a view that is stripped, the text.
LEARNT_FROM = (" ", "\n") * 10


class Person(BaseModel):
    name: str


def chunks(*texts: str, choice: int = 0) -> Observable[StreamChunk]:
    """Chunks as they come from a stream, behind some that tell what the others look like."""
    texts = (*LEARNT_FROM, *texts)
    return frames(*({"index": choice, "delta": {"content": text}, "finish_reason": None} for text in texts))


def frames(*choices: dict[str, Any]) -> Observable[StreamChunk]:
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    data = [json.dumps({**head, "choices": [choice]}) for choice in choices]
    return reactivex.from_iterable([*data, "[DONE]"]).pipe(ops.parse())


def unread_ones(source: Observable[StreamChunk]) -> list[bool]:
    """For each chunk, whether it comes unread."""
    found: list[bool] = []

    def look(chunk: StreamChunk) -> None:
        found.append(unread(chunk) is not None)

    rxllm.run(source.pipe(rx_ops.do_action(look)))
    return found


def test_there_are_such_chunks() -> None:
    assert unread_ones(chunks(*TEXTS))[-2:] == [True, True]


def test_reasoning_is_split_off_and_what_has_none_is_passed_on_as_it_is() -> None:
    texts = ("One", " two", " three", " <think>", "Hm", ".</think>", " four", " five")
    source = chunks(*texts).pipe(ops.split_reasoning())

    found = unread_ones(source)
    completion = rxllm.run(source.pipe(ops.accumulate()))

    assert found[len(LEARNT_FROM)]
    assert found[-1]
    assert completion.message.content == "".join(LEARNT_FROM) + "One two three  four five"
    assert completion.message.reasoning_text == "Hm."


@pytest.mark.parametrize(("choice", "shown"), [(0, "".join((*LEARNT_FROM, *TEXTS))), (1, "")])
def test_the_text_of_choice_0_is_shown(choice: int, shown: str) -> None:
    screen = io.StringIO()

    last = rxllm.run(chunks(*TEXTS, choice=choice).pipe(ops.tee_to_display(screen, end="")))

    assert screen.getvalue() == shown
    assert last.choices[0].delta.content == "}"


def test_a_model_is_read_from_the_text() -> None:
    assert rxllm.run(chunks(*TEXTS).pipe(ops.parse_structured(Person))) == Person(name="Ada Lovelace")


def test_text_before_a_call_is_no_progress_of_it() -> None:
    call = {"index": 0, "id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    texts = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in (*LEARNT_FROM, *TEXTS)]
    source = frames(*texts, {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"})

    progress = rxllm.run(source.pipe(ops.tool_call_progress(), rx_ops.to_list()))
    calls = rxllm.run(source.pipe(ops.accumulate_tool_calls(), rx_ops.to_list()))

    assert [each.name for each in progress] == ["now"]
    assert [each.function.arguments for each in calls] == ["{}"]
