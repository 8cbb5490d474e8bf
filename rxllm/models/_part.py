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
    """The kind of a part of an answer."""

    TEXT = "text"
    REFUSAL = "refusal"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    SERVER_TOOL = "server_tool"
    SERVER_RESULT = "server_result"
    IMAGE = "image"
    OTHER = "other"


OpenPartKind: TypeAlias = Annotated[PartKind | str, Field(union_mode="left_to_right")]
"""A ``PartKind`` if the provider's word is a known one, else the string as it came."""


class MessagePart(Model):
    """A part of an answer: a text, a piece of reasoning, a call, a tool that the server ran, or its result.

    Attributes:
        index: Its place among the parts of the answer. They may have gaps.
        kind: The kind of part.
        id: Its identifier, or that of the call in it.
        name: The name of the tool in it.
        text: The text, the reasoning, the arguments of a call, or the input of a tool that the server runs. If an
            operator such as ``split_reasoning`` took a piece out of a text, that piece is missing here.
        block: The part in the provider's own words.
        final: Whether it is finished. A part that is not finished was cut, and is not sent back to the provider. A call
            that is not in the ``tool_calls`` of its message is not sent back, either.
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
