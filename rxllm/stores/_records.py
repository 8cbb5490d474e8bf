"""What is recorded of a stream, and the two ends of a store.

Rules:

1. A recording is a sequence of items, numbered from 0, and an ending. Without an ending it was cut: the process was
   killed, or is still writing.
2. An item comes back equal to what it was, extra fields included, or is refused when it is written. What a chunk has
   besides its fields (``begins`` and the like) is written beside it, and comes back, too.
3. A batch that failed is not there for readers of a stream that has ended. The numbers show when something is missing.
4. Readers and writers block, and belong to one thread.

How items come back: a ``StreamChunk`` and the other models of ``rxllm.models``, a ``ServerSentEvent``, an
``AWSFrame``, ``str``, ``bytes`` and JSON values as themselves. These change: a class derived from a model of ours comes
back as that model; other pydantic models and dataclasses as the ``dict`` that their JSON stands for, also in ``before``
and ``after`` of a repair; a ``ToolResult`` without what its ``model_dump`` leaves out. All else is refused: tuples,
sets, dates, iterators, keys that are not strings.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from rxllm import models
from rxllm.exceptions import RecordingError, excerpt
from rxllm.harmless import harmless
from rxllm.models import (
    StreamChunk,
    WireStruct,
    decoder_of,
    harmless_validation,
    without_slots,
)
from rxllm.stores._lossless_json import loads
from rxllm.stores._plain import dump, encode_struct, plain
from rxllm.wire import AWSFrame, AWSFrameDecoder, ServerSentEvent, encode_aws_frame

T = TypeVar("T")

MAX_SECONDS = 2**35
"""The latest time in a recording: more than a thousand years, of which a float still tells the microseconds."""

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=0)]

VERSION = 2
"""The version of JSON lines; version 1 had no slots. Databases count theirs: see ``_sqlite_schema``."""

READABLE = frozenset({1, VERSION})
"""The versions that readers of JSON lines know."""

BATCH_ITEMS = 256
"""How many items a reader holds at a time, unless they are so large that it holds fewer."""

EndingKind: TypeAlias = Literal["completed", "failed", "stopped", "cancelled"]

_FRAME = "aws-frame"

# By class, the most derived first in each method resolution order; "chunk" is by far the most frequent kind.
_KINDS: dict[type, str] = {
    **{
        model: name
        for name in models.__all__
        if isinstance(model := getattr(models, name), type) and issubclass(model, BaseModel | WireStruct)
    },
    StreamChunk: "chunk",
}
_MODELS: dict[str, type[BaseModel | WireStruct]] = {kind: model for model, kind in _KINDS.items()}


# Not frozen: to make one that is takes four times as long, and one is made of each item. Nobody changes them.
@dataclass(slots=True)
class ItemRecord:
    """One item of a stream.

    Attributes:
        position: Its number, from 0.
        seconds: When it was written, in seconds since the stream began.
        kind: ``"chunk"``, ``"sse"``, ``"aws-frame"``, ``"text"``, ``"bytes"``, ``"json"``, or the name of another of
            ``rxllm.models``.
        value: The item as a JSON value. To be written it may be the text of one (``msgspec.Raw``); one that was read
            may be the chunk itself.
        slots: What a chunk has that is not part of its JSON: see ``SlotsEncoder``.
        epoch: Which writer of a log wrote it; 0 where there is but one.
    """

    position: Count
    seconds: Seconds
    kind: str
    value: Any
    slots: dict[str, Any] | None = None
    epoch: Count = 0


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """What a stream failed with.

    Attributes:
        type: The name of the class; with its module, if it is none of ``rxllm.exceptions``.
        message: What the error said.
        attributes: Its attributes, as far as they are plain values.
    """

    type: str
    message: str
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class EndRecord:
    """How a stream ended.

    Attributes:
        seconds: When, in seconds since the stream began.
        items: How many items were stored.
        kind: How, as in ``rxllm.typing.Ending``.
        error: What it failed with.
        completion: What the chunks amount to, as a JSON value: the answer, or what there is of it.
    """

    seconds: Seconds
    items: Count
    kind: EndingKind
    error: ErrorRecord | None = None
    completion: Any = None


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """One recorded stream.

    Attributes:
        stream: Its identifier.
        began: When it began.
        items: How many items are stored.
        ending: How it ended; ``None`` if it was cut, or is still being written.
    """

    stream: str
    began: datetime
    items: Count
    ending: EndingKind | None


_chunk_of = decoder_of(StreamChunk)


_adapters: dict[type, TypeAdapter[Any]] = {}


def checked(kind: type[T], fields: Any) -> T:
    """Make a record, or what else is stored as its fields, of what was read.

    Raises:
        ValueError: The fields are of other types.
    """
    adapter = _adapters.get(kind)
    if adapter is None:
        adapter = _adapters[kind] = TypeAdapter(kind)
    try:
        made: T = adapter.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(harmless(f"{where}: {first['msg']}")) from harmless_validation(error)
    return made


def item_value(kind: str, text: str | bytes) -> Any:
    """The value of an item, of its text; a chunk at once, if it is as a writer of this library has left it.

    Raises:
        ValueError: It is not JSON.
    """
    if kind == "chunk":
        try:
            return _chunk_of(text)
        except (msgspec.MsgspecError, ValueError):
            pass
    return loads(text)


def written_seconds(seconds: float) -> float:
    """A time as it is written, in microseconds at most.

    Raises:
        RecordingError: It is none that a reader would take.
    """
    if not 0 <= seconds <= MAX_SECONDS:
        raise RecordingError(f"{seconds} s after the beginning cannot be recorded as a time")
    return round(seconds, 6)


class Writer(Protocol):
    """The end of a store that a sink holds. All methods block."""

    def begin(self, stream: str, began: datetime) -> None:
        """Begin a stream, under an identifier that no other has."""

    def append(self, stream: str, items: Sequence[ItemRecord]) -> None:
        """Store items: all of them, or none if it raises.

        A store may refuse all items after those that it could not store; the ending it takes.
        """

    def end(self, stream: str, end: EndRecord) -> None:
        """Store the ending; returning means that it and all before it would survive a loss of power."""

    def close(self) -> None:
        """Let go of the store; streams without an ending stay as they are."""


class Reader(Protocol):
    """The end of a store that a source holds. All methods block."""

    def recordings(self) -> list[RecordingInfo]:
        """All streams, in the order in which they began."""
        ...

    def began_anew(self, stream: str) -> int:
        """The position of the last item of a stream that restarts it; 0 if there is none."""
        ...

    def read(self, stream: str, start: int = 0) -> Iterator[Sequence[ItemRecord] | EndRecord]:
        """The items of a stream from a position on in batches, and behind them the ending, if there is one."""
        ...

    def close(self) -> None:
        """Let go of the store."""


def encode_item(item: object) -> tuple[str, Any]:
    """Make a JSON value of an item.

    Args:
        item: Any item; which ones come back as what, is said at the top of this module.

    Returns:
        The kind and the value.

    Raises:
        TypeError: It would come back as something else.
    """
    try:
        return _encode(item)
    except RecursionError as error:
        raise TypeError(f"a {type(item).__name__} is nested too deeply to be recorded") from error


def decode_item(kind: str, value: Any) -> Any:
    """Make the item again of what ``encode_item`` made of it, or ``item_value`` of its text.

    Raises:
        RecordingError: There is no such kind; a newer version of this library wrote it.
        ValueError: The value is not of that kind.
    """
    model = _MODELS.get(kind)
    if model is not None:
        return value if type(value) is model else model.model_validate(value)
    if kind == "sse":
        return checked(ServerSentEvent, value)
    if kind == "json":
        return value
    if kind not in {"text", "bytes", _FRAME}:
        raise RecordingError(f"items of kind {excerpt(kind)} are unknown to this version of rxllm")
    if not isinstance(value, str):
        raise ValueError(f"a string was expected, not {type(value).__name__}")  # noqa: TRY004 - the file is wrong, no caller
    if kind == "text":
        return value
    data = base64.b64decode(value, validate=True)
    if kind != _FRAME:
        return data
    (frame,) = AWSFrameDecoder().feed(data)
    return frame


def _encode(item: object) -> tuple[str, Any]:
    if isinstance(item, BaseModel | WireStruct):
        return _encode_model(item)
    if isinstance(item, ServerSentEvent):
        defaults = ServerSentEvent._field_defaults
        return "sse", {name: value for name, value in item._asdict().items() if value != defaults.get(name, ...)}
    if isinstance(item, str):
        return "text", item
    if isinstance(item, bytes | AWSFrame):
        kind, data = (_FRAME, encode_aws_frame(*item)) if isinstance(item, AWSFrame) else ("bytes", item)
        return kind, base64.b64encode(data).decode()
    if is_dataclass(item) and not isinstance(item, type):
        return "json", to_jsonable_python(item)
    return "json", plain(item)


def _encode_model(item: BaseModel | WireStruct) -> tuple[str, Any]:
    kind = next((kind for each in type(item).__mro__ if (kind := _KINDS.get(each))), "json")
    if isinstance(item, WireStruct):
        return kind, encode_struct(without_slots(item) if isinstance(item, StreamChunk) else item)
    return kind, item.model_dump(mode="json") if kind == "json" else dump(item)
