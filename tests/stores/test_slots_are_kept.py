"""What a chunk has beside its fields is kept by both stores and replay, by ``iterate``, and by conflation."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import operators as ops
from rxllm.flow import FlowControl
from rxllm.models import Repair, StreamChunk, StreamInfo, Usage, marked
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.sources import from_recording
from rxllm.stores import SlotsDecoder, SlotsEncoder
from rxllm.stores._lossless_json import dumps, loads
from rxllm.testing import finish_chunk, text_chunk, tool_chunk
from rxllm.typing import Ending
from rxllm.wire import ServerSentEvent

STORES: dict[str, Callable[[Path], StoreSink]] = {"lines": JSONLinesSink, "SQLite": SQLiteSink}

FIRST = StreamInfo(
    dialect="d",
    host="h:1",
    model="m",
    request_id="r",
    rate_limits={"x-ratelimit-remaining": "1"},
    attempt=1,
    requested_at=1.25,
    first_byte_at=1.5,
    last_byte_at=1.75,
    bytes=7,
)
SECOND = StreamInfo(host="other", attempt=2)
REPAIRS = (Repair("set-aside", 3, {"id": [None, 1.5]}, None), Repair("parts-joined", 4, ["a"], "a"))

CHUNKS = [
    marked(text_chunk("a"), stream=FIRST, begins=True),
    marked(text_chunk("b"), stream=FIRST),
    marked(text_chunk("c"), stream=FIRST, repairs=REPAIRS),
    marked(tool_chunk("{}", id="1", name="f"), stream=FIRST, event='{"type": "delta", "é": "\\ud83d"}'),
    text_chunk("by hand"),
    marked(text_chunk("d"), repairs=REPAIRS[:1]),
    marked(text_chunk("e"), stream=SECOND, begins=True, restarts=True, repairs=REPAIRS, event=""),
    marked(finish_chunk(), stream=SECOND),
    marked(StreamChunk.from_wire('{"choices": [], "vendor": {"a": 1}}'), stream=SECOND, event="\n\0"),
]


def beside(chunk: Any) -> tuple[Any, ...]:
    return chunk.stream, chunk.begins, chunk.restarts, chunk.repairs, chunk.event


def streams_of(chunks: Sequence[Any]) -> list[int]:
    """Which chunks have one stream, by the order of their appearance."""
    seen: dict[int, int] = {}
    return [seen.setdefault(id(chunk.stream), len(seen)) for chunk in chunks]


def assert_kept(received: Sequence[Any], sent: Sequence[StreamChunk] = CHUNKS) -> None:
    assert received == sent
    assert [beside(chunk) for chunk in received] == [beside(chunk) for chunk in sent]
    assert streams_of(received) == streams_of(sent)


# Stores and replay ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=STORES.values(), ids=list(STORES))
def sink(request: pytest.FixtureRequest, path: Path) -> StoreSink:
    make: Callable[[Path], StoreSink] = request.param
    return make(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


async def all_of(source: Observable[Any]) -> list[Any]:
    items: list[Any] = await source.pipe(rx_ops.to_list())
    return items


@pytest.mark.parametrize("timing", [{}, {"timing": "recorded", "speed": 1e9}], ids=["none", "recorded"])
async def test_stores_give_back_all_that_a_chunk_has(sink: StoreSink, path: Path, timing: dict[str, Any]) -> None:
    await reactivex.of(*CHUNKS).pipe(ops.tee_to(sink))

    assert_kept(await all_of(from_recording(path, attempts="all", **timing)))


async def test_a_recording_of_a_recording_is_the_same(sink: StoreSink, path: Path, tmp_path: Path) -> None:
    await reactivex.of(*CHUNKS).pipe(ops.tee_to(sink))
    await from_recording(path, attempts="all").pipe(ops.tee_to(JSONLinesSink(tmp_path / "lines")))
    await from_recording(tmp_path / "lines", attempts="all").pipe(ops.tee_to(SQLiteSink(tmp_path / "database")))

    assert_kept(await all_of(from_recording(tmp_path / "database", attempts="all")))


async def test_other_items_between_the_chunks_change_nothing(sink: StoreSink, path: Path) -> None:
    items: list[Any] = [each for chunk in CHUNKS for each in (chunk, "text", ServerSentEvent("x"), Usage())]
    await reactivex.from_iterable(items).pipe(ops.tee_to(sink))

    received = await all_of(from_recording(path, attempts="all"))

    assert [type(item) for item in received] == [type(item) for item in items]
    assert_kept(received[::4])


async def test_a_stream_that_goes_on_counting_is_stored_as_it_was_with_its_first_chunk(
    sink: StoreSink, path: Path
) -> None:
    info = StreamInfo(host="h")
    stream = await sink.open()
    info.received(5, 1.0)
    await stream.write([marked(text_chunk("a"), stream=info)])
    info.received(5, 2.0)
    await stream.write([marked(text_chunk("b"), stream=info)])
    await stream.close(Ending("completed"))

    received = await all_of(from_recording(path))

    assert [chunk.stream.bytes for chunk in received] == [5, 5]
    assert received[0].stream == StreamInfo(host="h", first_byte_at=1.0, last_byte_at=1.0, bytes=5)


def test_what_is_stored_beside_a_plain_chunk_is_nothing() -> None:
    encoder = SlotsEncoder()

    assert [encoder.encode(chunk) for chunk in (text_chunk("a"), CHUNKS[0], CHUNKS[1], "text")] == [
        None,
        {"begins": True, "stream": {**streams_fields(FIRST)}},
        None,
        None,
    ]


def streams_fields(stream: StreamInfo) -> dict[str, Any]:
    return {name: getattr(stream, name) for name in StreamInfo.__struct_fields__}


streams = st.builds(
    StreamInfo,
    dialect=st.none() | st.text(),
    host=st.none() | st.text(),
    request_id=st.none() | st.text(),
    rate_limits=st.dictionaries(st.text(), st.text(), max_size=2),
    attempt=st.integers(1, 9),
    requested_at=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    bytes=st.integers(0, 2**60),
)
repairs = st.lists(
    st.builds(Repair, st.text(), st.integers(0, 9), st.none() | st.text() | st.lists(st.integers()), st.none()),
    max_size=2,
).map(tuple)
slots = st.fixed_dictionaries(
    {},
    optional={"begins": st.booleans(), "restarts": st.booleans(), "repairs": repairs, "replaces_usage": st.booleans()},
)


@given(st.data(), st.lists(st.none() | streams, min_size=1, max_size=3))
def test_whatever_stands_beside_chunks_in_whatever_order_comes_back(
    data: st.DataObject, infos: list[StreamInfo | None]
) -> None:
    given_chunks = st.tuples(st.text(), st.none() | st.text(), st.sampled_from(infos), slots)
    chunks = [
        marked(text_chunk(text), event=event, stream=stream, **beside_it)
        for text, event, stream, beside_it in data.draw(st.lists(given_chunks, max_size=6))
    ]
    encoder, decoder = SlotsEncoder(), SlotsDecoder()

    back: list[StreamChunk] = []
    for chunk in chunks:
        fields = encoder.encode(chunk)
        back.append(text_chunk(chunk.text))
        decoder.restore(back[-1], None if fields is None else loads(dumps(fields)))

    assert [beside(chunk) for chunk in back] == [beside(chunk) for chunk in chunks]


# Copies and bridges --------------------------------------------------------------------------------------------------


def pickled(chunk: StreamChunk) -> StreamChunk:
    copied: StreamChunk = pickle.loads(pickle.dumps(chunk))  # noqa: S301 - our own
    return copied


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, StreamChunk.model_copy, pickled],
    ids=["copy", "deepcopy", "model_copy", "pickle"],
)
def test_copies_have_what_the_chunk_has(copied: Callable[[StreamChunk], StreamChunk]) -> None:
    assert [beside(copied(chunk)) for chunk in CHUNKS] == [beside(chunk) for chunk in CHUNKS]


@pytest.mark.parametrize("buffer_size", [1, 2, 64])
async def test_iterate_hands_over_chunks_as_they_are(sink: StoreSink, path: Path, buffer_size: int) -> None:
    await reactivex.of(*CHUNKS).pipe(ops.tee_to(sink))

    source = from_recording(path, attempts="all")
    assert_kept([chunk async for chunk in rxllm.iterate(source, buffer_size=buffer_size)])


def test_run_hands_over_the_last_chunk_as_it_is() -> None:
    last: StreamChunk = rxllm.run(reactivex.of(*CHUNKS[:7]))

    assert beside(last) == (SECOND, True, True, REPAIRS, "")


# Conflation ----------------------------------------------------------------------------------------------------------


def conflated(chunks: Sequence[StreamChunk]) -> list[StreamChunk]:
    """What is left of chunks that wait for a consumer who takes the first one and is busy."""
    subject: Subject[StreamChunk] = Subject()
    received: list[StreamChunk] = []
    flows: list[FlowControl] = []

    def on_next(chunk: StreamChunk) -> None:
        received.append(chunk)
        flow = FlowControl.current()
        if not flows and flow is not None:
            flow.pause("consumer")
            flows.append(flow)

    subject.pipe(ops.buffer_with_backpressure(64, overflow="conflate")).subscribe(on_next)
    subject.on_next(text_chunk("the first"))
    for chunk in chunks:
        subject.on_next(chunk)
    assert len(received) == 1
    flows[0].resume("consumer")
    subject.on_completed()
    return received[1:]


def test_chunks_of_one_stream_become_one_that_has_the_stream() -> None:
    (chunk,) = conflated([marked(text_chunk(text), stream=FIRST) for text in "abc"])

    assert chunk.text == "abc"
    assert chunk.stream is FIRST
    assert beside(chunk) == (FIRST, False, False, (), None)


@pytest.mark.parametrize("slots", [{"begins": True}, {"begins": True, "restarts": True}, {"repairs": REPAIRS}], ids=str)
def test_what_the_first_of_them_has_is_what_the_one_has(slots: dict[str, Any]) -> None:
    first = marked(text_chunk("a"), stream=FIRST, **slots)

    received = conflated([first, *(marked(text_chunk(text), stream=FIRST) for text in "bc")])

    assert "".join(chunk.text for chunk in received) == "abc"
    assert beside(received[0]) == beside(first)
    assert {beside(chunk)[1:] for chunk in received[1:]} <= {(False, False, (), None)}


def test_what_was_made_of_several_events_is_of_none_of_them() -> None:
    chunks = [marked(text_chunk(text), stream=FIRST, event=text) for text in "abc"]

    assert [(chunk.text, chunk.event) for chunk in conflated(chunks)] == [("abc", None)]
    assert [(chunk.text, chunk.event) for chunk in conflated(chunks[:1])] == [("a", "a")]


@pytest.mark.parametrize(
    "slots",
    [
        {"begins": True},
        {"restarts": True},
        {"begins": True, "restarts": True},
        {"repairs": REPAIRS},
        {"stream": SECOND},
        # Equal, and another all the same.
        {"stream": copy.copy(FIRST)},
        {"stream": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("before", [1, 2, 5])
def test_a_chunk_that_says_something_of_its_own_is_merged_into_none(slots: dict[str, Any], before: int) -> None:
    own = marked(marked(text_chunk("!"), stream=FIRST), **slots)

    received = conflated(
        [*(marked(text_chunk("a"), stream=FIRST) for _ in range(before)), own, marked(text_chunk("b"), stream=FIRST)]
    )

    assert "".join(chunk.text for chunk in received) == "a" * before + "!b"
    assert received[0].text == "a" * before
    assert beside(received[1]) == beside(own)
    assert received[1].stream is own.stream
    assert received[-1].stream is FIRST


def test_nothing_that_stands_beside_chunks_is_lost_while_they_wait() -> None:
    received = conflated(CHUNKS)

    assert [beside(chunk)[1:] for chunk in received if beside(chunk)[1:] != (False, False, (), None)] == [
        beside(chunk)[1:] for chunk in CHUNKS if beside(chunk)[1:] != (False, False, (), None)
    ]
    assert "".join(chunk.text for chunk in received) == "".join(chunk.text for chunk in CHUNKS)


def test_two_answers_that_wait_are_told_apart() -> None:
    first = [marked(text_chunk(text), stream=FIRST, begins=text == "a") for text in "abc"]
    again = [marked(text_chunk(text), stream=SECOND, begins=text == "A", restarts=text == "A") for text in "ABC"]

    completion = rxllm.run(
        reactivex.from_iterable([*conflated([*first, *again]), marked(finish_chunk(), stream=SECOND)]).pipe(
            ops.accumulate()
        )
    )

    assert completion.content == "ABC"
    assert [attempt.stream for attempt in completion.attempts] == [FIRST]


def test_chunks_that_are_merged_are_of_no_one_event() -> None:
    (received,) = conflated([marked(text_chunk(text), stream=FIRST, event=f'"{text}"') for text in "ab"])

    assert (received.text, received.event) == ("ab", None)
