"""What ``parse`` says of the chunks of an answer: which request they are of, where it begins, what was put right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import StreamChunk, StreamInfo
from rxllm import operators as ops
from rxllm.dialects import OpenAIChat, WireItem
from rxllm.dialects.openai_chat._openai_chat_decoder import OpenAIChatDecoder
from rxllm.models import Repair, marked
from rxllm.operators import map_error
from rxllm.testing import Marbles, assert_marbles


def event(content: object, **fields: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": content}}], **fields})


def parsed(*events: WireItem, dialect: OpenAIChat | str = "openai-chat") -> list[StreamChunk]:
    return list(rxllm.run(reactivex.of(*events, "[DONE]").pipe(ops.parse(dialect), rx_ops.to_list())))


def test_the_first_chunk_begins_and_all_are_of_one_stream() -> None:
    chunks = parsed(event("a", model=None), event("b", model="m-1"), event("c"))

    assert [chunk.begins for chunk in chunks] == [True, False, False]
    assert not any(chunk.restarts for chunk in chunks)
    [stream] = {id(chunk.stream): chunk.stream for chunk in chunks}.values()
    assert stream is not None
    assert (stream.dialect, stream.model, stream.host, stream.attempt) == ("openai-chat", "m-1", None, 1)


def test_the_model_is_that_of_the_first_chunk_that_names_one() -> None:
    for models in (["m-1", "m-2"], [None, "m-1", "m-2"], ["", "m-1"]):
        [first, *_] = parsed(*(event("a", model=model) for model in models))
        assert first.stream is not None
        assert first.stream.model == "m-1"


def test_each_subscription_is_an_answer_of_its_own() -> None:
    answer = reactivex.of(event("a"), "[DONE]").pipe(ops.parse())
    first, second = rxllm.run(answer), rxllm.run(answer)

    assert first.begins
    assert second.begins
    assert first.stream is not second.stream


class Marking(OpenAIChatDecoder):
    """A dialect that knows something of its chunks by itself, as of an answer that a server begins anew."""

    def decode(self, event: WireItem) -> Iterator[StreamChunk]:
        for chunk in super().decode(event):
            match chunk.text:
                case "own":
                    yield marked(chunk, stream=StreamInfo(host="elsewhere"))
                case "anew":
                    yield marked(chunk, restarts=True)
                case _:
                    yield chunk


class MarkingDialect(OpenAIChat):
    def decoder(self) -> Marking:
        return Marking(self)


def test_what_a_dialect_says_of_a_chunk_by_itself_is_kept() -> None:
    chunks = parsed(event("a"), event("own"), event("anew"), event("b"), dialect=MarkingDialect())
    [first, own, anew, last] = chunks

    assert first.stream is anew.stream is last.stream
    assert own.stream is not None
    assert own.stream.host == "elsewhere"
    assert [chunk.restarts for chunk in chunks] == [False, False, True, False]
    assert [chunk.begins for chunk in chunks] == [True, False, False, False]


def test_the_first_chunk_begins_whatever_its_dialect_says_of_it() -> None:
    [first, *_] = parsed(event("own"), event("a"), dialect=MarkingDialect())
    assert first.begins
    assert first.stream is not None
    assert first.stream.host == "elsewhere"


def test_what_was_put_right_is_on_its_chunk_and_in_the_completion() -> None:
    frames = event("a"), event([{"type": "text", "text": "b"}]), event(5)
    chunks = parsed(*frames)
    completion = rxllm.run(reactivex.of(*frames, "[DONE]").pipe(ops.parse(), ops.accumulate()))

    assert [[repair.kind for repair in chunk.repairs] for chunk in chunks] == [[], ["parts-joined"], ["type-converted"]]
    assert [chunk.text for chunk in chunks] == ["a", "b", "5"]
    assert [(repair.kind, repair.position) for repair in completion.repairs] == [
        ("parts-joined", 1),
        ("type-converted", 2),
        ("finish-reason-missing", 2),
    ]
    assert completion.repairs[1] == Repair("type-converted", 2, 5, "5")


def test_a_strict_fold_takes_what_is_of_the_form_of_what_was_sent() -> None:
    finish = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    answer = reactivex.of(event([{"text": "b"}]), finish, "[DONE]").pipe(ops.parse(), ops.accumulate(strict=True))
    assert rxllm.run(answer).content == "b"


# Errors that are replaced


def worded(error: Exception) -> Exception:
    return LookupError(f"{error}!")


def refuse(error: Exception) -> Exception:
    raise KeyError(str(error)) from error


@pytest.mark.parametrize(("mapper", "expected"), [(worded, LookupError("late!")), (refuse, KeyError("late"))])
def test_an_error_is_replaced_behind_the_items(
    marbles: Marbles, mapper: Callable[[Exception], Exception], expected: Exception
) -> None:
    source = marbles.cold("-a-b-#", a=1, b=2, error=ValueError("late"))
    assert_marbles(marbles.run(source.pipe(map_error(mapper))), "-a-b-#", a=1, b=2, error=expected)


def test_without_an_error_all_passes(marbles: Marbles) -> None:
    source = marbles.cold("-a-b-|", a=1, b=2)
    assert_marbles(marbles.run(source.pipe(map_error(worded))), "-a-b-|", a=1, b=2)
