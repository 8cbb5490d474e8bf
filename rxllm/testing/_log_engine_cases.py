"""What every engine of a log has to do, as cases that run against one: see ``rxllm.stores.LogEngine``.

Each case gets a function that opens an engine, and calls it several times: each engine stands for a process. All of
them are of one log, which holds no stream of the names that the case uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from rxllm.exceptions import ClaimLostError, PositionError, StreamTakenError, UnknownStreamError
from rxllm.models import LogPosition
from rxllm.stores import Cancellation, EndRecord, ItemRecord, LogEngine
from rxllm.testing._log_engine_steps import (
    END,
    FAILED,
    LEASE,
    ODD_NAMES,
    PAGE_BYTES,
    PATIENCE,
    SHORT_LEASE,
    claimed,
    following,
    holds,
    info_of,
    next_page,
    raised,
    records,
    same,
    texts,
    there,
    under_way,
    until_dead,
    until_free,
)

__all__ = ["LogEngineCase", "OpenEngine", "log_engine_cases"]

OpenEngine: TypeAlias = Callable[[], LogEngine]
"""Opens an engine, one more each time, of the same log."""

LogEngineCase: TypeAlias = Callable[[OpenEngine], Awaitable[None]]
"""What an engine has to do: see ``log_engine_cases``."""


async def items_are_read_as_they_were_appended(open_engine: OpenEngine) -> None:
    """In order, with all their fields, in pages of bounded size, by another process."""
    values: list[object] = ["text", "", "\ud83d", "a\0b", {"n": [1, 2.5, None, True, 2**70]}, [], 0, "x" * 100_000]
    items = [
        ItemRecord(number, number / 7, "json", value, {"begins": True} if number == 1 else None)
        for number, value in enumerate(values)
    ]
    async with claimed(open_engine(), "values") as writer:
        same((writer.next, writer.epoch > 0), (0, True))
        await writer.append(items[:3])
        await writer.append(items[3:])
        await writer.append(records(len(items), 150))
        same(writer.next, len(items) + 150)
        epoch = writer.epoch
    found = await there(open_engine(), "values")
    same(
        [(item.position, item.kind, item.value, item.slots) for item in found[: len(items)]],
        [(item.position, item.kind, item.value, item.slots) for item in items],
    )
    same([round(item.seconds, 5) for item in found[:3]], [round(item.seconds, 5) for item in items[:3]])
    same([item.position for item in found], [*range(len(items) + 150)])
    same({item.epoch for item in found}, {epoch})


async def a_page_has_about_as_many_bytes_as_asked_for(open_engine: OpenEngine) -> None:
    """So a reader that stands still holds little. One item is given, however large it is."""
    async with claimed(open_engine(), "sizes") as writer:
        await writer.append([ItemRecord(number, 0.0, "text", "x" * 1000) for number in range(20)])
    async with following(open_engine(), "sizes") as reader:
        same(len((await reader.read(0, size=1)).items), 1)
        holds(len((await reader.read(0, size=4000)).items) in range(1, 9))


async def a_stream_has_one_writer(open_engine: OpenEngine) -> None:
    """Of several claims at once one succeeds."""
    engines = [open_engine() for _ in range(5)]
    claims = await asyncio.gather(*(engine.claim("one", lease=LEASE) for engine in engines), return_exceptions=True)
    writers = [claim for claim in claims if not isinstance(claim, BaseException)]
    same(len(writers), 1)
    holds(all(isinstance(claim, StreamTakenError) and not claim.ended for claim in claims if claim not in writers))
    await writers[0].append(records(0, 1))
    await writers[0].release()
    # Letting go is no ending, and the lease goes on.
    holds(not (await raised(StreamTakenError, open_engine().claim("one", lease=LEASE))).ended)


async def a_former_writer_writes_nothing(open_engine: OpenEngine) -> None:
    """From the moment at which somebody else has claimed the stream."""
    async with (
        claimed(open_engine(), "fenced") as former,
        claimed(open_engine(), "fenced", take_over=True) as writer,
    ):
        holds(writer.epoch > former.epoch)
        await raised(ClaimLostError, former.append(records(0, 1, "former")))
        await raised(ClaimLostError, former.beat())
        await raised(ClaimLostError, former.end(END))
        async with asyncio.timeout(PATIENCE):
            await raised(ClaimLostError, former.cancelled())
        await writer.append(records(0, 2, "new"))
        await raised(ClaimLostError, former.append(records(2, 1, "former")))
        await raised(ClaimLostError, former.append(records(0, 2, "new")))
    same(await texts(open_engine(), "fenced"), ["new 0", "new 1"])


async def writers_that_take_over_at_random_leave_no_gap(open_engine: OpenEngine) -> None:
    """Whatever they have under way."""

    async def write(number: int) -> None:
        async with claimed(open_engine(), "raced", take_over=True) as writer:
            try:
                for _ in range(5 + number):
                    await writer.append(records(writer.next, 3, f"{number}:"))
            except ClaimLostError:
                pass

    await asyncio.gather(*map(write, range(6)))
    items = await there(open_engine(), "raced")
    same([item.position for item in items], [*range(len(items))])
    same([item.epoch for item in items], sorted(item.epoch for item in items))
    same(len({(item.epoch, item.value.partition(":")[0]) for item in items}), len({item.epoch for item in items}))


async def a_batch_is_there_as_a_whole_or_not_at_all(open_engine: OpenEngine) -> None:
    """One whose first number is not the next one is not; one that is sent again is there once."""
    async with claimed(open_engine(), "batches") as writer:
        await writer.append(records(0, 3))
        await writer.append(records(0, 3))
        await writer.append(records(1, 2))
        await raised(ClaimLostError, writer.append(records(4, 2)))
        await raised(ClaimLostError, writer.append(records(2, 2)))
        await writer.append(records(3, 1))
        await writer.append([])
    same(await texts(open_engine(), "batches"), [f"item {number}" for number in range(4)])


async def a_new_writer_goes_on_where_the_former_one_stopped(open_engine: OpenEngine) -> None:
    """With a larger epoch; each item keeps that of its writer."""
    async with claimed(open_engine(), "epochs") as former:
        await former.append(records(0, 2))
    async with claimed(open_engine(), "epochs", take_over=True) as writer:
        same(writer.next, 2)
        same(round((writer.began - former.began).total_seconds(), 3), 0)
        await writer.append(records(2, 1))
    same([item.epoch for item in await there(open_engine(), "epochs")], [former.epoch] * 2 + [writer.epoch])
    same((await info_of(open_engine(), "epochs")).position, LogPosition(writer.epoch, 2))


async def a_silent_writer_is_dead_when_its_lease_is_over(open_engine: OpenEngine) -> None:
    """Readers see it, somebody else may claim the stream, and the former writer writes nothing more."""
    async with claimed(open_engine(), "silent", lease=SHORT_LEASE) as former:
        await former.append(records(0, 1))
        async with following(open_engine(), "silent", LogPosition(former.epoch, 0)) as reader:
            holds(0 < (await reader.read(0, size=PAGE_BYTES)).lease <= SHORT_LEASE)
        holds((await info_of(open_engine(), "silent")).alive)
        await until_dead(open_engine(), "silent")
        holds(not (await info_of(open_engine(), "silent")).alive)
        async with claimed(open_engine(), "silent") as writer:
            await raised(ClaimLostError, former.append(records(1, 1, "former")))
            await writer.append(records(1, 1))
    same(await texts(open_engine(), "silent"), ["item 0", "item 1"])


async def a_writer_that_beats_is_alive(open_engine: OpenEngine) -> None:
    """For as long as it does, without an item; its lease may end and begin again if nobody claimed the stream."""
    async with (
        claimed(open_engine(), "beating", lease=SHORT_LEASE) as writer,
        claimed(open_engine(), "silent beside it", lease=2 * SHORT_LEASE),
    ):
        dead = asyncio.create_task(until_dead(open_engine(), "silent beside it"))
        while not dead.done():
            await writer.beat()
        await dead
        holds(not (await raised(StreamTakenError, open_engine().claim("beating", lease=LEASE))).ended)
        await until_dead(open_engine(), "beating")
        await writer.append(records(0, 1))
        holds(not (await raised(StreamTakenError, open_engine().claim("beating", lease=LEASE))).ended)


async def a_claim_whose_caller_is_cancelled_holds_nothing(open_engine: OpenEngine) -> None:
    """In whatever turn of the loop that is: the name is free again at once."""
    engine = open_engine()
    turns = 0
    while True:
        name = f"given back {turns}"
        claiming = asyncio.create_task(engine.claim(name, lease=LEASE))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not claiming.cancel():
            return await claiming.result().release()
        await asyncio.wait([claiming])
        await until_free(engine, name)
        turns += 1 + turns // 2


async def a_reader_begins_behind_its_position(open_engine: OpenEngine) -> None:
    """Or so many items before."""
    async with claimed(open_engine(), "places") as writer:
        await writer.append(records(0, 5))
        at = [LogPosition(writer.epoch, number) for number in range(7)]
    engine = open_engine()
    same([item.position for item in await there(engine, "places", at[1])], [2, 3, 4])
    same(await there(engine, "places", at[4]), [])
    same([item.position for item in await there(engine, "places", at[3], back=2)], [2, 3, 4])
    same([item.position for item in await there(engine, "places", at[1], back=9)], [0, 1, 2, 3, 4])
    beyond = await raised(PositionError, engine.follow("places", at[5]))
    same((beyond.position, beyond.last), (at[5], at[4]))
    other = LogPosition(writer.epoch + 1, 2)
    same((await raised(PositionError, engine.follow("places", other))).position, other)
    same((await raised(UnknownStreamError, engine.follow("elsewhere", None))).name, "elsewhere")


async def a_reader_that_waits_is_woken(open_engine: OpenEngine) -> None:
    """By items and by the ending, which another process writes."""
    async with (
        asyncio.timeout(PATIENCE),
        claimed(open_engine(), "waking") as writer,
        following(open_engine(), "waking") as reader,
    ):
        for number in range(END.items):
            async with under_way(next_page(reader)) as waiting:
                await info_of(open_engine(), "waking")  # so it has had the time to look, and waits
                await writer.append(records(number, 1))
                same([item.position for item in (await waiting).items], [number])
        async with under_way(next_page(reader)) as waiting:
            await writer.end(END)
            same((await waiting).end, END)


async def the_ending_comes_behind_the_items(open_engine: OpenEngine) -> None:
    """With what it holds; nothing can be added to a stream that has ended."""
    async with claimed(open_engine(), "ended") as writer:
        await writer.append(records(0, 3))
        await writer.end(END)
        await raised(ClaimLostError, writer.append(records(3, 1)))
        await raised(ClaimLostError, writer.end(END))
        await raised(ClaimLostError, writer.beat())
    async with claimed(open_engine(), "failed") as writer:
        await writer.end(FAILED)
    for name, items, end in (("ended", 3, END), ("failed", 0, FAILED)):
        async with following(open_engine(), name) as reader:
            page = await reader.read(LEASE, size=PAGE_BYTES)
            if items:
                same((len(page.items), page.end), (items, None))
                page = await reader.read(LEASE, size=PAGE_BYTES)
            same((len(page.items), page.end), (0, end))
        for take_over in (False, True):
            claim = open_engine().claim(name, lease=LEASE, take_over=take_over)
            holds((await raised(StreamTakenError, claim)).ended)
        info = await info_of(open_engine(), name)
        same((info.items, info.ending, info.alive), (items, end.kind, False))


async def somebody_else_stops_a_stream(open_engine: OpenEngine) -> None:
    """The first request counts, also for a writer that comes later."""
    engine = open_engine()
    await raised(UnknownStreamError, engine.cancel("nothing", Cancellation("why", "who")))
    async with asyncio.timeout(PATIENCE), claimed(open_engine(), "stopped", lease=SHORT_LEASE) as writer:
        async with under_way(writer.cancelled()) as waiting:
            holds((await info_of(engine, "stopped")).alive)
            holds(not waiting.done())
            holds(await engine.cancel("stopped", Cancellation("enough\n\0", "a person")))
            await engine.cancel("stopped", Cancellation("more", "another"))
            same(await waiting, Cancellation("enough\n\0", "a person"))
        await until_dead(engine, "stopped")
        holds(not await engine.cancel("stopped", Cancellation("again", "another")))
        async with claimed(open_engine(), "stopped") as later:
            same(await later.cancelled(), Cancellation("enough\n\0", "a person"))
            await later.end(FAILED)
        holds(not await engine.cancel("stopped", Cancellation("too late", "another")))


async def names_are_any_text(open_engine: OpenEngine) -> None:
    """And names that differ are different streams."""
    for name in ODD_NAMES:
        async with claimed(open_engine(), name) as writer:
            await writer.append([ItemRecord(0, 0.0, "text", name)])
    engine = open_engine()
    for name in ODD_NAMES:
        same(await texts(engine, name), [name])
    holds({*ODD_NAMES} <= {info.stream for info in await engine.streams()})


async def what_is_old_is_removed(open_engine: OpenEngine) -> None:
    """As a whole, and never while its writer is alive. What has the same name later is another stream."""
    engine = open_engine()
    async with claimed(open_engine(), "old") as writer:
        await writer.append(records(0, 2))
        await writer.end(EndRecord(1.0, 2, "completed"))
        last = LogPosition(writer.epoch, 1)
    async with claimed(open_engine(), "alive") as alive, following(open_engine(), "old", last, back=1) as reader:
        await alive.append(records(0, 1))
        same(await engine.expire(older_than=3600.0), [])
        removed = await engine.expire(older_than=0.0)
        holds("old" in removed)
        holds("alive" not in removed)
        await raised(UnknownStreamError, engine.follow("old", None))
        await raised(UnknownStreamError, reader.read(0, size=PAGE_BYTES))
        async with claimed(open_engine(), "old") as writer:
            same((writer.next, writer.epoch > last.epoch), (0, True))
            await writer.append(records(0, 2, "new"))
        await raised(UnknownStreamError, reader.read(0, size=PAGE_BYTES))
        await raised(PositionError, engine.follow("old", last))
        async with claimed(open_engine(), "gone", lease=SHORT_LEASE) as dead:
            await until_dead(engine, "gone")
            holds("gone" in await engine.expire(older_than=0.0))
            await raised(ClaimLostError, dead.append(records(0, 1)))
            await raised(ClaimLostError, dead.beat())
        same(await texts(engine, "alive"), ["item 0"])


async def what_is_too_much_is_removed(open_engine: OpenEngine) -> None:
    """The oldest first, and no more than needed; never a stream whose writer is alive."""
    engine = open_engine()
    async with claimed(open_engine(), "first") as alive:
        await alive.append([ItemRecord(0, 0.0, "text", "x" * 50_000)])
        for name in ("second", "third", "fourth"):
            async with claimed(open_engine(), name) as writer:
                await writer.append([ItemRecord(0, 0.0, "text", "x" * 50_000)])
                await writer.end(EndRecord(1.0, 1, "completed"))
        infos = {info.stream: info for info in await engine.streams()}
        holds(all(infos[name].bytes in range(40_000, 100_000) for name in ("first", "second", "third", "fourth")))
        removed = await engine.expire(keep_bytes=sum(info.bytes for info in infos.values()) - 1)
        same(removed, ["second"])
        holds({*await engine.expire(keep_bytes=1)} >= {"third", "fourth"})
        same(await texts(engine, "first"), ["x" * 50_000])


log_engine_cases: tuple[LogEngineCase, ...] = (
    items_are_read_as_they_were_appended,
    a_page_has_about_as_many_bytes_as_asked_for,
    a_stream_has_one_writer,
    a_former_writer_writes_nothing,
    writers_that_take_over_at_random_leave_no_gap,
    a_batch_is_there_as_a_whole_or_not_at_all,
    a_new_writer_goes_on_where_the_former_one_stopped,
    a_silent_writer_is_dead_when_its_lease_is_over,
    a_writer_that_beats_is_alive,
    a_claim_whose_caller_is_cancelled_holds_nothing,
    a_reader_begins_behind_its_position,
    a_reader_that_waits_is_woken,
    the_ending_comes_behind_the_items,
    somebody_else_stops_a_stream,
    names_are_any_text,
    what_is_old_is_removed,
    what_is_too_much_is_removed,
)
"""The cases: ``await case(open_engine)`` raises what an engine does wrong."""
