"""How the recorded streams of a dialect are read: whole, in pieces, and cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import reactivex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rxllm
from rxllm import operators as ops
from rxllm.dialects import WireItem, get_reader
from rxllm.exceptions import RxllmError
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.wire import NDJSONDecoder, SSEDecoder
from tests.thorough import times

__all__ = ["Answer", "all_kept", "at_random_splits", "bytewise", "lines_of", "places", "read", "read_items", "texts_of"]

Answer = tuple[ChatCompletion, RxllmError | None]
"""An answer and ``None``, or what came of it and the error that it ended with."""

# Each byte of a long stream alone would take the time of all others.
SINGLE_BYTES = 40_000


def read(pieces: Iterable[bytes], dialect: str, *, lines: bool = False) -> Answer:
    """What a pipeline makes of a body that comes in pieces; it has events, or lines."""
    source = reactivex.from_iterable(pieces)
    parsed = ops.parse(dialect)
    return _completed(source.pipe(ops.decode_ndjson(), parsed) if lines else source.pipe(ops.decode_sse(), parsed))


def read_items(items: Iterable[WireItem], dialect: str) -> Answer:
    """What a pipeline makes of events, or of lines."""
    return _completed(reactivex.from_iterable(items).pipe(ops.parse(dialect)))


def _completed(chunks: reactivex.Observable[StreamChunk]) -> Answer:
    try:
        return rxllm.run(chunks.pipe(ops.accumulate(strict=True))), None
    except RxllmError as error:
        return error.partial or ChatCompletion(), error


def texts_of(wire: bytes) -> list[str]:
    """The data of the events of a body."""
    return [event.data for event in SSEDecoder().feed(wire)]


def lines_of(wire: bytes) -> list[str]:
    """The lines of a body."""
    decoder = NDJSONDecoder()
    return [*decoder.feed(wire), *decoder.close()]


def bytewise(wire: bytes) -> list[bytes]:
    """A body byte by byte; what a long one has more comes in large pieces."""
    single = [wire[place : place + 1] for place in range(min(SINGLE_BYTES, len(wire)))]
    return single + [wire[place : place + 4096] for place in range(SINGLE_BYTES, len(wire), 4096)]


def at_random_splits(wire: bytes, check: Callable[[list[bytes]], None]) -> None:
    """Check a body that is split at some places."""

    @settings(max_examples=times(5), deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(places=st.lists(st.integers(0, len(wire)), max_size=20))
    def split(places: list[int]) -> None:
        marks = [0, *sorted(places), len(wire)]
        check([wire[begin:end] for begin, end in pairwise(marks)])

    split()


def places(length: int, most: int = 40) -> list[int]:
    """Where to cut: at each of the first and last places, and at as many of those between.

    All of them would take a time that grows with the square of the length, and show no more.
    """
    most = times(most)
    between = range(most, length - most, max(1, (length - 2 * most) // most))
    return sorted({*range(min(most, length)), *between, *range(max(0, length - most), length)})


def all_kept(items: Sequence[WireItem], dialect: str) -> list[str]:
    """The events that the chunks of a stream have, whose end is seen with its last item, and not before."""
    decoder = get_reader(dialect).decoder()
    kept: list[str] = []
    for item in items:
        assert not decoder.finished
        kept += [chunk.event for chunk in decoder.decode(item) if chunk.event is not None]
    assert (decoder.finished, decoder.done) == (True, False)
    assert list(decoder.close()) == []
    return kept
