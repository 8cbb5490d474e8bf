"""The spans of operations: of one answer, and of a conversation with tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from opentelemetry.trace import SpanKind

from rxllm.accumulators import Stopwatch
from rxllm.dialects import openai_api_of, provider_of
from rxllm.exceptions import stream_of
from rxllm.flow import Readings
from rxllm.models import ChatRequest, RoundCompleted, StreamInfo, Usage, is_object
from rxllm.telemetry._asked import OF_OPENAI, AskedFor
from rxllm.telemetry._facts import Facts
from rxllm.telemetry._messages import input_messages, output_messages, tool_definitions
from rxllm.telemetry._names import AttributeValue
from rxllm.telemetry._spans import Attributes, Kit, Scope, error_type, safely, server_of, told_incompletely

Ending: TypeAlias = Literal["whole", "failed", "stopped", "left"]
"""How a stream ended, as an operator sees it."""

# What an attribute can hold.
_MOST_TOKENS = 2**63

Values = dict[str, AttributeValue | None]
Costs = dict[str, int | None]


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
        parameters = kit.naming.attributes(**safely(asked.parameters, {}))
        super().__init__(kit, name, SpanKind.CLIENT, named | parameters)
        # Of an answer that is not sampled nobody would read it.
        captures = kit.captures and safely(self.span.is_recording, None) is True
        if captures:
            safely(self._tell_request, None, asked.request)
        # What the span and the histograms have in common.
        self._named = named
        self._asked = asked
        self._watch = Stopwatch(readings.began, unix=readings.unix)
        self._facts = Facts(self._watch, captures=captures)

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
        # Whatever cannot be told: the span ends.
        stream = self._facts.stream or stream_of(error)
        found = safely(self._found, {}, stream)
        cost = safely(costs, {}, self._facts.usage)
        self.kit.end(self.span, safely(self._told, {}, found, cost, stream, ending), error)
        safely(self._measure, None, found, cost, error)

    def _tell_request(self, request: ChatRequest | None) -> None:
        if request is not None:
            definitions = tool_definitions(request.tools) if request.tools else None
            messages = input_messages(request.messages)
            named = self.kit.naming.attributes(input_messages=messages, tool_definitions=definitions)
            self.span.set_attributes(named)

    def _told(self, found: Values, cost: Costs, stream: StreamInfo | None, ending: Ending) -> Attributes:
        provider = found.get("provider", self._asked.provider)
        values: Values = {
            **found,
            **self._told_of_answer(),
            **(self._told_by_openai(stream) if provider in OF_OPENAI else {}),
            **cost,
            "time_to_first_chunk": self._watch.first_chunk,
            "chunks": self._facts.chunks,
            "paused": self._watch.paused,
            "ending": self._word(ending),
            "output_messages": safely(self._said, None),
        }
        return self.kit.naming.attributes(**values)

    def _said(self) -> str | None:
        said = self._facts.said()
        return None if said is None else output_messages(said)

    def _measure(self, found: Values, cost: Costs, error: Exception | None) -> None:
        naming, record, watch = self.kit.naming, self.kit.instruments.record, self._watch
        named = self._named | naming.attributes(**found, response_model=self._facts.head.get("model"))
        failed = named if error is None else named | naming.attributes(error_type=error_type(error))
        for kind in ("input", "output"):
            if (count := cost.get(f"{kind}_tokens")) is not None:
                record("tokens", (count,), named | naming.attributes(token_type=kind))
        record("duration", (watch.elapsed,), failed)
        record("first_chunk", (watch.first_chunk,), named)
        record("chunk", watch.gaps(self.kit.most_gaps), named)

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
        head = self._facts.head
        return {
            "response_id": head.get("id"),
            "response_model": head.get("model"),
            "finish_reasons": self._facts.reasons,
        }

    def _told_by_openai(self, stream: StreamInfo | None) -> Values:
        head = self._facts.head
        return {
            "api_type": None if stream is None else openai_api_of(stream.dialect),
            "response_service_tier": head.get("service_tier"),
            "system_fingerprint": head.get("system_fingerprint"),
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


def costs(usage: Usage | None) -> Costs:
    """What an answer cost, by the keys of the table of names."""
    extra: Mapping[str, Any] = {} if usage is None else usage.model_extra or {}
    return {
        "input_tokens": None if usage is None else _count(usage.prompt_tokens),
        "output_tokens": None if usage is None else _count(usage.completion_tokens),
        "cache_read": _within(extra, "prompt_tokens_details", "cached_tokens"),
        "cache_written": _count(extra.get("cache_creation_input_tokens")),
        "reasoning_tokens": _within(extra, "completion_tokens_details", "reasoning_tokens"),
    }


def _within(extra: Mapping[str, Any], name: str, field: str) -> int | None:
    inner = extra.get(name)
    return _count(inner.get(field)) if is_object(inner) else None


def _count(value: object) -> int | None:
    """A number of tokens, of those that an exporter can write."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS:
        return value
    return None
