"""How fast an answer comes.

Rules:

1. While an answer comes, only the time of each chunk is noted. Everything else is worked out when somebody asks.
2. The clock stands still while the source is paused: what a consumer takes is none of the provider's time.
3. A request that was sent before the watch was started is one of a recording, or somebody else's: when its chunks come
   here tells nothing of the provider. Only what its ``StreamInfo`` says is known of it.
4. What is kept is bounded: of very many chunks the gaps are counted, rounded to a tenth of a millisecond.
5. When an answer begins anew, so do the times. Each try has a request of its own.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from itertools import accumulate, repeat
from math import ceil
from operator import sub
from typing import Any

from rxllm.models import Slots, StreamChunk, StreamInfo, Timing, Usage

_MOST_TIMES = 262_144
_DIGITS = 4


class Stopwatch:
    """Measures one answer.

    Args:
        now: What the clock says when the answer is subscribed to, in seconds since any moment.
        unix: The Unix time at that moment, in seconds.

    Example:
        >>> from rxllm.testing import text_chunk
        >>> watch = Stopwatch(10.0, unix=1_700_000_000.0)
        >>> watch.add([text_chunk("Hel")], 10.5)
        >>> watch.add([text_chunk("lo"), text_chunk("!")], 10.75)
        >>> timing = watch.timing()
        >>> timing.first_text, timing.chunks, timing.gap_longest, timing.gap_longest_at
        (0.5, 3, 0.25, 1)
    """

    __slots__ = (
        *("_attempts", "_began", "_call_at", "_end", "_gaps", "_held", "_held_before"),
        *("_slots", "_stream", "_text_at", "_times", "_told", "_unix"),
    )

    def __init__(self, now: float, *, unix: float) -> None:
        self._began = self._end = now
        self._unix = unix
        # How long the source has been paused, as it told last, and in all.
        self._told: float | None = None
        self._held = 0.0
        self._attempts = 1
        self._slots: Slots | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        # When each chunk came, on the clock that stands still while the source is paused.
        self._times = array("d")
        self._gaps = _Gaps()
        self._held_before = self._held
        self._stream: StreamInfo | None = None
        self._text_at: float | None = None
        self._call_at: float | None = None

    def add(self, items: Sequence[object], now: float, paused: float = 0.0, stream: StreamInfo | None = None) -> None:
        """Take note of chunks that came together.

        Args:
            items: The chunks, or items of another kind, which are counted. None of them: what the clock says now.
            now: What the clock says.
            paused: How many seconds their source has been paused so far, as ``FlowControl.paused_time``.
            stream: The request behind items that do not tell of it themselves.
        """
        self.tick(len(items), now, paused)
        for number, item in enumerate(items):
            if isinstance(item, StreamChunk):
                self.look(item, len(items) - number)
        if self._stream is None:
            self._stream = stream

    def tick(self, count: int, now: float, paused: float) -> None:
        """Note when a batch came, of so many chunks that ``look`` may be shown: what ``add`` does of it all."""
        if paused != self._told:
            before, self._told = self._told, paused
            # Another source counts from the beginning. What was before the first item is none of this stream.
            self._held += 0.0 if before is None else paused - before if paused > before else paused
        times = self._times
        if count == 1:
            times.append(now - self._held)
        elif count:
            times += array("d", (now - self._held,)) * count
        else:
            self._end = now - self._held
        if len(times) >= _MOST_TIMES:
            self._gaps.take(times, _DIGITS)
            del times[:-1]

    def look(self, chunk: StreamChunk, left: int | None = None) -> None:
        """See what a chunk of the batch says, or the first one of those that say the same.

        Args:
            chunk: The chunk.
            left: How many of the batch there are from here on; one if that is not known.
        """
        if chunk.slots is not self._slots:
            self._meet(chunk, left or 1)
        if self._text_at is not None and self._call_at is not None:
            return
        for choice in chunk.choices:
            delta = choice.delta
            if self._text_at is None and (delta.content or delta.refusal):
                self._text_at = self._times[-1]
            if self._call_at is None and (delta.tool_calls or delta.function_call):
                self._call_at = self._times[-1]

    def _meet(self, chunk: StreamChunk, left: int) -> None:
        """Take note of what is said of a chunk besides its fields."""
        self._slots = chunk.slots
        if chunk.restarts and (self._stream is not None or chunk.attempts):
            self._attempts += 1
            times = self._times[-left:]
            self._begin_anew()
            self._times = times
        if chunk.attempts:
            self._attempts = len(chunk.attempts) + 1
        if self._stream is None:
            self._stream = chunk.stream

    @property
    def elapsed(self) -> float:
        """Seconds since the watch was started, with everything in it."""
        return self._last + self._held - self._began

    @property
    def paused(self) -> float | None:
        """How many of them consumers held the source; ``None`` if the clock tells nothing of the provider."""
        return self._held if self._is_from_here else None

    @property
    def first_chunk(self) -> float | None:
        """Seconds from the request to the first chunk; ``None`` as well if there was none."""
        first = self._first
        return None if first is None or not self._is_from_here else max(first - self._since, 0.0)

    def timing(self, usage: Usage | None = None) -> Timing:
        """What was measured so far. This takes time for each chunk.

        Args:
            usage: What the answer cost, for the tokens a second.
        """
        stream = self._stream
        sent, byte = (None, None) if stream is None else (stream.requested_at, stream.first_byte_at)
        fields: dict[str, Any] = {
            "first_byte": None if sent is None or byte is None else max(byte - sent, 0.0),
            "chunks": self._gaps.count + len(self._times),
            "elapsed": self.elapsed,
            "attempts": self._attempts,
        }
        if self._is_from_here:
            fields |= self._moments() | self._rates(usage) | {"paused": self._held}
            fields["bytes"] = None if stream is None or byte is None else stream.bytes
        return Timing(**fields)

    @property
    def _is_from_here(self) -> bool:
        """Whether what the clock says tells of the provider: the request was not sent before this was started."""
        sent = None if self._stream is None else self._stream.requested_at
        return sent is None or sent >= self._unix

    def gaps(self, most: int) -> list[float]:
        """Times between two chunks, in seconds and in their order; none if the clock tells nothing of the provider.

        Args:
            most: How many at most. Of more than that, some that are spread evenly over the answer.
        """
        times = self._times
        count = len(times) - 1
        if count < 1 or not self._is_from_here:
            return []
        number = min(count, most)
        # In the middle of each part: what comes first of an answer is often none of the rest.
        places = [1 + (2 * each + 1) * count // (2 * number) for each in range(number)]
        return [max(times[place] - times[place - 1], 0.0) for place in places]

    def _moments(self) -> dict[str, Any]:
        since = self._since
        moments = {
            "first_chunk": self._first,
            "first_text": self._text_at,
            "first_call": self._call_at,
            "total": self._last,
        }
        return {name: None if at is None else max(at - since, 0.0) for name, at in moments.items()}

    @property
    def _since(self) -> float:
        """When the request was sent, on the clock that stands still while the source is paused."""
        sent = None if self._stream is None else self._stream.requested_at
        return (self._began if sent is None else self._began + sent - self._unix) - self._held_before

    @property
    def _last(self) -> float:
        """When the end came, or what came last."""
        return max(self._end, *self._times[-1:], self._began)

    @property
    def _first(self) -> float | None:
        return self._gaps.first if self._gaps.first is not None else next(iter(self._times), None)

    def _rates(self, usage: Usage | None) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        first = self._first
        if first is not None:
            gaps = copy(self._gaps)
            gaps.take(self._times)
            fields |= gaps.told()
            tokens, seconds = None if usage is None else usage.completion_tokens, self._times[-1] - first
            fields["tokens_per_second"] = tokens / seconds if tokens and seconds > 0 else None
        return fields


class _Gaps:
    """The times between chunks.

    Attributes:
        count: How many there were.
        first: When the first chunk came.
    """

    def __init__(self) -> None:
        self.count: int = 0
        self.first: float | None = None
        self._counted: defaultdict[float, int] = defaultdict(int)
        self._longest = -1.0
        self._longest_at = 0

    def __copy__(self) -> _Gaps:
        copied = _Gaps()
        vars(copied).update(vars(self), _counted=self._counted.copy())
        return copied

    def take(self, times: array[float], digits: int | None = None) -> None:
        """Take those between chunks; what comes next is behind the last of these.

        Args:
            times: When the chunks came.
            digits: To how many digits the gaps are to be rounded.
        """
        if self.first is None:
            self.first = times[0]
        gaps = list(map(max, map(sub, times[1:], times), repeat(0.0)))
        if not gaps:
            return
        longest = max(gaps)
        if longest > self._longest:
            self._longest, self._longest_at = longest, self.count + 1 + gaps.index(longest)
        self.count += len(gaps)
        # Those of chunks that came together are nothing: mostly that is nearly all of them.
        passed = list(filter(None, gaps))
        counted = self._counted
        counted[0.0] += len(gaps) - len(passed)
        for gap in passed:
            counted[gap if digits is None else round(gap, digits)] += 1

    def told(self) -> dict[str, Any]:
        """The fields of a ``Timing`` that tell of gaps."""
        if not self.count:
            return {}
        return {
            "gap_p50": self._at_most(ceil(self.count * 0.5)),
            "gap_p90": self._at_most(ceil(self.count * 0.9)),
            "gap_longest": self._longest,
            "gap_longest_at": self._longest_at,
        }

    def _at_most(self, number: int) -> float:
        """How long that many of the gaps are at most."""
        gaps = sorted(self._counted)
        passed = accumulate(self._counted[gap] for gap in gaps)
        return next(gap for gap, reached in zip(gaps, passed, strict=True) if reached >= number)
