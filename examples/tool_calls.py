"""Two tool calls arrive at the same time and are watched, run when they are whole, and their results sent back."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Annotated, Literal

from _endpoint import Endpoint, endpoint
from _running import stoppable
from pydantic import Field
from reactivex import Observable

import rxllm
from rxllm import ChatCompleted, ChatRequest, Message, StreamChunk, ToolRegistry
from rxllm import operators as ops
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


def patient(chunks: Observable[StreamChunk]) -> Observable[StreamChunk]:
    """The chunks of each answer; silence of the server is an error."""
    return chunks.pipe(ops.timeout_per_chunk(10, first=60))


async def main(server: Endpoint) -> None:
    """Go on until the model wants no more tools."""
    print(f"you    {QUESTION}\n")
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], max_tokens=200)
    async with server.connect(calls(server), ANSWER, delay_per_chunk=0.05) as client:
        chat = client.chat_with_tools(request, TOOLS, through=patient)
        last = await chat.pipe(ops.tee_to_display(end=""))
    if isinstance(last, ChatCompleted):
        print(f"\n{1 + len(last.messages)} messages in all")


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
