"""``ag-ui``: the Agent-User Interaction protocol, version 1.

Rules:

1. The first event is ``RUN_STARTED``, the last ``RUN_FINISHED`` or ``RUN_ERROR``, and nothing comes behind that.
2. The client makes messages of the events: of each step one of the assistant, with its text and its calls; what a call
   came to; and the reasoning. What comes behind reasoning, a result, or a call that was followed by text, is a message
   of its own, so that the order is the one in which it was said.
3. Identifiers begin with that of the run: a client keeps the messages of earlier runs, and finds them by those. A call
   whose identifier is in one of them gets another.
4. A call that was cut never ends, so no client runs it: an answer with such a call is an error.
5. Sources and pictures are activities, for there is no event of theirs. A question about a call is ``CUSTOM``, for it
   is answered while the run goes on; if the run ends before that, it is an interrupt.
6. What was told cannot be taken back: a step that begins anew after something was told of it is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

from rxllm.flow import check_kind
from rxllm.models import is_list, is_object
from rxllm.serving._agui_events import NOT_SENT, SENT, VERSION, RunError, RunStarted
from rxllm.serving._agui_writer import AGUIWriter
from rxllm.serving._event_stream import encode
from rxllm.serving._protocol import Asked, FrameWriter
from rxllm.serving._public_error import PublicError

_MAX_ID = 1000


@dataclass(frozen=True)
class AGUI:
    """The protocol ``ag-ui``: AG-UI 1.0, for ``@ag-ui/client``, CopilotKit and others.

    Attributes:
        thread_id: The identifier of the conversation. An identifier in the request takes precedence; without either,
            one is made up.
        run_id: The identifier of this answer. The same rule applies.
        usage: Whether the last event has the token counts of all steps, by model.
        sent: The events that a stream can have, and the fields of each.
        not_sent: The events of version 1.0 that are never sent, and why.
    """

    thread_id: str | None = None
    run_id: str | None = None
    usage: bool = True

    sent: ClassVar[Mapping[str, tuple[str, ...]]] = SENT
    not_sent: ClassVar[Mapping[str, str]] = NOT_SENT

    def __post_init__(self) -> None:
        for name in ("thread_id", "run_id"):
            value = getattr(self, name)
            if value is not None:
                check_kind(name, value, str)
                if not 0 < len(value) <= _MAX_ID:
                    raise ValueError(f"{name} must have 1 to {_MAX_ID} characters, not {len(value)}")

    @property
    def name(self) -> str:
        """``"ag-ui"``."""
        return "ag-ui"

    @property
    def headers(self) -> Mapping[str, str]:
        """No headers besides those of every event stream."""
        return {}

    @property
    def resumes(self) -> bool:
        """False: a client always gets the whole run."""
        return False

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        body = asked.body
        thread = _id(body, "threadId") or self.thread_id or uuid4().hex
        run = _id(body, "runId") or self.run_id or uuid4().hex
        start = RunStarted(thread, run, VERSION, _id(body, "parentRunId"))
        return AGUIWriter(start, taken=_calls_in(body), tells_usage=self.usage)

    def refusal(self, error: PublicError, /) -> bytes:
        """The body of an answer whose status is not 200: the event that the stream would have had."""
        return encode(RunError(error.message, error.code))


def _id(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_ID else None


def _calls_in(body: Mapping[str, Any]) -> Iterator[str]:
    """The identifiers of calls that the client has."""
    messages = body.get("messages")
    for message in messages if is_list(messages) else ():
        calls = message.get("toolCalls") if is_object(message) else None
        for call in calls if is_list(calls) else ():
            if is_object(call) and isinstance(call_id := call.get("id"), str):
                yield call_id
