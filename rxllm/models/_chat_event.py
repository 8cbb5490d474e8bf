"""What happens in a conversation with tools, as it happens.

Events are told apart by their class or by ``type``, and are JSON for whoever is to see them, a browser for example:
``TypeAdapter(ChatEvent)`` reads them back.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias, TypeGuard

from pydantic import BaseModel, ConfigDict, Field

from rxllm.models._approval import Approved, Refused
from rxllm.models._completion import ChatCompletion
from rxllm.models._message import Message, ToolCall
from rxllm.models._tool_result import ToolResult


class _Event(BaseModel):
    """Something that happened in a round: one request, its answer, and the tools that this one called.

    Attributes:
        round: Which round, counted from 1.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    round: int


class TextDelta(_Event):
    """The answer gained text.

    Attributes:
        text: What it gained; never empty.
    """

    type: Literal["text"] = "text"
    text: str


class ReasoningDelta(_Event):
    """The reasoning gained text.

    Attributes:
        text: What it gained; never empty.
    """

    type: Literal["reasoning"] = "reasoning"
    text: str


class Restarted(_Event):
    """The answer of the round begins anew: the text and the reasoning that came in it do not count.

    Attributes:
        attempt: The number of the new try, counted from 1, if that is known.
    """

    type: Literal["restarted"] = "restarted"
    attempt: int | None = None


class Stopped(_Event):
    """The conversation was stopped (``operators.stop_when``): the last event.

    Attributes:
        completion: The part of the answer that had arrived, if the stop came while the model answered.
    """

    type: Literal["stopped"] = "stopped"
    completion: ChatCompletion | None = None


class ToolInputDelta(_Event):
    """A call that the model is writing gained input. It cannot be run yet: a ``ToolCallEvent`` comes when it can.

    Attributes:
        index: The number of the call in the round, from 0.
        id: The identifier of the call, if that has come.
        name: The name of the tool, if that has come.
        text: What the input gained, usually JSON; ``""`` if only the identifier or the name came.
    """

    type: Literal["tool_input"] = "tool_input"
    index: int
    id: str | None = None
    name: str | None = None
    text: str


class ToolCallEvent(_Event):
    """A call is finished. It is run next, or an approval is asked for.

    Attributes:
        call: The call.
    """

    type: Literal["tool_call"] = "tool_call"
    call: ToolCall


class ApprovalRequested(_Event):
    """A call waits for its approval: ``approve`` is called now.

    Attributes:
        call: The call.
    """

    type: Literal["approval_requested"] = "approval_requested"
    call: ToolCall


class ApprovalGiven(_Event):
    """``approve`` has decided whether a call may run.

    Attributes:
        call: The call, as the model wrote it.
        decision: ``Approved``, with the arguments if they were changed, or ``Refused``, with the reason.
    """

    type: Literal["approval_given"] = "approval_given"
    call: ToolCall
    decision: Annotated[Approved | Refused, Field(discriminator="type")]


class ToolResultEvent(_Event):
    """A call was run, refused, or failed.

    Attributes:
        result: The result.
    """

    type: Literal["tool_result"] = "tool_result"
    result: ToolResult


class RoundCompleted(_Event):
    """An answer is whole, and its calls were run.

    Attributes:
        completion: The answer.
        messages: The messages that this round added to the conversation: the answer, and the results of its calls in
            their order.
    """

    type: Literal["round"] = "round"
    completion: ChatCompletion
    messages: tuple[Message, ...]


class ChatCompleted(_Event):
    """The model answered without calling a tool: the last event.

    Attributes:
        completion: That answer.
        messages: The messages that all rounds added to the conversation. Append them to the messages of the request.
    """

    type: Literal["completed"] = "completed"
    completion: ChatCompletion
    messages: tuple[Message, ...]


ChatEvent: TypeAlias = Annotated[
    TextDelta
    | ReasoningDelta
    | Restarted
    | Stopped
    | ToolInputDelta
    | ToolCallEvent
    | ApprovalRequested
    | ApprovalGiven
    | ToolResultEvent
    | RoundCompleted
    | ChatCompleted,
    Field(discriminator="type"),
]
"""What ``LLMClient.chat_with_tools`` emits."""


def is_chat_event(value: object) -> TypeGuard[_Event]:
    """Whether a value is an event of a conversation."""
    return isinstance(value, _Event)
