"""What is known of an operation before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rxllm.dialects import openai_api_of
from rxllm.models import ChatRequest, is_object
from rxllm.telemetry._names import AttributeValue

OF_OPENAI = frozenset({"openai", "azure.ai.openai"})
"""Those of which there are the attributes of OpenAI."""


@dataclass(kw_only=True, repr=False, slots=True)  # not frozen: that costs each request three times as much
class AskedFor:
    """What is known of an operation before it begins.

    Args:
        request: The request.
        model: The model, where there is no request.
        provider: Who answers, as ``gen_ai.provider.name`` has it.
        dialect: The name of the dialect in which it is asked.
        host: The name of the server, without a port.
        port: Its port.
        conversation: The identifier of the conversation.
    """

    request: ChatRequest | None = None
    model: str | None = None
    provider: str | None = None
    dialect: str | None = None
    host: str | None = None
    port: int | None = None
    conversation: str | None = None

    @property
    def asked_model(self) -> str | None:
        """The model that was asked for."""
        return self.model or (None if self.request is None else self.request.model or None)

    @property
    def is_of_openai(self) -> bool:
        """Whether the attributes of OpenAI are those of the provider."""
        return self.provider in OF_OPENAI

    def operation(self, name: str) -> dict[str, AttributeValue | None]:
        """What spans and histograms have in common."""
        return {
            "operation": name,
            "provider": self.provider,
            "request_model": self.asked_model,
            "server_address": self.host,
            "server_port": self.port,
        }

    def parameters(self) -> dict[str, AttributeValue | None]:
        """What was asked for, by the keys of the table of names. It is none of the conversation."""
        request = self.request
        if request is None:
            return {"conversation": self.conversation}
        extra = request.model_extra or {}
        return {
            "conversation": self.conversation or _conversation(extra.get("conversation")),
            "request_stream": True,
            "request_choices": request.n if request.n != 1 else None,
            "request_seed": request.seed,
            "request_temperature": _number(request.temperature),
            "request_top_p": _number(request.top_p),
            "request_top_k": _number(extra.get("top_k")),
            "request_max_tokens": request.max_completion_tokens or request.max_tokens,
            "request_presence_penalty": _number(request.presence_penalty),
            "request_frequency_penalty": _number(request.frequency_penalty),
            "request_stop": [request.stop] if isinstance(request.stop, str) else request.stop,
            "output_type": _output_type(request),
            **(self._parameters_of_openai(request) if self.is_of_openai else {}),
        }

    def _parameters_of_openai(self, request: ChatRequest) -> dict[str, AttributeValue | None]:
        tier = request.service_tier
        return {
            "api_type": openai_api_of(self.dialect),
            "request_service_tier": None if tier == "auto" else tier,
        }


def _number(value: object) -> float | None:
    """A number, as the conventions have it."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _conversation(value: Any) -> str | None:
    """The conversation that a server keeps: its identifier, or an object that has it."""
    found = value.get("id") if is_object(value) else value
    return found if isinstance(found, str) else None


def _output_type(request: ChatRequest) -> str | None:
    if request.modalities and "audio" in request.modalities:
        return "speech"
    kind = (request.response_format or {}).get("type")
    return None if kind is None else {"text": "text"}.get(kind, "json")
