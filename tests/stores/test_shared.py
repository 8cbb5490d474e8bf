"""A store that several streams use at once."""

from __future__ import annotations

import os

import pytest

from rxllm.stores import Shared


class Store:
    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_a_process_that_was_forked_off_opens_a_store_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[Store] = []

    def itself(store: Store) -> Store:
        return store

    def opened() -> Store:
        stores.append(Store())
        return stores[-1]

    shared = Shared(opened)
    of_the_parent = shared.acquire()
    assert await of_the_parent.run(itself) is stores[0]
    process = os.getpid()
    with monkeypatch.context() as forked:
        forked.setattr("rxllm.stores._shared.os.getpid", lambda: process + 1)
        own = shared.acquire()
        assert shared.acquire() is own
        assert await own.run(itself) is stores[1]
        await shared.release(own)
        await shared.release(own)
    assert [store.is_closed for store in stores] == [False, True]
    await shared.release(of_the_parent)
    assert stores[0].is_closed
