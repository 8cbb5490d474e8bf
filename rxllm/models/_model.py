"""What all models have in common.

Rules:

1. No field of a provider is lost: what a model does not name is kept in ``model_extra`` and comes out again
   of ``model_dump``.
2. Enumerations are open: a word that nobody listed stays the plain string it was.
3. What comes off the wire in numbers is made of structs instead: see ``_wire_struct``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A model that keeps the fields it does not know."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", protected_namespaces=())


class Role(StrEnum):
    """The role of the speaker of a message."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    FUNCTION = "function"


class FinishReason(StrEnum):
    """Why a choice ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    FUNCTION_CALL = "function_call"
    ERROR = "error"


OpenRole: TypeAlias = Annotated[Role | str, Field(union_mode="left_to_right")]
"""A ``Role`` if the server's word is a known one, else the string as it came."""

OpenFinishReason: TypeAlias = Annotated[FinishReason | str, Field(union_mode="left_to_right")]
"""A ``FinishReason`` if the server's word is a known one, else the string as it came."""
