"""What a call came to."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from rxllm.exceptions import ToolFailure
from rxllm.models._message import Message, ToolCall
from rxllm.models._model import Role


class ToolResult(BaseModel):
    """The result of a call, be it an error.

    Attributes:
        call: The call, as the model wrote it.
        content: What the model is told: what the function returned, as text or JSON, what went wrong, or why the call
            was refused.
        error: What kind of failure it was; ``None`` if it was none.
        value: What the function returned. Not part of ``model_dump``.
        exception: What the function raised, or what else was the cause. Not part of ``model_dump``.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    # For errors about a wrong order of operators.
    made_by: ClassVar[str] = "run_tools"

    call: ToolCall
    content: str
    error: ToolFailure | None = None
    value: Any = Field(default=None, exclude=True, repr=False)
    exception: Any = Field(default=None, exclude=True, repr=False)

    def message(self) -> Message:
        """The result as a message of the conversation, to be sent behind the one that has the call."""
        is_error = True if self.error is not None else None
        return Message(role=Role.TOOL, tool_call_id=self.call.id, content=self.content, is_error=is_error)
