"""Usage that comes with an error of the server, or behind it: it is on what is left of the answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import reactivex

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import APIStreamError
from rxllm.sinks import SQLiteSink
from rxllm.sources import Timing
from rxllm.testing import ScriptedServer, replay, script

REQUEST = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "q"}])
COUNTS = {"prompt_tokens": 25, "completion_tokens": 4, "total_tokens": 29}
ERROR = {"message": "busy", "code": 503}
USAGE = script.raw(b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(COUNTS).encode())
FAILURE = script.raw(b'data: {"error":%b}\n\n' % json.dumps(ERROR).encode())


def event(fields: dict[str, Any], name: str = "") -> script.Step:
    named = f"event: {name}\n" if name else ""
    return script.raw(f"{named}data: {json.dumps(fields)}\n\n".encode())


async def failure(*steps: script.Step, fragment: int | None = None, **options: Any) -> APIStreamError:
    async with (
        asyncio.timeout(20),
        ScriptedServer([script.text("Hel"), *steps], fragment=fragment) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url, **options) as client,
    ):
        with pytest.raises(APIStreamError, match="busy") as caught:
            await client.chat_stream(REQUEST).pipe(ops.accumulate())
    return caught.value


@pytest.mark.parametrize(
    "steps",
    [
        [FAILURE, USAGE, script.done()],
        [FAILURE, USAGE],
        [FAILURE, script.delay(0.01), USAGE, script.done()],
        [FAILURE, USAGE, script.cut()],
        [FAILURE, USAGE, script.stall()],
        [FAILURE, USAGE, FAILURE],
        [FAILURE, USAGE, script.raw(b"data: {oops\n\n"), script.stall()],
        [FAILURE, script.raw(b": ping\n\n"), event({"choices": [{"delta": {"content": "x"}}], "usage": COUNTS})],
        [event({"error": ERROR, "usage": COUNTS})],
        [event({"error": {**ERROR, "usage": COUNTS}})],
        [event({**ERROR, "usage": COUNTS}, "error")],
        [event({"error": {**ERROR, "usage": COUNTS}}, "error"), script.stall()],
        [event({"choices": [{"delta": {}, "finish_reason": "error"}], "error": ERROR}), USAGE, script.done()],
    ],
    ids=repr,
)
@pytest.mark.parametrize("fragment", [None, 7])
async def test_it_is_on_what_is_left_of_the_answer(steps: list[script.Step], fragment: int | None) -> None:
    error = await failure(*steps, fragment=fragment)
    assert error.partial is not None
    assert error.partial.content == "Hel"
    assert error.partial.usage == rxllm.Usage(**COUNTS)
    assert (error.partial.ending, error.retryable) == ("failed", True)


@pytest.mark.parametrize("end", [[script.stall()], [script.cut()], [script.reset()], [script.done()], []])
async def test_without_any_the_error_comes_all_the_same(end: list[script.Step]) -> None:
    error = await failure(FAILURE, *end)
    assert error.partial is not None
    assert (error.partial.content, error.partial.usage) == ("Hel", None)


async def test_a_server_that_only_pings_is_not_waited_for() -> None:
    pings = [step for _ in range(1_000) for step in (script.comment("ping"), script.delay(0.02))]
    error = await failure(FAILURE, *pings)
    assert error.partial is not None


async def test_of_the_first_event_it_is_no_answer() -> None:
    async with (
        asyncio.timeout(20),
        ScriptedServer([FAILURE, USAGE, script.stall()]) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        with pytest.raises(APIStreamError, match="busy") as caught:
            await client.chat_stream(REQUEST).pipe(ops.accumulate())
    assert caught.value.partial is not None
    assert (caught.value.partial.choices, caught.value.partial.usage) == ([], rxllm.Usage(**COUNTS))


def frame(fields: dict[str, Any]) -> script.Raw:
    """A text frame of a server (RFC 6455, section 5.2)."""
    payload = json.dumps(fields).encode()
    assert len(payload) < 126
    return script.raw(bytes([0x81, len(payload)]) + payload)


@pytest.mark.parametrize("end", [[script.done()], [script.stall()], [script.close(None)], []])
async def test_over_a_websocket(end: list[script.Step]) -> None:
    steps = [script.text("Hel"), frame({"error": ERROR}), frame({"choices": [], "usage": COUNTS}), *end]
    async with asyncio.timeout(20), ScriptedServer(steps) as server:
        source = rxllm.from_websocket(server.ws_url, send=({},))
        with pytest.raises(APIStreamError, match="busy") as caught:
            await source.pipe(ops.parse(), ops.accumulate())
    assert caught.value.partial is not None
    assert caught.value.partial.usage == rxllm.Usage(**COUNTS)


async def test_a_consumer_that_leaves_while_it_is_waited_for() -> None:
    async with (
        asyncio.timeout(20),
        ScriptedServer([script.text("Hel"), FAILURE, script.stall()]) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        async for chunk in client.chat_stream(REQUEST):
            assert chunk.text == "Hel"
            break


@pytest.mark.parametrize("timing", ["none", "recorded"])
def test_a_recording_of_frames_has_it(tmp_path: Path, timing: Timing) -> None:
    path = tmp_path / "frames"
    frames = ['{"choices":[{"delta":{"content":"Hel"}}]}', json.dumps({"error": ERROR})]
    rxllm.run(reactivex.of(*frames, json.dumps({"choices": [], "usage": COUNTS})).pipe(ops.tee_to(SQLiteSink(path))))
    with pytest.raises(APIStreamError, match="busy") as caught:
        rxllm.run(rxllm.from_recording(path, timing=timing).pipe(ops.parse(), ops.accumulate()))
    assert caught.value.partial is not None
    assert caught.value.partial.usage == rxllm.Usage(**COUNTS)


@pytest.mark.parametrize("timing", ["none", "recorded"])
@pytest.mark.parametrize("end", [script.done(), script.close(None)])
async def test_a_recording_of_reads_has_it(end: script.Step, timing: Timing, tmp_path: Path) -> None:
    path = tmp_path / "reads.jsonl"
    assert (await failure(FAILURE, USAGE, end, record=path)).partial is not None
    # The error is there before the recording is closed.
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    with pytest.raises(APIStreamError, match="busy") as caught:
        await replay(path, timing=timing).pipe(ops.parse(), ops.accumulate())
    assert caught.value.partial is not None
    assert caught.value.partial.usage == rxllm.Usage(**COUNTS)
