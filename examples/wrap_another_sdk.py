"""The stream of another SDK as the source: same operators, same backpressure, closed when it is no longer wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import Delta, FinishReason, StreamChoice, StreamChunk
from rxllm import operators as ops

# What follows is the other SDK. They are all like this: objects of their own, ``async for``, and ``close()``.


@dataclass
class SdkEvent:
    """An event as the SDK has it."""

    type: Literal["text", "stop"]
    text: str = ""


class AsyncStream:
    """A stream as the SDK has it."""

    async def __aiter__(self) -> AsyncIterator[SdkEvent]:
        for word in ["Any", " stream", " is", " an", " observable,", " once", " it", " is", " wrapped."]:
            await asyncio.sleep(0.05)
            yield SdkEvent("text", word)
        yield SdkEvent("stop")

    async def close(self) -> None:
        """Close the connection, whatever is still to come."""
        print("(the SDK's connection is closed)")


class Sdk:
    """The SDK's client."""

    async def create(self, prompt: str) -> AsyncStream:
        """Send a request."""
        print(f"(the SDK asks: {prompt!r})")
        return AsyncStream()


# And this is all that it takes.


def to_chunk(event: SdkEvent) -> StreamChunk:
    """The chunk that an event of the SDK stands for."""
    delta = Delta(content=event.text or None)
    finish_reason = FinishReason.STOP if event.type == "stop" else None
    return StreamChunk(choices=[StreamChoice(delta=delta, finish_reason=finish_reason)])


def sdk_stream(prompt: str) -> Observable[StreamChunk]:
    """Ask through the SDK: once a subscription, so that ``retry`` and the like work."""
    return rxllm.from_async_iterable(lambda: Sdk().create(prompt)).pipe(rx_ops.map(to_chunk))


async def main() -> None:
    """Take one answer whole, and of another one three words."""
    answer = await sdk_stream("Whole").pipe(
        ops.timeout_per_chunk(10),
        ops.tee_to_display(),
        ops.accumulate(),
    )
    print(f"finish_reason={answer.choices[0].finish_reason}\n")

    await sdk_stream("Three words").pipe(ops.tee_to_display(), rx_ops.take(3))


if __name__ == "__main__":
    asyncio.run(main())
