"""Scripts as Ollama's API sends them (https://docs.ollama.com/api/chat): lines of JSON.

A call is whole at once, so it is sent when all of it has come. One that is cut is never sent. Tokens of the cache and
of the reasoning are within the counts, which is all that is said of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from rxllm.testing.script._answers import NO_SCRIPT, Answer, Refusal
from rxllm.testing.script._named_steps import compact
from rxllm.testing.script._pieces import Failed, unsayable
from rxllm.testing.script._renderer import EventRenderer, Part
from rxllm.testing.script._steps import Burst, Comment, Event, Line, Raw, Step, StepLike

__all__ = ["OllamaRenderer"]

_EVENTS, _LINES = "text/event-stream", "application/x-ndjson"
_REASONS = {"tool_calls": "stop"}
_NANOSECONDS = 1_000_000

AnyStep = TypeVar("AnyStep")


class OllamaRenderer(EventRenderer):
    """Says the steps of a script as Ollama's API does."""

    name = "ollama"
    path = "/api/chat"
    base_path = ""
    request_id_header = "x-request-id"
    keep_alive = Raw(b"\n")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._calls = 0

    def rendered(self, answer: Answer) -> Answer:
        """The answer as lines of JSON."""
        rendered = super().rendered(answer)
        return replace(rendered, content_type=_LINES) if answer.content_type == _EVENTS else rendered

    def steps(self, steps: Iterable[StepLike]) -> Iterator[Step]:
        """The steps, with lines for events."""
        for step in super().steps(steps):
            yield Burst(tuple(map(self._as_line, step.steps))) if isinstance(step, Burst) else self._as_line(step)

    def _as_line(self, step: AnyStep) -> AnyStep | Line:
        if isinstance(step, Comment):
            raise unsayable(self.name, "a comment")
        return Line(step.data) if isinstance(step, Event) else step

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:  # noqa: ARG002 - it is a text alone
        """``{"error": …}``."""
        if refusal.type not in {None, NO_SCRIPT} or refusal.code is not None:
            raise unsayable(self.name, "type or code of an error")
        return {"error": refusal.message}

    def opened(self) -> Iterable[Event]:
        """Nothing says that an answer begins."""
        return ()

    def begun(self, part: Part) -> Iterable[Event]:
        """Nothing says that a part begins."""
        if part.kind == "refusal":
            raise unsayable(self.name, "a refusal's text")
        return ()

    def added(self, part: Part, text: str) -> Iterator[Event]:
        """A piece of a text."""
        if part.kind == "reasoning":
            yield self._message({"content": "", "thinking": text})
        elif part.kind == "text":
            yield self._message({"content": text})

    def ended(self, part: Part, *, cut: bool) -> Iterator[Event]:
        """A call, if that is what has ended."""
        if part.kind == "call" and not cut:
            arguments = json.loads(part.text or "{}")
            function = {"index": self._calls, "name": part.call.name, "arguments": arguments}
            self._calls += 1
            yield self._message({"content": "", "tool_calls": [{"id": part.call.id, "function": function}]})

    def block(self, index: int, block: dict[str, Any]) -> Iterator[Event]:  # noqa: ARG002 - nothing has a place
        """Fields of the message."""
        yield self._message({"content": "", **block})

    def finished(self, reason: str) -> Iterator[Event]:
        """The line that is ``done``. Words that chat completions do not have are taken as they are."""
        counts = self.counts
        yield self._message(
            {"content": ""},
            done=True,
            done_reason=_REASONS.get(reason, reason),
            total_duration=3 * _NANOSECONDS,
            load_duration=_NANOSECONDS,
            prompt_eval_count=counts.prompt,
            prompt_eval_duration=_NANOSECONDS,
            eval_count=counts.completion,
            eval_duration=_NANOSECONDS,
        )

    def done(self) -> Iterable[Event]:
        """Nothing says that a stream is over."""
        return ()

    def failed(self, failed: Failed) -> Iterator[Event]:
        """A line with ``error``, which is a text: the type of an error is not said."""
        if failed.code is not None:
            raise unsayable(self.name, f"the code {failed.code!r} of an error")
        yield Event(compact({"error": failed.message}))

    def _message(self, message: dict[str, Any], *, done: bool = False, **fields: Any) -> Event:
        created = f"2026-01-01T00:00:00.{self.number:09d}Z"
        head = {"model": "scripted", "created_at": created, "message": {"role": "assistant", **message}}
        return Event(compact({**head, "done": done, **fields}))
