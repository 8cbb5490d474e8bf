"""Two tool calls arrive at the same time and are watched, run when finished, and their results sent back."""

from __future__ import annotations

import asyncio
import sys
from itertools import chain
from typing import Annotated, Literal, cast

from _endpoint import Endpoint, endpoint
from _running import stoppable
from pydantic import Field
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import (
    ChatCompleted,
    ChatEvent,
    ChatRequest,
    Message,
    StreamChunk,
    TextDelta,
    ToolCallEvent,
    ToolRegistry,
    ToolResultEvent,
)
from rxllm import operators as ops
from rxllm.accumulators import ToolCallProgressAccumulator
from rxllm.harmless import harmless, printable
from rxllm.testing import Script, script

QUESTION = "What is the weather in Paris and in Tokyo?"
WEATHER = {"Paris": "18 degrees, rain", "Tokyo": "27 degrees, sun"}
TOOLS = ToolRegistry()

# What the scripted server sends: two calls, and after the results an answer.
PARIS = script.tool_call("get_weather", {"city": "Paris", "unit": "celsius"}, id="call_paris", index=0)
TOKYO = script.tool_call("get_weather", {"city": "Tokyo", "unit": "celsius"}, id="call_tokyo", index=1)
ANSWER = script.answer(*script.words("In Paris it rains at 18 degrees. In Tokyo the sun shines at 27."))


@TOOLS.tool
async def get_weather(
    city: Annotated[str, Field(description="The name of the city")], unit: Literal["celsius", "fahrenheit"] = "celsius"
) -> str:
    """The weather now."""
    await asyncio.sleep(0.3)  # the weather service thinks
    return WEATHER.get(city, f"15 degrees {unit}, clouds")


def calls(server: Endpoint) -> Script:
    """Both calls: their fragments in turn where servers do that, else one call behind the other."""
    in_turn = [*chain.from_iterable(zip(PARIS, TOKYO, strict=True))]
    return script.answer(*script.words("I look it up."), in_turn if server.dialect == "openai-chat" else PARIS + TOKYO)


def told(arguments: object) -> str:
    """The arguments so far: none, some of them, or all."""
    found = cast("dict[str, object]", arguments) if isinstance(arguments, dict) else {}
    return ", ".join(f"{name}: {value}" for name, value in found.items())


class ArgumentsView:
    """Shows the calls as far as they have come: in place on a terminal, else a line a change."""

    def __init__(self) -> None:
        self._calls = ToolCallProgressAccumulator()
        self._lines: dict[int, str] = {}

    def update(self, chunk: StreamChunk) -> None:
        """Take a chunk and show what it changed."""
        for call in self._calls.add(chunk):
            # Nothing that could be run: a call is a ToolCall when its answer is whole, and not before.
            self._show(call.index, harmless(f"  {call.id}: {call.name}({told(call.arguments)})"))

    def _show(self, index: int, line: str) -> None:
        if self._lines.get(index) == line:
            return
        if not self._lines:
            print()
        elif sys.stdout.isatty():
            print(f"\x1b[{len(self._lines)}F", end="")
        self._lines[index] = line
        for shown in self._lines.values() if sys.stdout.isatty() else [line]:
            print(f"{shown}\x1b[K" if sys.stdout.isatty() else shown)


def watched(chunks: Observable[StreamChunk]) -> Observable[StreamChunk]:
    """The chunks of one answer, and a view of the calls in it."""
    return chunks.pipe(ops.timeout_per_chunk(10, first=60), rx_ops.do_action(ArgumentsView().update))


def show(event: ChatEvent) -> None:
    """Show what happens in the conversation."""
    match event:
        case TextDelta():
            # What a model writes may hold anything that a terminal obeys.
            print(printable(event.text), end="", flush=True)
        case ToolCallEvent():
            print(harmless(f"  {event.call.id}: asking about {event.call.function.parsed.get('city')}"))
        case ToolResultEvent():
            print(harmless(f"  {event.result.call.id}: {event.result.content}"))
        case ChatCompleted():
            print(f"\n{1 + len(event.messages)} messages in all")
        case _:
            pass


async def main(server: Endpoint) -> None:
    """Go on until the model wants no more tools."""
    print(f"you    {QUESTION}\n")
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], max_tokens=200)
    async with server.connect(calls(server), ANSWER, delay_per_chunk=0.05) as client:
        async for event in client.chat_with_tools(request, TOOLS, through=watched):
            show(event)


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
