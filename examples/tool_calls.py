"""Two tool calls arrive at the same time and are watched, run when finished, and their results sent back."""

from __future__ import annotations

import asyncio
import sys
from itertools import chain

from _endpoint import MODEL, connect
from reactivex import operators as rx_ops

from rxllm import ChatCompletion, ChatRequest, LLMClient, Message, Role, StreamAccumulator, StreamChunk, ToolCall
from rxllm import operators as ops
from rxllm.testing import script

QUESTION = "What is the weather in Paris and in Tokyo?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather now", "parameters": CITY}}
]
WEATHER = {"Paris": "18 degrees, rain", "Tokyo": "27 degrees, sun"}

# What the scripted server sends: two calls, their fragments in turn, and after the results an answer.
PARIS = script.tool_call("get_weather", {"city": "Paris", "unit": "celsius"}, id="call_paris", index=0)
TOKYO = script.tool_call("get_weather", {"city": "Tokyo", "unit": "celsius"}, id="call_tokyo", index=1)
CALLS = script.answer(*script.words("I look it up."), chain.from_iterable(zip(PARIS, TOKYO, strict=True)))
ANSWER = "In Paris it rains at 18 degrees. In Tokyo the sun shines at 27."


class ArgumentsView:
    """Shows the calls as far as they have come: in place on a terminal, else a line a change."""

    def __init__(self) -> None:
        self._accumulator = StreamAccumulator()
        self._shown: list[str] = []

    def update(self, chunk: StreamChunk) -> None:
        """Take a chunk and show what it changed."""
        self._accumulator.process_chunk(chunk)
        if chunk.choices and chunk.choices[0].delta.tool_calls:
            # A call that is not finished has another type than one that is: it can be shown, not run.
            unfinished = self._accumulator.snapshot().choices[0].incomplete_tool_calls
            self._show([f"  {call.id}: {call.name} {call.arguments!r}" for call in unfinished])

    def _show(self, lines: list[str]) -> None:
        if not self._shown:
            print()
        elif sys.stdout.isatty():
            print(f"\x1b[{len(self._shown)}F", end="")
            self._shown.clear()
        for line in lines:
            if line not in self._shown:
                print(line)
        self._shown = lines


async def run_tool(call: ToolCall) -> Message:
    """Run a call; its result as a message for the model."""
    city = call.function.parsed.get("city")
    print(f"  {call.id}: asking about {city!r}")
    await asyncio.sleep(0.3)  # the weather service thinks
    result = WEATHER.get(str(city), "15 degrees, clouds")
    print(f"  {call.id}: {result}")
    return Message(role=Role.TOOL, tool_call_id=call.id, content=result)


async def ask(client: LLMClient, messages: list[Message]) -> ChatCompletion:
    """Send the conversation, and show the text and the arguments of the answer as they come."""
    request = ChatRequest(model=MODEL, messages=[*messages], tools=TOOLS, max_tokens=200)
    return await client.chat_stream(request).pipe(
        ops.timeout_per_chunk(10, first=60),
        ops.tee_to_display(end=""),
        rx_ops.do_action(ArgumentsView().update),
        ops.accumulate(),
    )


async def main() -> None:
    """Go on until the model wants no more tools."""
    print(QUESTION)
    messages = [Message(role=Role.USER, content=QUESTION)]
    async with connect(CALLS, ANSWER, delay_per_chunk=0.05) as client:
        # A stream that breaks off raises, so what is in ``tool_calls`` has arrived whole.
        while calls := (answer := await ask(client, messages)).message.tool_calls:
            messages += [answer.message, *await asyncio.gather(*map(run_tool, calls))]
    print(f"\n{len(messages) + 1} messages in all")


if __name__ == "__main__":
    asyncio.run(main())
