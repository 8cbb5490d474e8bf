"""What ``rxllm replay`` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm import testing
from rxllm.bridges import run
from rxllm.cli._outcome import Status, UsageError
from rxllm.cli._showing import show
from rxllm.dialects import get_reader
from rxllm.flow import Stream
from rxllm.harmless import harmless
from rxllm.models import Message, Role, StreamChunk, is_chat_event
from rxllm.sinks import DisplayStyle
from rxllm.sources import Timing, from_recording, list_recordings
from rxllm.stores import encode_item
from rxllm.wire import AWSFrame, ServerSentEvent, WireEnd

_WIRE_START = b'{"record":"request"'


@dataclass(frozen=True)
class Recording:
    """A recording, of whatever kind.

    Attributes:
        path: The file.
        name: Which stream of it; ``None`` for the last one.
        dialect: What the server spoke, if the bytes that it sent are what was recorded.
    """

    path: Path
    name: str | None = None
    dialect: str = "auto"

    def is_of_the_wire(self) -> bool:
        """Whether it holds the bytes of one request.

        Raises:
            UsageError: It can be read only once.
        """
        if self.path.is_fifo() or self.path.is_socket():
            raise UsageError(f"{self.path} is a pipe, which cannot be read twice: write it to a file, and play that")
        try:
            with self.path.open("rb") as file:
                return file.read(len(_WIRE_START)) == _WIRE_START
        except OSError:
            return False  # whoever reads it says what is wrong

    def stream(self, speed: float) -> Stream[Any]:
        """What was recorded.

        Args:
            speed: How many times as fast as it came; 0 for at once.

        Raises:
            UsageError: There is no such dialect, or a name was given where there are none.
            RecordingError: At once or as ``on_error``: it cannot be read.
        """
        timing: Timing = "recorded" if speed else "none"
        if not self.is_of_the_wire():
            return from_recording(self.path, stream=self.name, timing=timing, speed=speed or 1.0)
        if self.name is not None:
            raise UsageError(f"{self.path} is a wire recording, of one request: leave out --name")
        try:
            reader = get_reader(self.dialect)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return testing.replay(self._loaded(), timing=timing, speed=speed or 1.0).pipe(ops.parse(reader))

    def _loaded(self) -> testing.WireRecording:
        """The bytes of a request. Where the client had left, the connection is lost: nobody waits for more."""
        loaded = testing.WireRecording.load(self.path)
        end = loaded.end
        if end is None or end.ending != "left" or end.error is not None:
            return loaded
        return replace(loaded, end=WireEnd(end.at, "lost", error="here the client had left"))

    def rows(self) -> Iterable[tuple[str, ...]]:
        """What there is in it, a row each.

        Raises:
            RecordingError: It cannot be read.
        """
        if self.is_of_the_wire():
            loaded = testing.WireRecording.load(self.path)
            status = "no answer" if loaded.response is None else f"status {loaded.response.status}"
            ending = "cut" if loaded.end is None else loaded.end.ending
            request = f"{loaded.request.method} {loaded.request.url}"
            yield request, loaded.request.began, f"{status}, {len(loaded.reads)} reads", ending
            return
        for info in list_recordings(self.path):
            began = f"{info.began.astimezone():%Y-%m-%d %H:%M:%S}"
            yield info.stream, began, f"{info.items} items", info.ending or "cut, or under way"


def list_streams(recording: Recording) -> Status:
    """Print what is in a recording, in columns."""
    rows = [tuple(map(harmless, row)) for row in recording.rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{'  '.join(cells).rstrip()}\n")
    return Status.WHOLE


def play(stream: Stream[Any], style: DisplayStyle) -> Status:
    """Show what was recorded, as it was shown when it came.

    Raises:
        Exception: What the recorded stream failed with.
    """
    run(show(stream.pipe(rx_ops.map(_displayed), rx_ops.filter(bool)), style))
    return Status.WHOLE


def print_chunks(stream: Stream[Any]) -> Status:
    """Print what was recorded, an item a line.

    Raises:
        Exception: What the recorded stream failed with.
    """

    def write(item: Any) -> None:
        sys.stdout.write(f"{_json(item)}\n")
        sys.stdout.flush()

    run(stream.pipe(rx_ops.do_action(write)))
    return Status.WHOLE


def _displayed(item: Any) -> Any:
    """What a display shows of an item."""
    if isinstance(item, StreamChunk | str | ServerSentEvent | AWSFrame) or is_chat_event(item):
        return item
    if isinstance(item, Message):
        return _question(item)
    return item.decode(errors="replace") if isinstance(item, bytes) else f"{_json(item)}\n"


def _question(message: Message) -> str:
    """What was asked, as Markdown; in a pipe there is nothing but answers."""
    if message.role != Role.USER or not sys.stdout.isatty():
        return ""
    return "".join(f"> {line}\n" for line in message.text.split("\n")) + "\n"


def _json(item: Any) -> str:
    """An item in ASCII, so that nothing of it controls a terminal."""
    text: str | bytes
    if isinstance(item, BaseModel | StreamChunk):
        text = item.model_dump_json(exclude_none=True)
    else:
        text = msgspec.json.encode(encode_item(item)[1])
    return json.dumps(json.loads(text), separators=(",", ":"))
