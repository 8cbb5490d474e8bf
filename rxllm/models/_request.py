"""What an application asks for."""

from __future__ import annotations

from typing import Any

from rxllm.models._message import Message
from rxllm.models._model import Model


class ChatRequest(Model):
    """A request for an answer, in the words of OpenAI's chat completions.

    Fields that are not named here go to the server unchanged. That the answer is to be streamed is the
    client's affair and needs no field.

    Attributes:
        model: The model to ask.
        messages: The conversation so far; a dictionary is sent as it is.
        temperature: How much chance there is in the answer.
        max_tokens: How long the answer may be.
        tools: The tools that the model may call.
        tool_choice: Whether it must, and which.
        response_format: The form of the answer, as a JSON schema.
        stop: Text at which to stop.
        n: How many answers to give in parallel.
        seed: The start of the chance.
        stream_options: What else to stream; usage is asked for unless this is given.
    """

    model: str
    messages: list[Message | dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    seed: int | None = None
    stream_options: dict[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        """The request as a JSON object: what was set, and of the declared fields not those that are ``None``."""
        fields = self.model_dump(mode="json", exclude={"messages"}, exclude_unset=True)
        declared = type(self).model_fields
        wire = {name: value for name, value in fields.items() if value is not None or name not in declared}
        wire["messages"] = [message.to_wire() if isinstance(message, Message) else message for message in self.messages]
        return wire
