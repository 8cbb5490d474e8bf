"""What the tests of tries share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import reactivex
from reactivex import Observable

from rxllm import StreamChunk
from rxllm.models import marked
from rxllm.testing import finish_chunk, text_chunk

BUSY = ConnectionError("busy")


def one_after_another(*sources: Observable[Any]) -> Observable[Any]:
    """An observable whose first subscriber gets the first source, and so on."""
    left = iter(sources)
    return reactivex.defer(lambda _: next(left))


def answer(*texts: str, ends: bool = True) -> list[StreamChunk]:
    """The chunks of an answer, as ``parse`` gives them."""
    chunks = [text_chunk(text) for text in texts]
    if ends:
        chunks.append(finish_chunk("stop"))
    return [marked(chunks[0], begins=True), *chunks[1:]]


def cut(chunks: Sequence[StreamChunk], error: Exception = BUSY) -> Observable[StreamChunk]:
    """Those chunks, and then an error."""
    return reactivex.concat(reactivex.from_iterable(chunks), reactivex.throw(error))


def no_jitter() -> float:
    return 1.0


async def error_behind(stream: Observable[Any]) -> Exception:
    """What a stream fails with if its consumer raises at the second chunk."""
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    taken: list[Any] = []

    def take(item: Any) -> None:
        taken.append(item)
        if len(taken) == 2:
            raise ConnectionError("of the consumer")

    stream.subscribe(take, failed.set_result)
    return await failed
