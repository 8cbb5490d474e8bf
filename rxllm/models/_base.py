"""What all models have in common.

Rules:

1. No field of a provider is lost: what a model does not name is kept in ``model_extra`` and comes out again
   of ``model_dump``.
2. Enumerations are open: a word that nobody listed stays the plain string it was.
3. Models that come off the wire have no validators in Python: one of those costs more than all the rest of a
   chunk. What a compiled validator refuses is looked at again, leniently, in ``_lenient``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FinishReason", "Model", "OpenFinishReason", "OpenRole", "Role", "WireModel", "replaced"]

M = TypeVar("M", bound="Model")


class Model(BaseModel):
    """A model that keeps the fields it does not know."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class WireModel(Model):
    """A model of what arrives: a number where a string belongs becomes its digits."""

    model_config = ConfigDict(coerce_numbers_to_str=True)


class Role(StrEnum):
    """Who speaks in a message."""

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
"""A ``Role`` where the word is one, else the string as it came."""

OpenFinishReason: TypeAlias = Annotated[
    FinishReason | Annotated[str, Field(coerce_numbers_to_str=False)], Field(union_mode="left_to_right")
]
"""A ``FinishReason`` where the word is one, else the string as it came. A number is looked at again: 0 is no end."""

_new: Callable[[type[Any]], Any] = vars(object)["__new__"]
_slots = vars(BaseModel)
_set_fields: Callable[[BaseModel, dict[str, Any]], None] = _slots["__dict__"].__set__
_set_known: Callable[[BaseModel, set[str]], None] = _slots["__pydantic_fields_set__"].__set__
_set_extra: Callable[[BaseModel, dict[str, Any] | None], None] = _slots["__pydantic_extra__"].__set__
_set_private: Callable[[BaseModel, dict[str, Any] | None], None] = _slots["__pydantic_private__"].__set__


def replaced(model: M, fields: Mapping[str, Any]) -> M:
    """A shallow copy of a model with other values, not validated, in some of its fields.

    As ``model_copy(update=…)`` does it, in 0.8 µs instead of 2.1.
    """
    values = {**model.__dict__, **fields}
    # Only now: what nobody has read becomes another class when it is.
    copy: M = _new(type(model))
    extra, private = model.__pydantic_extra__, model.__pydantic_private__
    _set_fields(copy, values)
    _set_known(copy, model.__pydantic_fields_set__ | fields.keys())
    _set_extra(copy, None if extra is None else extra.copy())
    _set_private(copy, None if private is None else private.copy())
    return copy
