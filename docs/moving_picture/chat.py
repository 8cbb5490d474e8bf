"""The program in the picture: a question, a tool, an answer in Markdown, shown by ``tee_to_display()``."""

from __future__ import annotations

import asyncio
import sys

import rxllm
from rxllm import ChatRequest, LLMClient, Message, ToolRegistry
from rxllm import operators as ops
from rxllm.testing import Script, ScriptedServer, script

QUESTION = "Shall I cycle to work in Lyon today?"
FORECAST = "8:00 rain 9 °C | 12:00 clouds 14 °C | 18:00 sun 17 °C"
PAUSE = 0.035

THOUGHTS = (
    "Whether to cycle depends on the weather, and on the time of day. I do not know the weather of today, so I "
    "look it up first. Then I compare the hours of both ways: to the office in the morning, and back in the evening."
)
ANSWER = """\
**Yes, but leave after ten.** The rain is over by then, and the way home is sunny. \
Bike lanes along the *Rhône* dry quickly.

| hour  | weather |  °C | on a bike |
|:------|:--------|----:|:----------|
| 8:00  | rain    |   9 | wet       |
| 12:00 | clouds  |  14 | fine      |
| 18:00 | sun     |  17 | **lovely** |

1. Move the call of nine o'clock.
2. Take a light jacket:

```python
if sky.is_grey or hour < 10:
    bag.add("jacket")  # it weighs 300 g
```
"""


def _scripts(pause: float) -> list[Script]:
    call = script.tool_call("get_weather", {"city": "Lyon", "day": "today", "hours": [8, 12, 18]}, piece_length=5)
    thoughts = [script.reasoning(word) for word in script.words(THOUGHTS)]
    first = script.answer(script.delay(16 * pause), *thoughts, *call)
    return [first, script.answer(script.delay(8 * pause), *script.words(ANSWER))]


async def main(pause: float = PAUSE) -> None:
    """Ask, and show what comes.

    Args:
        pause: How many seconds lie between two pieces of the answer.
    """
    tools = ToolRegistry()

    @tools.tool
    async def get_weather(city: str, day: str, hours: list[int]) -> str:  # noqa: ARG001 - the model fills them
        """Look at the forecast."""
        await asyncio.sleep(25 * pause)
        return FORECAST

    print(f"you    {QUESTION}\n")
    request = ChatRequest(model="any", messages=[Message.user(QUESTION)])
    async with (
        ScriptedServer(*_scripts(pause), delay_per_chunk=pause) as server,
        LLMClient(base_url=server.base_url) as client,
    ):
        await client.chat_with_tools(request, tools).pipe(ops.tee_to_display())


if __name__ == "__main__":
    rxllm.run(main(*map(float, sys.argv[1:])))
