"""What the scripted server of ``browser_chat.py`` answers, where there is no model: it knows a few questions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from rxllm.testing import ReceivedRequest, script
from rxllm.testing.script import Answer, StepLike

TIDES = """\
The **moon** pulls at the water of the sea, and the earth turns below. So there are *two* bulges of water, and each \
coast passes through both of them in a little more than a day.

## What pulls, and how much

| body | pull on the sea | comes back after |
|:-----|---------------:|:----------------|
| moon | 1 | 24 h 50 min |
| sun | 0.46 | 24 h |

The numbers follow from mass and distance. Near things count for more:

1. The pull itself falls with the square of the distance.
2. The *difference* of the pull between both sides of the earth makes the tide, and that
   - falls with the cube of the distance,
   - so the sun, far away, does less than half of what the moon does.
3. When both stand in line the tide is highest.

```python
def pull(mass: float, distance: float) -> float:
    \"\"\"What a body does to the sea, compared with another one.\"\"\"
    return mass / distance**3

print(pull(1.99e30, 1.496e11) / pull(7.35e22, 3.844e8))  # 0.459
```

> Near the coast the shape of the sea bed decides: in the Bay of Fundy the water rises by 16 metres, in the Baltic by \
a few centimetres.

More of it is in [the article on tides](https://en.wikipedia.org/wiki/Tide). Ask for `spring tide` if you like.
"""

LOOP = """\
Read it with `async for`: each piece is there as soon as it has come.

```python
async with rxllm.LLMClient() as client:
    async for chunk in client.chat_stream(request):
        print(chunk.text, end="", flush=True)
```

A loop that reads slowly **slows down the server**, through the TCP window. Nothing grows.
"""

WEATHER = """\
| city | now |
|------|-----|
| Paris | 18 degrees, **rain** |
| Tokyo | 27 degrees, sun |
| Atlantis | nobody knows |

Take an umbrella to Paris. For Atlantis the weather service knows *no such place*, so I cannot say.
"""

OTHER = """\
I am a scripted server and know a few answers only. With `OPENAI_API_KEY` or `OPENAI_BASE_URL` in the environment a \
real model answers here.

Until then, ask me about the **tides**, the **weather**, or a **loop** that reads a stream. *Count to 200* takes a \
while, and *break off* fails in the middle.
"""

THOUGHTS = (
    "Two bulges, one towards the moon and one away from it. The earth turns through both. Sun: mass over cube of \
the distance, so less than half. A table, the reasons as a list, the formula as code."
)

Steps = tuple[StepLike, ...]


def tides(_: str) -> Steps:
    """Thoughts, then an answer with all that Markdown has."""
    return script.answer([script.reasoning(str(word)) for word in script.words(THOUGHTS)], script.words(TIDES))


def weather(_: str) -> Steps:
    """Three calls; one of them fails."""
    cities = ("Paris", "Tokyo", "Atlantis")
    calls = [
        script.tool_call("get_weather", {"city": city}, id=f"call_{city}", index=i) for i, city in enumerate(cities)
    ]
    return script.answer(script.words("I look it up."), chain.from_iterable(calls))


def count(_: str) -> Steps:
    """Numbered words."""
    return script.answer(script.words(" ".join(f"w{number}" for number in range(200))))


def break_off(_: str) -> Steps:
    """A beginning, and no end."""
    return (*script.answer(script.words("The ebb begins when the"))[:-3], script.cut())


ANSWERS: dict[str, Callable[[str], Steps]] = {
    "weather in": weather,
    # What the weather service says of Paris.
    "18 degrees, rain": lambda _: script.answer(script.words(WEATHER)),
    "tides": tides,
    "loop": lambda _: script.answer(script.words(LOOP)),
    "ount to 200": count,
    "reak off": break_off,
}


def answer_like_a_model(request: ReceivedRequest) -> Answer | Steps | str:
    """The answer to what stands last in the request, whichever dialect it is in."""
    body = request.body.decode()
    last = max(ANSWERS, key=body.rfind)
    return ANSWERS[last](body) if last in body else OTHER
