"""Text appears as it arrives and is stored in SQLite. Then it is played again from there, as it came."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from _endpoint import Endpoint, endpoint

import rxllm
from rxllm import ChatRequest, Message
from rxllm import operators as ops
from rxllm.sinks import SQLiteSink

QUESTION = "Why is the sea salty? Two sentences."
ANSWER = (
    "Rain takes a little salt out of the rocks that it runs over, and rivers carry it down to the sea. "
    "There the water evaporates and the salt stays behind, so over millions of years it has gathered."
)


async def main(server: Endpoint) -> None:
    """Ask once, show, store; then play the recording."""
    path = Path(tempfile.mkdtemp(prefix="rxllm-")) / "chats.db"
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], max_tokens=200)

    print(f"{QUESTION}\n")
    async with server.connect(ANSWER) as client:
        answer = await client.chat_stream(request).pipe(
            ops.timeout_per_chunk(10, first=60),
            ops.tee_to_display(),
            ops.tee_to(SQLiteSink(path)),
            ops.accumulate(),
        )
    recording = rxllm.list_recordings(path)[-1]
    print(f"\n{recording.items} chunks are in {path}. From there, with their own timing:\n")

    replayed = await rxllm.from_recording(path, timing="recorded").pipe(ops.tee_to_display(), ops.accumulate())
    print(f"\nthe same completion: {replayed == answer}; {answer.usage}")


if __name__ == "__main__":
    asyncio.run(main(endpoint()))
