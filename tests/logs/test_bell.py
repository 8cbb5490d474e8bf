"""Processes that tell each other that something was written."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from rxllm.stores._bell import Bell, key_of

PATIENCE = 20.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("rxllm.stores._bell.tempfile.gettempdir", lambda: str(tmp_path))
    file = tmp_path / "log.db"
    file.touch()
    return file


def sockets(path: Path) -> list[Path]:
    return [file for file in path.parent.rglob("*") if file.is_socket()]


async def test_whoever_listens_hears_which_stream(path: Path) -> None:
    heard: asyncio.Queue[bytes | None] = asyncio.Queue()
    listener = Bell(path).listen(heard.put_nowait)
    assert listener is not None
    link = path.with_name("link.db")
    link.symlink_to(path)
    Bell(link).ring("monday")
    Bell(path).ring("monday", "cancel")
    async with asyncio.timeout(PATIENCE):
        assert {await heard.get(), await heard.get()} == {key_of("monday", "items"), key_of("monday", "cancel")}
    listener.close()
    assert sockets(path) == []
    Bell(path).ring("monday")


async def test_where_much_rings_at_once_anything_may_have_happened(path: Path) -> None:
    heard: asyncio.Queue[bytes | None] = asyncio.Queue()
    listener = Bell(path).listen(heard.put_nowait)
    assert listener is not None
    for number in range(1000):  # more than any queue holds
        Bell(path).ring(f"stream {number}")
    async with asyncio.timeout(PATIENCE):
        while await heard.get() is not None:
            pass
    listener.close()


async def test_the_socket_of_a_process_that_was_killed_is_removed(path: Path) -> None:
    listener = Bell(path).listen(lambda _: None)
    assert listener is not None
    (bound,) = sockets(path)
    dead = bound.with_name("dead")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(dead))
    Bell(path).ring("monday")
    assert sockets(path) == [bound]
    listener.close()


async def test_a_folder_of_somebody_else_is_not_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / f"rxllm-{os.getuid()}").write_text("a file in its place")
    assert Bell(path).listen(lambda _: None) is None
    Bell(path).ring("monday")
    (path.parent / f"rxllm-{os.getuid()}").unlink()

    def is_none(_: object) -> bool:
        return False

    monkeypatch.setattr("rxllm.stores._bell.stat.S_ISDIR", is_none)
    assert Bell(path).listen(lambda _: None) is None


async def test_a_loop_that_watches_no_sockets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
    monkeypatch.setattr(asyncio.get_running_loop(), "remove_reader", refuse)
    assert Bell(path).listen(lambda _: None) is None
    assert sockets(path) == []


async def test_a_machine_without_such_sockets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("rxllm.stores._bell.socket.AF_UNIX")
    assert Bell(path).listen(lambda _: None) is None
    Bell(path).ring("monday")
