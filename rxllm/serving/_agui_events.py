"""The events of AG-UI, as version 1.0 of the protocol has them.

Rules:

1. A field that must be there has no default, so it is always sent. Others are left out unless they are given.
2. What the version has and we do not send stands in ``NOT_SENT``, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

VERSION = "1.0"
"""The version of the protocol."""


class AGUIEvent(msgspec.Struct, omit_defaults=True, tag_field="type", rename="camel"):
    """An event."""


class RunStarted(AGUIEvent, tag="RUN_STARTED"):
    """The answer begins."""

    thread_id: str
    run_id: str
    protocol_version: str
    parent_run_id: str | None = None


class RunFinished(AGUIEvent, tag="RUN_FINISHED"):
    """The answer is whole, was stopped, or waits for somebody."""

    thread_id: str
    run_id: str
    outcome: dict[str, Any]
    usage: list[dict[str, Any]] | None = None


class RunError(AGUIEvent, tag="RUN_ERROR"):
    """The answer failed."""

    message: str
    code: str
    usage: list[dict[str, Any]] | None = None


class StepStarted(AGUIEvent, tag="STEP_STARTED"):
    """A request begins to be answered."""

    step_name: str


class StepFinished(AGUIEvent, tag="STEP_FINISHED"):
    """A request is answered."""

    step_name: str


class TextMessageStart(AGUIEvent, tag="TEXT_MESSAGE_START"):
    """A text begins."""

    message_id: str
    role: str


class TextMessageContent(AGUIEvent, tag="TEXT_MESSAGE_CONTENT"):
    """A text gained something."""

    message_id: str
    delta: str


class TextMessageEnd(AGUIEvent, tag="TEXT_MESSAGE_END"):
    """A text has ended."""

    message_id: str


class ReasoningStart(AGUIEvent, tag="REASONING_START"):
    """Reasoning begins."""

    message_id: str


class ReasoningMessageStart(AGUIEvent, tag="REASONING_MESSAGE_START"):
    """The text of reasoning begins."""

    message_id: str
    role: str


class ReasoningMessageContent(AGUIEvent, tag="REASONING_MESSAGE_CONTENT"):
    """Reasoning gained something."""

    message_id: str
    delta: str


class ReasoningMessageEnd(AGUIEvent, tag="REASONING_MESSAGE_END"):
    """The text of reasoning has ended."""

    message_id: str


class ReasoningEnd(AGUIEvent, tag="REASONING_END"):
    """Reasoning has ended."""

    message_id: str


class ToolCallStart(AGUIEvent, tag="TOOL_CALL_START"):
    """A call begins."""

    tool_call_id: str
    tool_call_name: str
    parent_message_id: str


class ToolCallArgs(AGUIEvent, tag="TOOL_CALL_ARGS"):
    """The arguments of a call gained text."""

    tool_call_id: str
    delta: str


class ToolCallEnd(AGUIEvent, tag="TOOL_CALL_END"):
    """The arguments of a call are whole."""

    tool_call_id: str


class ToolCallResult(AGUIEvent, tag="TOOL_CALL_RESULT"):
    """What came of a call."""

    message_id: str
    tool_call_id: str
    content: str
    role: str


class ActivitySnapshot(AGUIEvent, tag="ACTIVITY_SNAPSHOT"):
    """Something to show that is not a text."""

    message_id: str
    activity_type: str
    content: dict[str, Any]


class ActivityDelta(AGUIEvent, tag="ACTIVITY_DELTA"):
    """What is shown gained something."""

    message_id: str
    activity_type: str
    patch: list[dict[str, Any]]


class Custom(AGUIEvent, tag="CUSTOM"):
    """What the protocol has no event for."""

    name: str
    value: dict[str, Any]


_SENT: tuple[type[AGUIEvent], ...] = (
    *(RunStarted, RunFinished, RunError, StepStarted, StepFinished),
    *(TextMessageStart, TextMessageContent, TextMessageEnd),
    *(ReasoningStart, ReasoningMessageStart, ReasoningMessageContent, ReasoningMessageEnd, ReasoningEnd),
    *(ToolCallStart, ToolCallArgs, ToolCallEnd, ToolCallResult),
    *(ActivitySnapshot, ActivityDelta, Custom),
)

SENT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {str(each.__struct_config__.tag): each.__struct_encode_fields__ for each in _SENT}
)
"""The events that we send, and their fields besides ``type``."""

_SHORT = "the short form of what we send as start, content and end"
_STATE = "the state that an application shares with its client is the application's"
_SUBAGENT = "an answer has one agent"

NOT_SENT: Mapping[str, str] = MappingProxyType(
    {
        "TEXT_MESSAGE_CHUNK": _SHORT,
        "TOOL_CALL_CHUNK": _SHORT,
        "REASONING_MESSAGE_CHUNK": _SHORT,
        "STATE_SNAPSHOT": _STATE,
        "STATE_DELTA": _STATE,
        "MESSAGES_SNAPSHOT": "the client makes the messages of what it is told; what came before is the application's",
        "RAW": "the words of a provider are not for clients",
        "REASONING_ENCRYPTED_VALUE": "what a provider wants back with its reasoning stays with who asks the provider",
        "SUBAGENT_STARTED": _SUBAGENT,
        "SUBAGENT_FINISHED": _SUBAGENT,
        "SUBAGENT_ERROR": _SUBAGENT,
    }
)
"""The events that we do not send, and why."""
