"""The parts of an answer, for dialects whose answers have some.

Rules:

1. A part has what the provider said of it in its own words, its ``block``, once it is finished. Only a finished block
   goes back to the provider.
2. A block goes back to where it came from, the same dialect at the same host, and nowhere else: see ``Origin``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from rxllm.models._model import Model


class PartKind(StrEnum):
    """What a part of an answer is."""

    TEXT = "text"
    REFUSAL = "refusal"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    SERVER_TOOL = "server_tool"
    SERVER_RESULT = "server_result"
    IMAGE = "image"
    OTHER = "other"


OpenPartKind: TypeAlias = Annotated[PartKind | str, Field(union_mode="left_to_right")]
"""A ``PartKind`` where the word is one, else the string as it came."""


class MessagePart(Model):
    """A part of an answer: a text, a piece of reasoning, a call, a tool that the server ran, what that came to.

    Attributes:
        index: Its place among the parts of the answer. They may have gaps.
        kind: What it is.
        id: Its identifier, or that of the call in it.
        name: The name of the tool in it.
        text: What it says: the text, the reasoning, the arguments of a call or the input of a tool of the server.
            What an operator took out of a text, as ``split_reasoning`` does, is not in it.
        block: The part in the provider's own words.
        final: Whether it is finished. One that is not was cut, and does not go back to the provider. Neither does a
            call that is none of the ``tool_calls`` of its message.
    """

    index: int = 0
    kind: OpenPartKind = PartKind.OTHER
    id: str | None = None
    name: str | None = None
    text: str = ""
    block: dict[str, Any] | None = None
    final: bool = False


class Origin(Model):
    """Where an answer came from.

    Attributes:
        dialect: The name of the dialect.
        host: Where the request went, ``host`` or ``host:port``.
        model: The model that answered, as the server names it.
        id: The identifier of the answer.
    """

    dialect: str | None = None
    host: str | None = None
    model: str | None = None
    id: str | None = None
