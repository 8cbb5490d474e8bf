"""How a body is cut into what a dialect reads: for sources, which know nothing else of it.

A new framing is a ``BodyFraming`` with a name of its own in ``Framing`` and in ``_FRAMINGS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

from rxllm.harmless import EXCERPT_LENGTH
from rxllm.wire._aws_frames import AWS_FRAMES, AWSFrameDecoder, starts_aws_frame
from rxllm.wire._first_bytes import EVENT_STREAM, WHITESPACE, starts_events
from rxllm.wire._ndjson import NDJSONDecoder, is_json_object
from rxllm.wire._sse import SSEDecoder, SSETextDecoder, feed
from rxllm.wire._text_decoder import BYTE_ORDER_MARK

Framing: TypeAlias = Literal["sse", "ndjson", "aws-event-stream"]
"""How a body is framed: server-sent events, lines of JSON, or the event stream of AWS."""


class Beginning(ABC):
    """Looks at the first bytes of one body, where its media type does not tell what it is."""

    @abstractmethod
    def look(self, start: bytes | bytearray, *, ended: bool) -> bool | None:
        """Whether a body that starts like this has the framing.

        Args:
            start: All that came, at each call more of it. White space before the first other byte may be gone.
            ended: Whether nothing more comes.

        Returns:
            Whether it has; ``None`` if more of it has to be seen, or nothing came that tells.
        """


class BodyFraming(ABC):
    """One framing. It has no state: the decoder of a stream has.

    Attributes:
        name: What it is chosen by.
        called: What a body of it is, in words: ``an answer that is no …``.
        media_types: Under which media types it comes; the first is the one to ask for.
        feed: Gives a decoder the next bytes, and returns the items that are complete now. Called for each read, so it
            is not a method, which would be one call more. What breaks the rules or a limit is an ``RxllmError``.
    """

    name: ClassVar[Framing]
    called: ClassVar[str]
    media_types: ClassVar[tuple[str, ...]]
    feed: Callable[[Any, bytes], list[Any]]

    @abstractmethod
    def decoder(self, *, max_event_bytes: int, as_texts: bool = False) -> Any:
        """A decoder for one stream.

        Args:
            max_event_bytes: The most bytes that one item may have.
            as_texts: Whether whoever gets the items takes an event that has nothing but data as that text.
        """

    @abstractmethod
    def end(self, decoder: Any, /, *, in_good_order: bool) -> tuple[list[Any], int]:
        """Take note of the end of a stream.

        Args:
            decoder: Its decoder.
            in_good_order: Whether the body ended, and the connection was not lost.

        Returns:
            The items that only the end shows to be some, and how many bytes of an unfinished one are discarded.
        """

    def unread(self, decoder: Any, /) -> str | None:  # noqa: ARG002 - others have some
        """What came and belongs to no item; ``None`` if nothing did."""
        return None

    @abstractmethod
    def beginning(self) -> Beginning:
        """What looks at the first bytes of a body."""

    def instead(self, media_types: Collection[str]) -> str:
        """What came instead of it, by the media types of an answer, in words."""
        if all(each in self.media_types for each in media_types):
            return f"no {self.called}"
        return f"{', '.join(media_types)[:EXCERPT_LENGTH]} instead of {self.media_types[0]}"

    def is_said_by(self, media_types: Collection[str]) -> bool:
        """Whether the media types of a body say that it is framed so, and nothing else."""
        return bool(media_types) and all(each in self.media_types for each in media_types)

    def may_be(self, media_types: Collection[str], start: bytes | bytearray) -> bool:
        """Whether a body that has ended, and whose first bytes do not tell, is taken for one that is framed so."""
        return any(each in self.media_types for each in media_types) or not (start or media_types)


class _SSEBeginning(Beginning):
    def look(self, start: bytes | bytearray, *, ended: bool) -> bool | None:  # noqa: ARG002 - the first bytes tell
        return starts_events(start)


class _ServerSentEvents(BodyFraming):
    name = "sse"
    called = "event stream"
    media_types = (EVENT_STREAM,)

    def __init__(self) -> None:
        self.feed = feed

    def decoder(self, *, max_event_bytes: int, as_texts: bool = False) -> SSEDecoder:
        return (SSETextDecoder if as_texts else SSEDecoder)(max_event_bytes=max_event_bytes)

    def end(self, decoder: SSEDecoder, /, *, in_good_order: bool) -> tuple[list[Any], int]:  # noqa: ARG002 - alike
        discarded = decoder.close()
        return [] if decoder.strays is None else decoder.strays.at_end(), discarded

    def unread(self, decoder: SSEDecoder, /) -> str | None:
        return None if decoder.strays is None else decoder.strays.text

    def beginning(self) -> Beginning:
        return _SSEBeginning()


class _FirstLine(Beginning):
    """Whether the first line is a JSON object by itself. Each byte is looked at once."""

    def __init__(self) -> None:
        self._start: int | None = None
        self._seen = 0

    def look(self, start: bytes | bytearray, *, ended: bool) -> bool | None:
        if self._start is None:
            text = start.removeprefix(BYTE_ORDER_MARK).lstrip(WHITESPACE)
            if not text or (not ended and BYTE_ORDER_MARK.startswith(start)):
                return None
            if not text.startswith(b"{"):
                return False
            self._start = self._seen = len(start) - len(text)
        end = start.find(b"\n", self._seen)
        self._seen = len(start)
        if end < 0 and not ended:
            return None
        return is_json_object(bytearray(start[self._start : end if end >= 0 else None]))


class _LinesOfJSON(BodyFraming):
    name = "ndjson"
    called = "stream of JSON lines"
    media_types = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

    def __init__(self) -> None:
        self.feed = NDJSONDecoder.feed

    def decoder(self, *, max_event_bytes: int, as_texts: bool = False) -> NDJSONDecoder:  # noqa: ARG002 - they are
        return NDJSONDecoder(max_event_bytes=max_event_bytes)

    def end(self, decoder: NDJSONDecoder, /, *, in_good_order: bool) -> tuple[list[Any], int]:
        return decoder.close(in_good_order=in_good_order), decoder.discarded

    def beginning(self) -> Beginning:
        return _FirstLine()


class _FirstFrame(Beginning):
    def look(self, start: bytes | bytearray, *, ended: bool) -> bool | None:
        fits = starts_aws_frame(start)
        return False if fits is None and ended and start else fits


class _FramesOfAWS(BodyFraming):
    name = "aws-event-stream"
    called = "event stream of AWS"
    media_types = (AWS_FRAMES,)

    def __init__(self) -> None:
        self.feed = AWSFrameDecoder.feed

    def decoder(self, *, max_event_bytes: int, as_texts: bool = False) -> AWSFrameDecoder:  # noqa: ARG002 - never
        return AWSFrameDecoder(max_event_bytes=max_event_bytes)

    def end(self, decoder: AWSFrameDecoder, /, *, in_good_order: bool) -> tuple[list[Any], int]:
        if in_good_order:
            decoder.close()
        return [], decoder.pending

    def beginning(self) -> Beginning:
        return _FirstFrame()


_FRAMINGS: MappingProxyType[str, BodyFraming] = MappingProxyType(
    {each.name: each for each in (_ServerSentEvents(), _LinesOfJSON(), _FramesOfAWS())}
)


def framing_of(name: Framing) -> BodyFraming:
    """The framing of a name.

    Raises:
        ValueError: There is none.
    """
    try:
        return _FRAMINGS[name]
    except (KeyError, TypeError):
        raise ValueError(f"unknown framing {name!r}; there are: {', '.join(_FRAMINGS)}") from None
