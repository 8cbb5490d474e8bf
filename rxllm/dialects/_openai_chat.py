"""OpenAI's chat completions, and what is compatible with them: the dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from rxllm.dialects._openai_chat_decoder import OpenAIChatDecoder
from rxllm.dialects._sent_messages import SendExtras, SendReasoning, sent_messages
from rxllm.exceptions import DecodeError
from rxllm.models import ChatRequest, Repair


@dataclass(frozen=True, kw_only=True)
class OpenAIChat:
    """The dialect ``"openai-chat"``.

    Args:
        cumulative_text: Whether each delta repeats the text from its beginning (``"He"``, ``"Hello"``), as some
            servers do; then only what is new is passed on. The arguments of a call may repeat themselves, too.
        skip_malformed: Whether to go on after an event that is no chunk. It is reported to ``on_malformed`` and
            logged, without its text.
        on_malformed: Called with the error of each event that was skipped.
        on_repair: Called with each thing that was put right.
        send_reasoning: When the reasoning of an earlier answer goes back, in the fields that it came in.
            ``"tool_rounds"``: while the model calls tools, that is if no message of the user comes behind it. DeepSeek
            wants it so. ``"never"``: for servers that refuse these fields, as OpenAI's own.
        send_extras: Which fields of an earlier answer go back that only its provider knows, of the message and of its
            calls: all, none (for servers that refuse fields which they do not know), or those of these names.

    Raises:
        ValueError: ``send_reasoning`` is none of these words.
    """

    cumulative_text: bool = False
    skip_malformed: bool = False
    on_malformed: Callable[[DecodeError], None] | None = None
    on_repair: Callable[[Repair], None] | None = None
    send_reasoning: SendReasoning = "always"
    send_extras: SendExtras = True

    def __post_init__(self) -> None:
        if self.send_reasoning not in get_args(SendReasoning):
            raise ValueError(f"send_reasoning must be one of {get_args(SendReasoning)}, not {self.send_reasoning!r}")

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
        payload["messages"] = sent_messages(
            request.messages, payload["messages"], reasoning=self.send_reasoning, extras=self.send_extras
        )
        payload["stream"] = True
        if "stream_options" not in request.model_fields_set:
            payload["stream_options"] = {"include_usage": True}
        return payload
