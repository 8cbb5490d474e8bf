"""Text appears as it arrives and is stored in SQLite. Then it is played again from there, as it came."""

from __future__ import annotations

import tempfile
from pathlib import Path

from _endpoint import Endpoint, endpoint
from _running import stoppable

import rxllm
from rxllm import ChatCompletion, ChatRequest, Message, Timing
from rxllm import operators as ops
from rxllm.sinks import SQLiteSink

QUESTION = "Why is the sea salty? Two sentences."
ANSWER = (
    "Rain takes a little salt out of the rocks that it runs over, and rivers carry it down to the sea. "
    "There the water evaporates and the salt stays behind, so over millions of years it has gathered."
)


def how_fast(answer: ChatCompletion) -> str:
    """What was measured, as far as it is known."""
    timing = answer.timing or Timing()
    told = [f"{timing.chunks} chunks"]
    if timing.first_text is not None and timing.total is not None:
        told.append(f"the first text after {timing.first_text:.2f} s, all after {timing.total:.2f} s")
    if timing.tokens_per_second is not None:
        told.append(f"{timing.tokens_per_second:.0f} tokens/s")
    return ", ".join(told)


async def main(server: Endpoint) -> None:
    """Ask once, show, store; then play the recording."""
    path = Path(tempfile.mkdtemp(prefix="rxllm-")) / "chats.db"
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], max_tokens=200)

    print(f"you    {QUESTION}\n")
    async with server.connect(ANSWER) as client:
        answer = await client.chat_stream(request).pipe(
            ops.timeout_per_chunk(10, first=60),
            ops.tee_to_display(),
            ops.tee_to(SQLiteSink(path)),
            ops.accumulate(),
        )
    recording = rxllm.list_recordings(path)[-1]
    print(f"\n({how_fast(answer)})\n")
    print(f"{recording.items} chunks are in {path}.\nFrom there, with their own timing:\n")

    replayed = await rxllm.from_recording(path, timing="recorded").pipe(ops.tee_to_display(), ops.accumulate())
    print(f"\nthe same completion: {replayed == answer}")


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
