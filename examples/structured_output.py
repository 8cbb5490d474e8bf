"""An answer in JSON is read while it arrives: text as it grows, fields as they complete, all of it validated.

Then one that breaks its schema: that is known as soon as the value is complete, not at the end of the answer. The model
gets the schema, too, in the words of its provider.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import reactivex
from _endpoint import Endpoint, endpoint
from _running import Lines, stoppable
from pydantic import BaseModel, ConfigDict
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, JSONPathMatch, LLMClient, Message, StreamChunk, dialects
from rxllm import operators as ops
from rxllm.harmless import harmless, printable
from rxllm.testing import script

QUESTION = "How do I make pancakes? Answer in JSON."


class Step(BaseModel):
    """What to do."""

    model_config = ConfigDict(extra="forbid")

    text: str
    minutes: int


class Recipe(BaseModel):
    """How to make a dish."""

    model_config = ConfigDict(extra="forbid")

    title: str
    servings: int
    ingredients: list[str]
    steps: list[Step]


FORM = {"type": "json_schema", "json_schema": {"name": "recipe", "schema": Recipe.model_json_schema(), "strict": True}}

# What the scripted server sends.
RECIPE = """{
  "title": "Pancakes", "servings": 4, "ingredients": ["250 g flour", "500 ml milk", "3 eggs"],
  "steps": [
    {"text": "Whisk flour, milk and eggs, and let the batter rest.", "minutes": 30},
    {"text": "Fry thin pancakes in a hot pan, a ladle each.", "minutes": 20}
  ]
}"""
ANSWER = script.answer(*script.words(RECIPE))
BROKEN = script.answer(*script.words(RECIPE.replace('"servings": 4', '"servings": "a few"')))


def watch(chunks: Observable[StreamChunk]) -> Observable[JSONPathMatch | Recipe]:
    """Two readings of one answer, side by side: the text of the steps as it grows, and the recipe so far."""
    steps = ops.json_path("steps[*].text", of="content")
    return reactivex.merge(chunks.pipe(steps), chunks.pipe(ops.parse_structured(Recipe)))


def place_of_schema(server: Endpoint, request: ChatRequest) -> str:
    """Where the schema of the answer is in what is sent."""
    sent = dialects.get_dialect(server.dialect).http_request(request, dialects.Endpoint(base_url="http://localhost"))
    # One provider takes it as a text.
    schema = Recipe.model_json_schema()
    return next(path for path, value in fields_of(sent.body) if value in (schema, json.dumps(schema)))


def fields_of(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """All fields of a JSON object, and of the objects in it, with their paths."""
    for name, field in value.items():
        yield f"{path}{name}", field
        if isinstance(field, dict):
            yield from fields_of(cast("dict[str, Any]", field), f"{path}{name}.")


class View:
    """Shows what arrived: a line a field and element, the steps word by word."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, item: JSONPathMatch | Recipe) -> None:
        """Show a piece of a step, or the fields that are new or longer."""
        if isinstance(item, Recipe):
            # A field that has not arrived is not there yet; those that are have been validated.
            for name in sorted(item.model_fields_set - {"steps"}):
                # What a model writes may hold anything that a terminal obeys.
                value = getattr(item, name)
                told = ", ".join(cast("list[str]", value)) if isinstance(value, list) else value
                line = harmless(f"  {name}: {told}")
                if line not in self._shown:
                    self._shown.add(line)
                    print(line)
        elif item.complete:
            print()
        else:
            if str(item.path) not in self._shown:
                self._shown.add(str(item.path))
                print(f"  step {int(item.path[1]) + 1}: ", end="", flush=True)
            print(printable(item.delta), end="", flush=True)


async def ask(client: LLMClient, request: ChatRequest) -> Recipe | None:
    """Ask for a recipe and watch it arrive; ``None`` if what arrives is none."""
    arrived: list[StreamChunk] = []
    view = View()
    recipe: Recipe | None = None
    chunks = client.chat_stream(request).pipe(ops.timeout_per_chunk(10, first=60), rx_ops.do_action(arrived.append))
    try:
        async for item in chunks.pipe(rx_ops.publish(watch)):
            view.show(item)
            recipe = item if isinstance(item, Recipe) else recipe
    except rxllm.StructuredOutputError as error:
        Lines("  ").line(f"  chunk {len(arrived)} breaks the schema: {error}")
        return None
    return recipe


async def main(server: Endpoint) -> None:
    """Ask twice."""
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], response_format=FORM, max_tokens=400)
    print(f"{server.dialect} gets the schema as {place_of_schema(server, request)}")
    async with server.connect(ANSWER, BROKEN, delay_per_chunk=0.04) as client:
        for question in ("Pancakes, please.", "And once more."):
            print(f"\nyou    {question}")
            recipe = await ask(client, request)
            if recipe is not None:
                print(f"valid: {len(recipe.steps)} steps, {sum(step.minutes for step in recipe.steps)} minutes in all")


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
