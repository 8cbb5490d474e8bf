"""All names that OpenTelemetry gets from us, and which of them count.

The semantic conventions for generative AI are in development, and names change. Version 1.36 is the last one that most
instrumentations write by default. They write newer names when the environment asks for them: the variable
``OTEL_SEMCONV_STABILITY_OPT_IN`` has ``gen_ai_latest_experimental`` in its list.

Rules:

1. A name stands in this module and nowhere else: first the latest one, then the one of 1.36, if that was another.
2. By default a value has both names, so that old and new dashboards find it. Asked for the latest names, it has that
   name alone.
3. What is ours alone begins with ``rxllm.``.

A test compares the table with the registry of the conventions, which is not imported when the library runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, cast

from rxllm.models import without_lone_surrogates

OPT_IN_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
LATEST = "gen_ai_latest_experimental"

AttributeValue: TypeAlias = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
"""The values that an attribute may have."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # The operation.
        "operation": ("gen_ai.operation.name",),
        "provider": ("gen_ai.provider.name", "gen_ai.system"),
        "server_address": ("server.address",),
        "server_port": ("server.port",),
        "error_type": ("error.type",),
        "conversation": ("gen_ai.conversation.id",),
        # The request.
        "request_model": ("gen_ai.request.model",),
        "request_stream": ("gen_ai.request.stream",),
        "request_choices": ("gen_ai.request.choice.count",),
        "request_seed": ("gen_ai.request.seed",),
        "request_temperature": ("gen_ai.request.temperature",),
        "request_top_p": ("gen_ai.request.top_p",),
        "request_top_k": ("gen_ai.request.top_k",),
        "request_max_tokens": ("gen_ai.request.max_tokens",),
        "request_presence_penalty": ("gen_ai.request.presence_penalty",),
        "request_frequency_penalty": ("gen_ai.request.frequency_penalty",),
        "request_stop": ("gen_ai.request.stop_sequences",),
        "output_type": ("gen_ai.output.type",),
        "api_type": ("openai.api.type",),
        "request_service_tier": ("openai.request.service_tier", "gen_ai.openai.request.service_tier"),
        # The answer.
        "response_id": ("gen_ai.response.id",),
        "response_model": ("gen_ai.response.model",),
        "finish_reasons": ("gen_ai.response.finish_reasons",),
        "time_to_first_chunk": ("gen_ai.response.time_to_first_chunk",),
        "response_service_tier": ("openai.response.service_tier", "gen_ai.openai.response.service_tier"),
        "system_fingerprint": ("openai.response.system_fingerprint", "gen_ai.openai.response.system_fingerprint"),
        # What it cost.
        "input_tokens": ("gen_ai.usage.input_tokens",),
        "output_tokens": ("gen_ai.usage.output_tokens",),
        "cache_read": ("gen_ai.usage.cache_read.input_tokens",),
        "cache_written": ("gen_ai.usage.cache_creation.input_tokens",),
        "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens",),
        "token_type": ("gen_ai.token.type",),
        # Tools.
        "tool_name": ("gen_ai.tool.name",),
        "tool_type": ("gen_ai.tool.type",),
        "tool_call": ("gen_ai.tool.call.id",),
        # What was said: only if it is asked for.
        "input_messages": ("gen_ai.input.messages",),
        "output_messages": ("gen_ai.output.messages",),
        "tool_definitions": ("gen_ai.tool.definitions",),
        "tool_arguments": ("gen_ai.tool.call.arguments",),
        "tool_result": ("gen_ai.tool.call.result",),
        # The event of an error.
        "exception_type": ("exception.type",),
        "exception_message": ("exception.message",),
        # Ours.
        "ending": ("rxllm.ending",),
        "attempt": ("rxllm.attempt",),
        "chunks": ("rxllm.chunks",),
        "paused": ("rxllm.paused",),
        "rounds": ("rxllm.rounds",),
    }
)
"""The names of attributes: the latest one first."""

FORMER_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType({"gen_ai.system": {"x_ai": "xai"}})
"""Values that had another name, by the former name of the attribute."""

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


class Metric(NamedTuple):
    """A histogram.

    Attributes:
        name: What it is called.
        unit: The unit, in UCUM.
        description: What it is, as the conventions say.
        boundaries: The bounds of its buckets, as the conventions advise.
    """

    name: str
    unit: str
    description: str
    boundaries: Sequence[float]


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "tokens": Metric(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            tuple(4.0**power for power in range(14)),
        ),
        "duration": Metric("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS),
        "first_chunk": Metric(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to receive the first chunk, measured from when the client issues the generation request to when the "
            "first chunk is received in the response stream.",
            _SECONDS,
        ),
        "chunk": Metric(
            "gen_ai.client.operation.time_per_output_chunk",
            "s",
            "Time per output chunk, recorded for each chunk received after the first one, measured as the time elapsed "
            "from the end of the previous chunk to the end of the current chunk.",
            _SECONDS,
        ),
    }
)
"""The histograms."""


MOST_CHARACTERS = 1_000
MOST_VALUES = 100

# What was said, which is bounded where it is put together.
_SAID = frozenset({"input_messages", "output_messages", "tool_definitions", "tool_arguments", "tool_result"})


def plain(text: str) -> str:
    """A name from a server or from a user, such that it can be exported: not too long, and without lone surrogates.

    An exporter that cannot write one span loses all that it sends with it.
    """
    text = text[:MOST_CHARACTERS]
    return text if text.isascii() else without_lone_surrogates(text)


def _told(value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, (list, tuple)):
        told = [plain(each) if isinstance(each, str) else each for each in value[:MOST_VALUES]]
        return cast("Sequence[str]", told)
    return value


class Naming:
    """Gives attributes their names.

    Args:
        latest: Whether they have the latest names alone.
    """

    def __init__(self, *, latest: bool) -> None:
        # With the values that are called otherwise under a name, which nearly none has.
        self._names = {
            key: [(name, FORMER_VALUES.get(name)) for name in (names[:1] if latest else names)]
            for key, names in ATTRIBUTES.items()
        }

    @classmethod
    def of_environment(cls) -> Naming:
        """As ``OTEL_SEMCONV_STABILITY_OPT_IN`` says, a list that is separated by commas."""
        asked = os.environ.get(OPT_IN_VARIABLE, "").split(",")
        return cls(latest=LATEST in (each.strip() for each in asked))

    def attributes(self, **values: AttributeValue | None) -> dict[str, AttributeValue]:
        """The attributes of some values, which are given by their keys in the table; ``None`` is left out."""
        named: dict[str, AttributeValue] = {}
        for key, value in values.items():
            if value is not None:
                told = value if key in _SAID else _told(value)
                for name, formerly in self._names[key]:
                    named[name] = told if formerly is None else formerly.get(str(told), told)
        return named
