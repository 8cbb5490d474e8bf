"""What a call came to."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from rxllm.exceptions import ToolFailure
from rxllm.models._message import Message, ToolCall
from rxllm.models._model import Role


class ToolResult(BaseModel):
    """The result of a call, or the error that came instead.

    Attributes:
        call: The call, as the model wrote it.
        content: What the model is told: the value that the function returned, as text or JSON; or what went wrong; or
            why the call was refused.
        error: The kind of failure; ``None`` if the call succeeded.
        value: What the function returned. Not part of ``model_dump``.
        exception: The exception that the function raised, or another cause of the failure. Not part of ``model_dump``.
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
        """The result as a message of the conversation. It goes after the message that has the call."""
        is_error = True if self.error is not None else None
        return Message(role=Role.TOOL, tool_call_id=self.call.id, content=self.content, is_error=is_error)
