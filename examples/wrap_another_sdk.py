"""The stream of another SDK as the source: same operators, same backpressure, closed when it is no longer wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from _endpoint import endpoint
from _running import stoppable
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import Delta, FinishReason, StreamChoice, StreamChunk
from rxllm import operators as ops
from rxllm.harmless import printable

# This stands for the other SDK. They are all like that: objects of their own, ``async for``, and ``close()``.


@dataclass
class SdkEvent:
    """An event as the SDK has it."""

    type: Literal["text", "stop"]
    text: str = ""


class AsyncStream:
    """A stream as the SDK has it."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk

    async def __aiter__(self) -> AsyncIterator[SdkEvent]:
        for word in ["Any", " stream", " is", " an", " observable,", " once", " it", " is", " wrapped."]:
            await asyncio.sleep(0.05)
            yield SdkEvent("text", word)
        yield SdkEvent("stop")

    async def close(self) -> None:
        """Close the connection, whatever is still to come."""
        self._sdk.open_streams -= 1


class Sdk:
    """The SDK's client."""

    open_streams = 0

    async def create(self, prompt: str) -> AsyncStream:
        """Send a request."""
        del prompt  # it has but one answer
        self.open_streams += 1
        return AsyncStream(self)


# And this is all that it takes.


def to_chunk(event: SdkEvent) -> StreamChunk:
    """The chunk that an event of the SDK stands for."""
    delta = Delta(content=event.text or None)
    finish_reason = FinishReason.STOP if event.type == "stop" else None
    return StreamChunk(choices=[StreamChoice(delta=delta, finish_reason=finish_reason)])


def chat_stream(sdk: Sdk, prompt: str) -> Observable[StreamChunk]:
    """Ask through the SDK: with a function, once a subscription, so that ``retry`` and the like work."""
    return rxllm.from_async_iterable(lambda: sdk.create(prompt)).pipe(rx_ops.map(to_chunk))


async def main() -> None:
    """Take one answer whole, and leave another one after three words."""
    sdk = Sdk()
    chunks = chat_stream(sdk, "What is a stream?").pipe(ops.timeout_per_chunk(10))

    answer = await chunks.pipe(ops.tee_to_display(), ops.accumulate())
    print(f"finished: {answer.choices[0].finish_reason}; open streams of the SDK: {sdk.open_streams}\n")

    async with rxllm.iterate(chunks.pipe(ops.content(), rx_ops.take(3))) as words:
        async for word in words:
            print(printable(word), end="", flush=True)
    print(f" …\nleft early, open streams of the SDK: {sdk.open_streams}")


if __name__ == "__main__":
    with stoppable():
        endpoint(only="what its SDK sends is of no dialect")
        rxllm.run(main())
