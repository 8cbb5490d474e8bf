"""Histograms, in virtual time: what a consumer takes is in none of the provider's times."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex

import rxllm
from rxllm import LLMClient, StreamInfo, Usage
from rxllm import operators as ops
from rxllm.exceptions import APIStatusError
from rxllm.flow import Emitter, task_source
from rxllm.models import marked
from rxllm.testing import Marbles, ScriptedServer, finish_chunk, script, text_chunk
from tests.telemetry.told import REQUEST, Told, facts, telling

TOKENS, DURATION = "gen_ai.client.token.usage", "gen_ai.client.operation.duration"
FIRST, CHUNK = "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"
USAGE = finish_chunk().model_copy(update={"usage": Usage(prompt_tokens=7, completion_tokens=5)})
LETTERS: dict[str, Any] = {"a": text_chunk("Hel"), "b": text_chunk("lo"), "c": USAGE}


def ran(source: str, told: Told, *, stream: StreamInfo | None = None, **how: Any) -> None:
    marbles = Marbles()
    letters = {name: marked(chunk, stream=stream) for name, chunk in LETTERS.items()}
    traced = marbles.cold(source, letters, error=ConnectionError("lost")).pipe(ops.trace(told.telemetry, model="m"))
    marbles.run(traced, **how)


def recorded(told: Told, name: str) -> tuple[int, float]:
    """How many values, and their sum."""
    (point,) = told.histogram(name)
    return point.count, round(point.sum, 6)


def test_times(told: Told) -> None:
    ran("--a-b---c--|", told)
    assert recorded(told, FIRST) == (1, 0.02)
    assert recorded(told, CHUNK) == (2, 0.06)
    assert recorded(told, DURATION) == (1, 0.11)
    assert facts(told.chat)["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.02)


def test_the_first_chunk_counts_from_the_request(told: Told) -> None:
    ran("----a-c|", told, stream=StreamInfo(requested_at=0.02))
    assert recorded(told, FIRST) == (1, 0.02)


def test_what_a_consumer_takes_is_apart(told: Told) -> None:
    ran("-a-b-|", told, pauses="--[------]")
    assert recorded(told, FIRST) == (1, 0.01)
    assert recorded(told, CHUNK) == (1, 0.01)
    assert recorded(told, DURATION) == (1, 0.09)
    assert facts(told.chat)["rxllm.paused"] == pytest.approx(0.07)


def test_a_consumer_that_stands_still_before_the_end(told: Told) -> None:
    ran("-a-b|", told, pauses="---[----]")
    assert facts(told.chat)["rxllm.paused"] == pytest.approx(0.05)


def test_tokens(told: Told) -> None:
    ran("-a-c-|", told)
    points = {dict(point.attributes or {})["gen_ai.token.type"]: point.sum for point in told.histogram(TOKENS)}
    assert points == {"input": 7, "output": 5}


def test_a_failure_is_told_by_its_type(told: Told) -> None:
    ran("-a-#", told)
    (point,) = told.histogram(DURATION)
    assert dict(point.attributes or {})["error.type"] == "ConnectionError"
    assert told.histogram(TOKENS) == []


def test_nothing_came(told: Told) -> None:
    ran("---|", told)
    assert recorded(told, DURATION) == (1, 0.03)
    assert told.histogram(FIRST) == told.histogram(CHUNK) == []


@pytest.mark.parametrize(("most", "count", "total"), [(16, 16, 0.16), (0, 0, 0), (3, 3, 0.03), (50, 39, 0.39)])
def test_of_a_long_answer_some_times_are_recorded(most: int, count: int, total: float) -> None:
    with telling(chunk_times=most) as told:
        ran("a" * 40 + "|", told)
        points = told.histogram(CHUNK)
        assert [(point.count, round(point.sum, 6)) for point in points] == ([(count, total)] if count else [])


def test_an_answer_that_begins_anew(told: Told) -> None:
    marbles = Marbles()
    letters = {"a": text_chunk("a"), "b": marked(text_chunk("b"), restarts=True, begins=True, stream=StreamInfo())}
    letters["a"] = marked(letters["a"], stream=StreamInfo())
    marbles.run(marbles.cold("-a---b-b|", letters).pipe(ops.trace(told.telemetry)))
    assert recorded(told, FIRST)[0] == 1
    assert recorded(told, DURATION) == (1, 0.08)


async def test_over_the_network(told: Told) -> None:
    answer = [script.text("Hel"), script.text("lo"), script.usage(7, 5), script.finish(), script.done()]
    async with ScriptedServer(answer, script.status(400, "no")) as server:
        client = LLMClient(base_url=server.base_url, telemetry=told.telemetry)
        await client.chat(REQUEST)
        with pytest.raises(APIStatusError):
            await client.chat(REQUEST)
    found = {dict(point.attributes or {}).get("error.type"): point.count for point in told.histogram(DURATION)}
    assert found == {None: 1, "400": 1}
    (point,) = told.histogram(CHUNK)
    assert point.count == 3
    names = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model"}
    assert set(point.attributes or {}) == names | {"gen_ai.response.model", "server.address", "server.port"}


def test_several_producers(told: Told) -> None:
    marbles = Marbles()
    one, two = marbles.cold("-a--a-|", LETTERS), marbles.cold("--b--b|", LETTERS)
    marbles.run(reactivex.merge(one, two).pipe(ops.trace(told.telemetry)))
    assert recorded(told, CHUNK)[0] == 3
    assert facts(told.chat)["rxllm.chunks"] == 4


def test_many_that_come_singly(told: Told) -> None:
    rxllm.run(reactivex.from_iterable([text_chunk("a")] * 200).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["rxllm.chunks"] == 200


def test_many_that_come_in_batches(told: Told) -> None:
    async def emit(emitter: Emitter[rxllm.StreamChunk]) -> None:
        await emitter.emit([text_chunk("a")] * 300)

    rxllm.run(task_source(emit).pipe(ops.trace(told.telemetry)))
    assert facts(told.chat)["rxllm.chunks"] == 300
    assert recorded(told, CHUNK)[0] == 4
