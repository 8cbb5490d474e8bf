"""The file that a chat is kept in: each turn is a stream of it, with what was asked in front of the answer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.cli._conversation import Conversation
from rxllm.exceptions import RecordingError, RxllmError
from rxllm.flow import Stream
from rxllm.models import ChatEvent, Message, is_chat_event
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.sources import from_recording, list_recordings
from rxllm.typing import Sink

_JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})
_NAME = "chat-"


def _new_name() -> str:
    return f"{_NAME}{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass
class ChatStore:
    """Where a chat is kept.

    Attributes:
        path: The file: of JSON lines by its suffix, else of SQLite.
        name: What the chat is called in it.
        turns: How many turns of it are there.
    """

    path: Path
    name: str = field(default_factory=_new_name)
    turns: int = 0

    def begin_anew(self) -> None:
        """Begin another chat."""
        self.name, self.turns = _new_name(), 0

    def keep(self, asked: Sequence[Message], events: Stream[ChatEvent]) -> Stream[Any]:
        """The events of a turn, and have it stored."""
        self.turns += 1
        name = f"{self.name}-{self.turns}"
        kind = JSONLinesSink if self.path.suffix in _JSON_LINES else SQLiteSink
        sink: Sink[Any] = kind(self.path, stream_id=lambda: name)
        everything: Stream[Any] = events
        return everything.pipe(rx_ops.start_with(*asked), ops.tee_to(sink), rx_ops.filter(is_chat_event))

    async def go_on(self, conversation: Conversation) -> None:
        """Go on with the chat that is the last one in the file, if there is any.

        Args:
            conversation: Gets what was said in it.

        Raises:
            RecordingError: The file cannot be read.
        """
        names = [info.stream for info in list_recordings(self.path)] if self.path.exists() else []
        chats = [name for name in names if name.startswith(_NAME)]
        if not chats:
            return
        self.name = chats[-1].rpartition("-")[0]
        turns = [name for name in chats if name.rpartition("-")[0] == self.name]
        self.turns = len(turns)
        for turn in turns:
            await self._read(turn, conversation)

    async def _read(self, turn: str, conversation: Conversation) -> None:
        try:
            async for item in from_recording(self.path, stream=turn):
                conversation.add(item)
        except RecordingError:
            raise
        except RxllmError:
            pass  # what that turn ended with
        conversation.end_turn()
