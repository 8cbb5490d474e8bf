"""What comes from a real model, recorded and played again, comes to the same completion."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as rx

import rxllm
from rxllm import ChatCompletion, ChatRequest, LLMClient, Message, Role, StreamChunk
from rxllm import operators as ops
from rxllm.sources import WireRecorder
from rxllm.testing import ScriptedServer, WireRecording, replay, replay_reads, run_virtual

KEY = "sk-of-no-use-but-long-enough"
REQUEST = ChatRequest(
    model="gemma",
    messages=[Message(role=Role.USER, content="What is the capital of France?")],
    temperature=0.0,
    max_tokens=24,
)


async def record_answer(origin: str, path: Path) -> ChatCompletion:
    recorder = WireRecorder(path)
    async with LLMClient(base_url=f"{origin}/v1", api_key=KEY, record=recorder) as client:
        completion = await client.chat_stream(REQUEST).pipe(ops.timeout_per_chunk(30, first=60), ops.accumulate())
        await recorder.wait_closed()
    return completion


async def play(chunks: Observable[StreamChunk]) -> tuple[ChatCompletion, list[float]]:
    """The completion, and when its chunks came."""
    now = asyncio.get_running_loop().time
    times: list[float] = []
    completion = await chunks.pipe(
        rx.do_action(lambda _: times.append(now())), ops.timeout_per_chunk(30, first=60), ops.accumulate()
    )
    return completion, times


@pytest.fixture(scope="session")
def recorded(text_server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[WireRecording, ChatCompletion]:
    path = tmp_path_factory.mktemp("wire") / "answer.jsonl"
    completion = asyncio.run(record_answer(text_server, path))
    assert KEY not in path.read_text("utf-8")
    print(f"\n{path.stat().st_size} bytes for {completion.content!r}")  # noqa: T201 - pytest -s shows it
    return WireRecording.load(path), completion


def test_in_virtual_time_it_is_the_same_completion(recorded: tuple[WireRecording, ChatCompletion]) -> None:
    recording, completion = recorded

    again, times = run_virtual(play(replay(recording).pipe(ops.parse())))

    assert completion.complete
    assert again == completion
    assert len(recording.reads) > 5
    # Each chunk at the very time at which the read that completed it had come.
    assert set(times) <= {read.at for read in recording.reads}
    assert len(set(times)) > 5
    print(f"\n{len(times)} chunks from {times[0]} to {times[-1]} s")  # noqa: T201 - pytest -s shows it


def test_its_bytes_are_decoded_to_the_same_completion(recorded: tuple[WireRecording, ChatCompletion]) -> None:
    recording, completion = recorded

    again, _ = run_virtual(play(replay_reads(recording).pipe(ops.decode_sse(), ops.parse())))

    assert again == completion


def test_a_time_out_that_is_too_short_happens_again(recorded: tuple[WireRecording, ChatCompletion]) -> None:
    recording, completion = recorded
    times = [read.at for read in recording.reads]
    longest = max(after - before for before, after in itertools.pairwise(times))

    async def too_short() -> Any:
        return await replay(recording).pipe(
            ops.parse(), ops.timeout_per_chunk(longest * 0.9, first=60), ops.accumulate()
        )

    with pytest.raises(rxllm.ChunkTimeoutError) as caught:
        run_virtual(too_short())
    assert isinstance(caught.value.partial, ChatCompletion)
    assert completion.content.startswith(caught.value.partial.content)


async def test_over_a_port_it_is_the_same_completion(recorded: tuple[WireRecording, ChatCompletion]) -> None:
    recording, completion = recorded

    async with (
        ScriptedServer(recording.answer()) as server,
        LLMClient(base_url=server.base_url, api_key=KEY) as client,
    ):
        again, _ = await play(client.chat_stream(REQUEST))

    assert again.message.origin is not None
    assert again.message.origin.host == server.origin.removeprefix("http://")
    assert completion.message.origin is not None
    # Where it came from is another place.
    again.message.origin.host = completion.message.origin.host
    assert again == completion
