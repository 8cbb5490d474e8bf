"""OpenAI's chat completions, and what is compatible with them: the dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxllm.dialects._openai_chat_decoder import OpenAIChatDecoder
from rxllm.exceptions import DecodeError
from rxllm.models import ChatRequest, Repair


@dataclass(frozen=True, kw_only=True)
class OpenAIChat:
    """The dialect ``"openai-chat"``.

    Args:
        cumulative_text: Whether each delta repeats the text from its beginning (``"He"``, ``"Hello"``), as some
            servers do; then only what is new is passed on.
        skip_malformed: Whether to go on after an event that is no chunk. It is reported to ``on_malformed`` and
            logged, without its text.
        on_malformed: Called with the error of each event that was skipped.
        on_repair: Called with each thing that was put right.
    """

    cumulative_text: bool = False
    skip_malformed: bool = False
    on_malformed: Callable[[DecodeError], None] | None = None
    on_repair: Callable[[Repair], None] | None = None

    @property
    def name(self) -> str:
        """``"openai-chat"``."""
        return "openai-chat"

    @property
    def path(self) -> str:
        """Where chat requests go, below the base URL."""
        return "/chat/completions"

    def decoder(self) -> OpenAIChatDecoder:
        """A decoder for one stream."""
        return OpenAIChatDecoder(self)

    def payload(self, request: ChatRequest) -> dict[str, Any]:
        """The request, streamed and with usage; ``stream_options`` of the request's own are left as they are."""
        payload = request.to_wire()
        payload["stream"] = True
        if "stream_options" not in request.model_fields_set:
            payload["stream_options"] = {"include_usage": True}
        return payload
