"""The parts of a UI message stream, as its first version has them.

Rules:

1. A field that must be there has no default, so it is always sent. Others are left out unless they are given.
2. What the version has and we do not send stands in ``NOT_SENT``, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec


class UIPart(msgspec.Struct, omit_defaults=True, tag_field="type", rename="camel"):
    """A part."""


class Start(UIPart, tag="start"):
    """The answer begins."""

    message_id: str | None = None
    message_metadata: Any = None


class StartStep(UIPart, tag="start-step"):
    """A request begins to be answered."""


class FinishStep(UIPart, tag="finish-step"):
    """A request is answered."""


class ResetStep(UIPart, tag="reset-step"):
    """What the step has told does not count."""


class Finish(UIPart, tag="finish"):
    """The answer is whole."""

    finish_reason: str | None = None
    message_metadata: Any = None


class Abort(UIPart, tag="abort"):
    """Somebody stopped the answer."""

    reason: str | None = None


class Error(UIPart, tag="error"):
    """The answer failed."""

    error_text: str


class TextStart(UIPart, tag="text-start"):
    """A text begins."""

    id: str


class TextDelta(UIPart, tag="text-delta"):
    """A text gained something."""

    id: str
    delta: str


class TextEnd(UIPart, tag="text-end"):
    """A text has ended."""

    id: str


class ReasoningStart(UIPart, tag="reasoning-start"):
    """Reasoning begins."""

    id: str


class ReasoningDelta(UIPart, tag="reasoning-delta"):
    """Reasoning gained something."""

    id: str
    delta: str


class ReasoningEnd(UIPart, tag="reasoning-end"):
    """Reasoning has ended."""

    id: str


class ToolInputStart(UIPart, tag="tool-input-start"):
    """A call begins."""

    tool_call_id: str
    tool_name: str
    provider_executed: bool | None = None
    dynamic: bool | None = None


class ToolInputDelta(UIPart, tag="tool-input-delta"):
    """The input of a call gained text."""

    tool_call_id: str
    input_text_delta: str


class ToolInputAvailable(UIPart, tag="tool-input-available"):
    """The input of a call is whole."""

    tool_call_id: str
    tool_name: str
    input: Any
    provider_executed: bool | None = None
    dynamic: bool | None = None


class ToolInputError(UIPart, tag="tool-input-error"):
    """The input of a call is of no use."""

    tool_call_id: str
    tool_name: str
    input: Any
    error_text: str
    provider_executed: bool | None = None
    dynamic: bool | None = None


class ToolApprovalRequest(UIPart, tag="tool-approval-request"):
    """Somebody is asked about a call."""

    approval_id: str
    tool_call_id: str


class ToolApprovalResponse(UIPart, tag="tool-approval-response"):
    """It was decided about a call."""

    approval_id: str
    approved: bool
    reason: str | None = None


class ToolOutputAvailable(UIPart, tag="tool-output-available"):
    """What came of a call."""

    tool_call_id: str
    output: Any
    provider_executed: bool | None = None
    dynamic: bool | None = None


class ToolOutputError(UIPart, tag="tool-output-error"):
    """A call failed."""

    tool_call_id: str
    error_text: str
    provider_executed: bool | None = None
    dynamic: bool | None = None


class ToolOutputDenied(UIPart, tag="tool-output-denied"):
    """A call was not run, because somebody said no."""

    tool_call_id: str


class SourceUrl(UIPart, tag="source-url"):
    """A page that something of the answer comes from."""

    source_id: str
    url: str
    title: str | None = None


class SourceDocument(UIPart, tag="source-document"):
    """A document that something of the answer comes from."""

    source_id: str
    media_type: str
    title: str
    filename: str | None = None


class File(UIPart, tag="file"):
    """A file in the answer."""

    url: str
    media_type: str


_SENT: tuple[type[UIPart], ...] = (
    *(Start, StartStep, FinishStep, ResetStep, Finish, Abort, Error),
    *(TextStart, TextDelta, TextEnd, ReasoningStart, ReasoningDelta, ReasoningEnd),
    *(ToolInputStart, ToolInputDelta, ToolInputAvailable, ToolInputError),
    *(ToolApprovalRequest, ToolApprovalResponse, ToolOutputAvailable, ToolOutputError, ToolOutputDenied),
    *(SourceUrl, SourceDocument, File),
)

SENT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {str(each.__struct_config__.tag): each.__struct_encode_fields__ for each in _SENT}
)
"""The parts that we send, and their fields besides ``type``."""

NOT_SENT: Mapping[str, str] = MappingProxyType(
    {
        "custom": "content of one provider, under names that the AI SDK's own providers give",
        "data-*": "the application's own",
        "message-metadata": "what there is to say stands in start and finish",
        "reasoning-file": "no dialect has files in reasoning",
        "steering-message": "a user's message within an answer, which no dialect has; experimental in the AI SDK",
    }
)
"""The parts that we do not send, and why."""
