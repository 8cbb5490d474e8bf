"""One question to each kind of provider, side by side: the events differ, and one pipeline reads all of them.

The answers grow next to each other. A provider whose key is in the environment answers itself; the others are scripted.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from _endpoint import MODELS, Endpoint
from _running import introduce, stoppable
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatCompletion, ChatRequest, Message, MessagePart, RxllmError, StreamChunk
from rxllm import operators as ops
from rxllm.harmless import harmless
from rxllm.testing import Script, script
from rxllm.testing.script import ScriptDialect

QUESTION = "Shall I take an umbrella to Paris?"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

# What the scripted servers send, each in its own events.
ANSWER: Script = [
    script.role(),
    *[script.reasoning(word) for word in script.words("That depends on the rain.")],
    *script.words("Let me look at the weather first."),
    *script.tool_call("get_weather", {"city": "Paris"}, id="call_1"),
    script.finish("tool_calls"),
    script.usage(61, 34, cached_tokens=48, reasoning_tokens=6),
    script.done(),
]

LABEL = 11
# So many answers stand next to each other; more go below.
ABREAST = 3
GAP = "  "
BOLD, DIM, GREEN, RED, PLAIN = "1", "2", "32", "31", "0"


def pipeline(chunks: Observable[StreamChunk]) -> Observable[ChatCompletion]:
    """What reads every provider: the answer so far, again and again."""
    return chunks.pipe(ops.timeout_per_chunk(10, first=60), ops.accumulate_snapshots())


class Column:
    """What one provider has said so far."""

    def __init__(self, dialect: ScriptDialect) -> None:
        self.dialect: ScriptDialect = dialect
        self.answer = ChatCompletion()
        self.event = ""
        self.error = ""

    def look(self, chunk: StreamChunk) -> None:
        """Note what the provider calls an event with text."""
        if chunk.text:
            self.event = chunk.object or "" if chunk.event is None else kind_of(json.loads(chunk.event))

    def cells(self) -> Iterator[tuple[str, str]]:
        """What the rows are called, and what they say."""
        choice = self.answer.choices[0] if self.answer.choices else None
        message = choice.message if choice else Message()
        finish = str((choice and choice.finish_reason) or "")
        yield "reasoning", message.reasoning_text or ""
        yield "text", self.answer.content
        yield "call", "\n".join(f"{call.function.name}\n{call.function.arguments}" for call in message.tool_calls)
        yield "finish", finish
        yield "tokens", tokens_of(self.answer)
        yield "their event", self.event
        yield "their parts", "\n".join(map(name_of, message.parts)) or "(none)" * bool(finish)
        yield "their word", str(extra(choice).get("native_finish_reason") or finish)
        yield "error", self.error


def extra(model: object) -> Mapping[str, Any]:
    """What a provider says that has no place among OpenAI's fields."""
    return getattr(model, "model_extra", None) or {}


def tokens_of(answer: ChatCompletion) -> str:
    """What the answer cost: cached tokens are part of what went in, those of the reasoning of what came out."""
    usage = answer.usage
    if usage is None:
        return ""
    into: Mapping[str, int] = extra(usage).get("prompt_tokens_details", {})
    out: Mapping[str, int] = extra(usage).get("completion_tokens_details", {})
    cached, thought = into.get("cached_tokens", 0), out.get("reasoning_tokens", 0)
    return f"{usage.prompt_tokens} in ({cached} cached)\n{usage.completion_tokens} out ({thought} thought)"


def name_of(part: MessagePart) -> str:
    """What the provider calls a part of its answer."""
    return kind_of(part.block or {}) or str(part.kind)


def kind_of(said: Mapping[str, Any]) -> str:
    """What the provider calls an object: its type, or the name of its only member."""
    return str(said.get("type") or (next(iter(said)) if len(said) == 1 else "(no name)"))


class Table:
    """The answers side by side: drawn again and again on a terminal, once anywhere else."""

    def __init__(self, columns: list[Column]) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._is_coloured = self._is_terminal and not os.environ.get("NO_COLOR")
        width, self._rows = shutil.get_terminal_size()
        self._bands = [columns[first : first + ABREAST] for first in range(0, len(columns), ABREAST)]
        abreast = min(len(columns), ABREAST)
        self._width = max((min(width, 100) - LABEL) // abreast - len(GAP), 16)
        self._fits = LABEL + abreast * (self._width + len(GAP)) <= width
        self._drawn = 0

    def update(self) -> None:
        """Show what has come, if that can be drawn over later."""
        if self._is_terminal and self._fits:
            self.draw(rows=self._rows - 1)

    def draw(self, rows: int | None = None) -> None:
        """Show the table, unless it is higher than so many rows."""
        lines = [*self._lines()]
        if rows is not None and len(lines) > rows:
            return
        # Row by row: a terminal that is to clear all of its screen may keep what it clears in its scroll-back.
        above, erase, below = (f"\x1b[{self._drawn}F", "\x1b[K", "\x1b[J") if self._drawn else ("", "", "")
        print(above + "".join(f"{erase}{line.rstrip()}\n" for line in lines) + below, end="", flush=True)
        self._drawn = len(lines)

    def _lines(self) -> Iterator[str]:
        for number, columns in enumerate(self._bands):
            yield from [""] * bool(number)
            yield from self._band(columns)

    def _band(self, columns: list[Column]) -> Iterator[str]:
        yield self._line("", [column.dialect for column in columns], BOLD)
        yield self._line("", ["─" * self._width for _ in columns], DIM)
        for row in zip(*(column.cells() for column in columns), strict=True):
            label, texts = row[0][0], [self._wrapped(text) for _, text in row]
            for number in range(max(map(len, texts))):
                cells = [text[number] if number < len(text) else "" for text in texts]
                yield self._line(label if number == 0 else "", cells, self._style_of(label))

    def _line(self, label: str, cells: list[str], style: str) -> str:
        padded = [self._painted(f"{cell:<{self._width}}", style) for cell in cells]
        return self._painted(f"{label:<{LABEL}}", DIM) + GAP + GAP.join(padded)

    def _wrapped(self, text: str) -> list[str]:
        # What a model writes may hold anything that a terminal obeys.
        lines = (textwrap.wrap(harmless(line), self._width) for line in text.split("\n"))
        return [piece for pieces in lines for piece in pieces]

    def _style_of(self, label: str) -> str:
        return {"reasoning": DIM, "finish": GREEN, "error": RED}.get(label, PLAIN)

    def _painted(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._is_coloured and style != PLAIN else text


async def ask(column: Column, table: Table) -> None:
    """Ask one provider, and show its answer as it grows."""
    server = Endpoint(column.dialect)
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], tools=[TOOL], max_tokens=400)
    try:
        async with server.connect(ANSWER, delay_per_chunk=0.06) as client:
            async for answer in client.chat_stream(request).pipe(rx_ops.do_action(column.look), pipeline):
                column.answer = answer
                table.update()
    except RxllmError as error:
        column.error = str(error)


async def main() -> None:
    """Ask all of them at once."""
    columns = [Column(dialect) for dialect in MODELS]
    table = Table(columns)
    print(f"{QUESTION}\n")
    try:
        await asyncio.gather(*(ask(column, table) for column in columns))
    finally:
        table.draw()
    said = {(each.answer.content, str(each.answer.message.tool_calls[:1])) for each in columns if not each.error}
    print(f"\n{len(columns)} providers, one pipeline, {'the same answer' if len(said) == 1 else 'an answer'} from each")


if __name__ == "__main__":
    with stoppable():
        introduce()
        rxllm.run(main())
