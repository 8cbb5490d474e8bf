"""What is decided about a call before it runs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import to_json

from rxllm.models._json import loads, without_lone_surrogates

_REFUSED = "The call was refused. It was not run."


class Approved(BaseModel):
    """The call may run.

    Attributes:
        arguments: All arguments for the tool, as JSON values, instead of those that the model wrote. ``None``: the
            model's own.
    """

    # A misspelled field must not approve what the model wrote.
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    type: Literal["approved"] = "approved"
    arguments: dict[str, Any] | None = None

    @field_validator("arguments", mode="before")
    @classmethod
    def _to_json(cls, value: object) -> object:
        return None if value is None else loads(to_json(value))


class Refused(BaseModel):
    """The call must not run.

    Attributes:
        reason: The text that the model gets as the result of the call. If it is blank, the model gets the default text.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    type: Literal["refused"] = "refused"
    reason: str = _REFUSED

    @field_validator("reason", mode="before")
    @classmethod
    def _sendable(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return without_lone_surrogates(value) if value.strip() else _REFUSED
