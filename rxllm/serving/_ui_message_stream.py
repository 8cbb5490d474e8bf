"""``ui-message-stream``: the first version of the AI SDK's stream, which ``useChat`` reads.

Rules:

1. The first part is ``start``, the last frame ``[DONE]``, whatever happens. A client that comes back gets all of it
   again: that it begins with ``start`` tells it to forget what it had.
2. An answer that somebody stopped ends with ``abort``, one that failed with ``error``: there the client stops reading.
   So it is if the server stops: a person can try again.
3. The client knows a tool by its name, unless the application says that it is ``dynamic``. All parts of a call say the
   same about that: else the client would keep two of them.
4. The input of a call that was cut, or is not JSON, is a ``tool-input-error`` with the text as it came, and what comes
   of the call is not told. In an answer that was stopped nothing is said of it: a client that sends results by itself
   would take a failed call for one that is done, and ask again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rxllm.flow import check_kind
from rxllm.models import is_list, is_object
from rxllm.serving._protocol import Asked, FrameWriter
from rxllm.serving._public_error import PublicError
from rxllm.serving._ui_parts import NOT_SENT, SENT
from rxllm.serving._ui_writer import UIWriter

_MAX_ID = 1000


@dataclass(frozen=True)
class UIMessageStream:
    """The protocol ``ui-message-stream``: Vercel's UI message stream, version 1, for ``useChat``.

    Attributes:
        message_id: The identifier of the answer's message. A client that comes back replaces its message that has the
            same identifier. By default the client makes one up. If the request continues a message of the assistant,
            because the client ran a tool, the identifier of that message is used.
        metadata: The metadata of the message, as JSON values.
        usage: Whether the metadata gets the sum of the tokens of all steps at the end:
            ``{"usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}}``.
        dynamic: The names of tools that the client has no types for; ``True`` for all tools. Their parts have the type
            ``dynamic-tool`` instead of ``tool-NAME``.
        sent: The parts that a stream can have, and the fields of each.
        not_sent: The parts of version 1 that are never sent, and why.
    """

    message_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    usage: bool = False
    dynamic: bool | Collection[str] = False

    sent: ClassVar[Mapping[str, tuple[str, ...]]] = SENT
    not_sent: ClassVar[Mapping[str, str]] = NOT_SENT

    def __post_init__(self) -> None:
        if self.message_id is not None:
            check_kind("message_id", self.message_id, str)
            if not 0 < len(self.message_id) <= _MAX_ID:
                raise ValueError(f"message_id must have 1 to {_MAX_ID} characters, not {len(self.message_id)}")
        if isinstance(self.dynamic, str):
            raise TypeError(f"dynamic must be a bool or the names of tools: write dynamic=[{self.dynamic!r}]")

    @property
    def name(self) -> str:
        """``"ui-message-stream"``."""
        return "ui-message-stream"

    @property
    def headers(self) -> Mapping[str, str]:
        """The header that tells the client the version."""
        return {"x-vercel-ai-ui-message-stream": "v1"}

    @property
    def resumes(self) -> bool:
        """False: a client that comes back wants the whole answer again."""
        return False

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        message_id = self.message_id and (_continued(asked.body) or self.message_id)
        return UIWriter(message_id, self.metadata, self.is_dynamic, usage=self.usage)

    def refusal(self, error: PublicError, /) -> str | None:
        """A sentence, because ``useChat`` shows the text; ``None`` if there is no stream to come back to."""
        return None if error.code == "unknown_stream" else error.message

    def is_dynamic(self, tool: str) -> bool:
        """Whether the client has no types for a tool."""
        return self.dynamic if isinstance(self.dynamic, bool) else tool in self.dynamic


def _continued(body: Mapping[str, Any]) -> str | None:
    """The identifier of the assistant's message that a request goes on with."""
    messages = body.get("messages")
    last = messages[-1] if is_list(messages) and messages else None
    if not is_object(last) or last.get("role") != "assistant":
        return None
    found = last.get("id")
    return found if isinstance(found, str) and 0 < len(found) <= _MAX_ID else None
