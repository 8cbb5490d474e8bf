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
from rxllm.telemetry._spans import Attributes, Kit, Scope, error_type, safely, server_of

Ending: TypeAlias = Literal["whole", "failed", "stopped", "left"]
"""How a stream ended, as an operator sees it."""

# What an attribute can hold.
_MOST_TOKENS = 2**63

Values = dict[str, AttributeValue | None]


class AnswerSpan(Scope):
    """The span of one answer, with all tries.

    Args:
        kit: What it is made with.
        asked: What is known when it begins.
        readings: The clock of the subscription.
    """

    def __init__(self, kit: Kit, asked: AskedFor, readings: Readings) -> None:
        operation = asked.operation("chat")
        name = " ".join(filter(None, ("chat", asked.asked_model)))
        super().__init__(kit, name, SpanKind.CLIENT, kit.naming.attributes(**operation, **safely(asked.parameters, {})))
        # Of an answer that is not sampled nobody would read it.
        captures = kit.captures and safely(self.span.is_recording, None) is True
        if captures:
            safely(self._tell_request, None, asked.request)
        self._asked = asked
        self._watch = Stopwatch(readings.began, unix=readings.unix)
        self._facts = Facts(self._watch, captures=captures)
        self._is_over = False

    def note(self, items: Sequence[object], now: float, paused: float, stream: StreamInfo | None) -> None:
        """Take note of items that came together.

        Args:
            items: The items.
            now: When they came.
            paused: How long their source had been paused by then.
            stream: What their source knows of its request.
        """
        self._watch.tick(len(items), now, paused)
        safely(self._facts.add, None, items, stream)

    def end(self, ending: Ending, error: Exception | None, now: float, paused: float) -> None:
        """End the span, once, and record what was measured."""
        if not self._is_over:
            self._is_over = True
            self._watch.tick(0, now, paused)
            # Whatever cannot be told: the span ends.
            attributes = safely(self._told, {}, ending, error)
            self.kit.end(self.span, attributes, error)
            safely(self._measure, None, error)

    def _tell_request(self, request: ChatRequest | None) -> None:
        if request is not None:
            definitions = tool_definitions(request.tools) if request.tools else None
            messages = input_messages(request.messages)
            named = self.kit.naming.attributes(input_messages=messages, tool_definitions=definitions)
            self.span.set_attributes(named)

    def _told(self, ending: Ending, error: Exception | None) -> Attributes:
        facts, timing = self._facts, self._watch.timing(gaps=False)
        stream = facts.stream or stream_of(error)
        known = self._known(stream)
        values: Values = {
            **known,
            **self._told_of_answer(),
            **(self._told_by_openai(stream) if known["provider"] in OF_OPENAI else {}),
            **costs(facts.usage),
            "time_to_first_chunk": timing.first_chunk,
            "chunks": facts.chunks,
            "paused": timing.paused,
            "ending": self._word(ending),
            "output_messages": safely(self._said, None),
        }
        return self.kit.naming.attributes(**values)

    def _said(self) -> str | None:
        said = self._facts.said()
        return None if said is None else output_messages(said)

    def _word(self, ending: Ending) -> str:
        """How it ended; one that was left may have been whole by then."""
        if ending != "left":
            return ending
        return "left_finished" if self._facts.is_finished else "left_unfinished"

    def _known(self, stream: StreamInfo | None) -> Values:
        """What spans and histograms have in common, with what the answer has shown."""
        operation = self._asked.operation("chat")
        if operation["server_address"] is None:
            operation["server_address"], operation["server_port"] = server_of(stream)
        if operation["provider"] is None and stream is not None:
            operation["provider"] = provider_of(stream.dialect, server_of(stream)[0])
        return operation

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

    def _measure(self, error: Exception | None) -> None:
        naming, record = self.kit.naming, self.kit.instruments.record
        facts, timing = self._facts, self._watch.timing(gaps=False)
        failure = None if error is None else error_type(error)
        known = self._known(facts.stream or stream_of(error))
        named = naming.attributes(**known, response_model=facts.head.get("model"))
        cost = costs(facts.usage)
        for kind in ("input", "output"):
            record("tokens", (cost[f"{kind}_tokens"],), named | naming.attributes(token_type=kind))
        record("duration", (timing.elapsed,), named | naming.attributes(error_type=failure))
        record("first_chunk", (timing.first_chunk,), named)
        record("chunk", self._watch.gaps(self.kit.most_gaps), named)


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
        self._is_over = False

    def note(self, items: Sequence[object], now: float, paused: float, stream: StreamInfo | None) -> None:
        """Take note of events."""
        del now, paused, stream
        self._rounds += sum(isinstance(item, RoundCompleted) for item in items)

    def end(self, ending: Ending, error: Exception | None, now: float, paused: float) -> None:
        """End the span, once."""
        del now, paused
        if not self._is_over:
            self._is_over = True
            word = "left_unfinished" if ending == "left" else ending
            self.kit.end(self.span, self.kit.naming.attributes(ending=word, rounds=self._rounds), error)


def costs(usage: Usage | None) -> dict[str, int | None]:
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
