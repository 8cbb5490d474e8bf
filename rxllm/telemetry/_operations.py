"""The spans of operations: of one answer, and of a conversation with tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from opentelemetry.trace import SpanKind

from rxllm.accumulators import Stopwatch
from rxllm.dialects import provider_of
from rxllm.flow import Readings
from rxllm.models import RoundCompleted, StreamInfo, Usage, is_object
from rxllm.telemetry._asked import AskedFor
from rxllm.telemetry._facts import Facts
from rxllm.telemetry._messages import input_messages, output_messages, tool_definitions
from rxllm.telemetry._names import AttributeValue
from rxllm.telemetry._spans import Kit, Scope, error_type, safely, server_of, told_incompletely

Ending: TypeAlias = Literal["whole", "failed", "stopped", "left"]
"""How a stream ended, as an operator sees it."""

Values = dict[str, AttributeValue | None]


class AnswerSpan(Scope):
    """The span of one answer, with all tries.

    Args:
        kit: What it is made with.
        asked: What is known when it begins.
        readings: The clock of the subscription.
    """

    def __init__(self, kit: Kit, asked: AskedFor, readings: Readings) -> None:
        named = kit.naming.attributes(**asked.operation("chat"))
        name = "chat" if asked.asked_model is None else f"chat {asked.asked_model}"
        told = safely(_told_of_request, {}, asked, captures=kit.captures)
        super().__init__(kit, name, SpanKind.CLIENT, named | kit.naming.attributes(**told))
        # What the span and the histograms have in common.
        self._named = named
        self._asked = asked
        self._watch = Stopwatch(readings.began, unix=readings.unix)
        self._facts = Facts(self._watch, captures=kit.captures)

    def note(self, items: Sequence[object], now: float, paused: float, stream: StreamInfo | None) -> None:
        """Take note of items that came together.

        Args:
            items: The items.
            now: When they came.
            paused: How long their source had been paused by then.
            stream: What their source knows of its request.
        """
        self._watch.tick(len(items), now, paused)
        try:
            self._facts.add(items, stream)
        except Exception as error:  # noqa: BLE001 - as safely() has it, which costs a call more for each batch
            told_incompletely(self._facts.add, error)

    def end(self, ending: Ending, error: Exception | None, now: float, paused: float) -> None:
        """End the span, and record what was measured."""
        self._watch.tick(0, now, paused)
        safely(self._end, None, ending, error)

    def _end(self, ending: Ending, error: Exception | None) -> None:
        facts, kit = self._facts, self.kit
        found = kit.naming.attributes(**self._found(facts.stream or getattr(error, "stream", None)))
        cost, first = costs(facts.usage), self._watch.first_chunk
        values: Values = {
            **self._told_of_answer(),
            **cost,
            "time_to_first_chunk": first,
            "chunks": facts.chunks,
            "paused": self._watch.paused,
            "ending": self._word(ending),
        }
        if (said := facts.said()) is not None:
            values["output_messages"] = safely(output_messages, None, said)
        kit.end(self.span, found | kit.naming.attributes(**values), error)
        named = self._named | found | kit.naming.attributes(response_model=facts.head.get("model"))
        self._measure(named, cost, first, error)

    def _measure(
        self, named: dict[str, AttributeValue], cost: Values, first: float | None, error: Exception | None
    ) -> None:
        kit, record, watch = self.kit, self.kit.instruments.record, self._watch
        failed = named if error is None else named | kit.naming.attributes(error_type=error_type(error))
        for kind in ("input", "output"):
            if (count := _count(cost[f"{kind}_tokens"])) is not None:
                record("tokens", (count,), named | kit.naming.attributes(token_type=kind))
        record("duration", (watch.elapsed,), failed)
        record("first_chunk", (first,), named)
        record("chunk", watch.gaps(kit.most_gaps), named)

    def _word(self, ending: Ending) -> str:
        """How it ended; one that was left may have been whole by then."""
        if ending != "left":
            return ending
        return "left_finished" if self._facts.is_finished else "left_unfinished"

    def _found(self, stream: StreamInfo | None) -> Values:
        """Who answered, as far as only the answer has shown it."""
        found: Values = {}
        if self._asked.host is None:
            found["server_address"], found["server_port"] = server_of(stream)
        if self._asked.provider is None and stream is not None:
            found["provider"] = provider_of(stream.dialect, server_of(stream)[0])
        return found

    def _told_of_answer(self) -> Values:
        head, is_of_openai = self._facts.head, self._asked.is_of_openai
        return {
            "response_id": head.get("id"),
            "response_model": head.get("model"),
            "finish_reasons": self._facts.reasons,
            "response_service_tier": head.get("service_tier") if is_of_openai else None,
            "system_fingerprint": head.get("system_fingerprint") if is_of_openai else None,
        }


class ConversationSpan(Scope):
    """The span of a conversation in which tools are called; the answers and the tools are its children.

    Args:
        kit: What it is made with.
        asked: What is known when it begins.
    """

    def __init__(self, kit: Kit, asked: AskedFor) -> None:
        told = {**asked.operation("invoke_agent"), "conversation": asked.parameters()["conversation"]}
        super().__init__(kit, "invoke_agent", SpanKind.INTERNAL, kit.naming.attributes(**told))
        self._rounds = 0

    def note(self, items: Sequence[object], now: float, paused: float, stream: StreamInfo | None) -> None:
        """Take note of events."""
        del now, paused, stream
        self._rounds += sum(isinstance(item, RoundCompleted) for item in items)

    def end(self, ending: Ending, error: Exception | None, now: float, paused: float) -> None:
        """End the span."""
        del now, paused
        word = "left_unfinished" if ending == "left" else ending
        self.kit.end(self.span, self.kit.naming.attributes(ending=word, rounds=self._rounds), error)


def costs(usage: Usage | None) -> Values:
    """What an answer cost, by the keys of the table of names."""
    extra: Mapping[str, Any] = {} if usage is None else usage.model_extra or {}
    return {
        "input_tokens": None if usage is None else usage.prompt_tokens,
        "output_tokens": None if usage is None else usage.completion_tokens,
        "cache_read": _within(extra, "prompt_tokens_details", "cached_tokens"),
        "cache_written": _count(extra.get("cache_creation_input_tokens")),
        "reasoning_tokens": _within(extra, "completion_tokens_details", "reasoning_tokens"),
    }


def _within(extra: Mapping[str, Any], name: str, field: str) -> int | None:
    inner = extra.get(name)
    return _count(inner.get(field)) if is_object(inner) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _told_of_request(asked: AskedFor, *, captures: bool) -> Values:
    values = asked.parameters()
    request = asked.request
    if captures and request is not None:
        values["input_messages"] = input_messages(request.messages)
        values["tool_definitions"] = tool_definitions(request.tools) if request.tools else None
    return values
