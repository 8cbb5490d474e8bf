"""Three servers: one is dead, one breaks off in the middle, one is slow to begin. One answer comes, and none twice.

Each try is shown as it happens. What had been shown of the answer that broke off is dropped when another begins.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from _endpoint import Endpoint, endpoint
from _running import Lines, stoppable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, LLMClient, StreamChunk
from rxllm import operators as ops
from rxllm.harmless import printable
from rxllm.testing import Script, ScriptedServer, script

REQUEST = ChatRequest(model="any", messages=[{"role": "user", "content": "Why is the sky blue?"}])
ANSWER = "Air scatters blue light more than red light, so blue comes to us from all over the sky."
BREAKS_OFF = "Blue light is scattered"


@asynccontextmanager
async def three_servers(chosen: Endpoint) -> AsyncGenerator[list[LLMClient]]:
    """A client for each server."""
    dialect = chosen.dialect
    scripted = partial(ScriptedServer, dialect=dialect, delay_per_chunk=0.03 * chosen.takes_time)
    async with AsyncExitStack() as stack:
        cut: Script = [*script.words(BREAKS_OFF), script.cut()]
        slow: Script = [script.delay(0.8 * chosen.takes_time), *script.words(ANSWER), script.finish()]
        breaking = await stack.enter_async_context(scripted(cut, cut))
        late = await stack.enter_async_context(scripted(slow))
        async with scripted() as gone:
            dead = gone.base_url
        yield [
            await stack.enter_async_context(LLMClient(base_url=base_url, dialect=dialect, retries=0))
            for base_url in (dead, breaking.base_url, late.base_url)
        ]


class Screen:
    """Shows the answer as it grows, and anew when it begins anew."""

    def __init__(self) -> None:
        self._lines = Lines("   ")
        self._shown = ""

    def show(self, chunk: StreamChunk) -> None:
        """Show what a chunk says."""
        if chunk.restarts and self._shown:
            self._lines.line(f"   (dropped: {self._shown})")
            self._shown = ""
        if chunk.text:
            text = printable(chunk.text)
            self._lines.add(text if self._shown else f"   {text}")
            self._shown += text

    def tell(self, name: str, retry: rxllm.Retry) -> None:
        """Say that a server is tried once more."""
        error = type(retry.error).__name__
        self._lines.line(f"   {name}, try {retry.attempt}: {error}; again in {retry.seconds:.1f} s")


def tried_twice(told: Callable[[rxllm.Retry], object]) -> rxllm.OperatorFunction[StreamChunk, StreamChunk]:
    """Try a server twice, and say so."""
    return ops.retry_with_backoff(2, initial=0.2, jitter=lambda: 1.0, after_first="restart", on_retry=told)


async def main(server: Endpoint) -> None:
    """Ask one server after the other, each twice, the last two at most ten seconds in all."""
    screen = Screen()
    async with three_servers(server) as clients:
        streams = [
            client.chat_stream(REQUEST).pipe(tried_twice(partial(screen.tell, name)))
            for name, client in zip(("dead", "breaking", "slow"), clients, strict=True)
        ]
        answer = await rxllm.fallback(*streams, after_first="restart").pipe(
            rx_ops.do_action(screen.show),
            ops.deadline(10),
            ops.accumulate(),
        )
    print(f"\n\n{len(answer.attempts) + 1} tries:")
    for number, attempt in enumerate(answer.attempts, 1):
        print(f"{number}. {attempt.ending}: {type(attempt.error).__name__}")
    print(
        f"{len(answer.attempts) + 1}. {answer.ending}: the whole answer, and nothing twice: {answer.content == ANSWER}"
    )


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
