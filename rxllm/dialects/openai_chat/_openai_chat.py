"""OpenAI's chat completions, and what is compatible with them: the dialect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects._ported import ported
from rxllm.dialects.openai_chat._openai_chat_decoder import OpenAIChatDecoder
from rxllm.dialects.openai_chat._sent_messages import SendExtras, SendReasoning, sent_messages
from rxllm.exceptions import DecodeError
from rxllm.models import ChatRequest, Repair

PATH = "/chat/completions"
"""Where chat requests go, below the base URL."""

_HOME = Home(base_url="https://api.openai.com/v1", base_url_variable="OPENAI_BASE_URL", key_variable="OPENAI_API_KEY")


@dataclass(frozen=True, kw_only=True)
class OpenAIChat:
    """The dialect ``"openai-chat"``.

    Args:
        cumulative_text: Whether each delta repeats the text from its beginning (``"He"``, ``"Hello"``), as some servers
            do. Then only the new text is passed on. The arguments of a call may be repeated, too.
        skip_malformed: Whether to go on after an event that is not a chunk. It is reported to ``on_malformed`` and
            logged, without its text.
        on_malformed: Called with the error of each event that was skipped.
        on_repair: Called with each repair.
        send_reasoning: When the reasoning of an earlier answer is sent back, in the fields that it came in.
            ``"tool_rounds"``: only while the model calls tools, that is, until the next message of the user.
            ``"never"``: for servers that refuse these fields, such as OpenAI's own.
        send_extras: Whether fields that only the provider of an earlier answer knows are sent back, in the message and
            in its calls. ``True``: all. ``False``: none, for servers that refuse unknown fields. Or the names of the
            fields to send back.
        asks_usage: Whether to ask for the usage (``stream_options``), unless the request has its own
            ``stream_options``. Some servers send the usage anyway, and refuse a request that asks for it.
        home: The base URL, and the environment variables for it and for the key.

    Raises:
        ValueError: ``send_reasoning`` is not one of these words.
    """

    cumulative_text: bool = False
    skip_malformed: bool = False
    on_malformed: Callable[[DecodeError], None] | None = None
    on_repair: Callable[[Repair], None] | None = None
    send_reasoning: SendReasoning = "always"
    send_extras: SendExtras = True
    asks_usage: bool = True
    home: Home = _HOME

    def __post_init__(self) -> None:
        if self.send_reasoning not in get_args(SendReasoning):
            raise ValueError(f"send_reasoning must be one of {get_args(SendReasoning)}, not {self.send_reasoning!r}")

    @property
    def name(self) -> str:
        """``"openai-chat"``."""
        return "openai-chat"

    def decoder(self) -> OpenAIChatDecoder:
        """A decoder for one stream."""
        return OpenAIChatDecoder(self)

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed. If the request has ``stream_options``, they are not changed."""
        conversation = ported(request.messages, lambda origin: origin.dialect == self.name, reads_dictionaries=False)
        messages = conversation.messages
        body = request.model_copy(update={"messages": messages}).to_wire()
        body["messages"] = sent_messages(
            messages, body["messages"], reasoning=self.send_reasoning, extras=self.send_extras
        )
        body["stream"] = True
        if self.asks_usage and "stream_options" not in request.model_fields_set:
            body["stream_options"] = {"include_usage": True}
        return WireRequest(
            url=endpoint.url(PATH),
            headers=bearer(endpoint.key),
            body=body,
            end_marker="[DONE]",
            repairs=tuple(conversation.repairs),
        )

    websocket_request = http_request
