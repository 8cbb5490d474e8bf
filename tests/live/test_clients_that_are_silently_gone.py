"""A client whose network is cut, and that says nothing any more, is noticed within 30 seconds.

The client lives in a network of its own, which takes the rights of root on Linux.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from aiohttp import web

import rxllm
from rxllm import serving

SECONDS = 30.0
NUMBERS = itertools.count()

CLIENT = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
connection.sendall(b"GET /%s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % sys.argv[3].encode())
connection.recv(100)
print("reads", flush=True)
while sys.argv[3] != "stands":
    connection.recv(65536)
time.sleep(3600)
"""


def ip(*arguments: str, check: bool = True) -> int:
    program = shutil.which("ip") or "ip"
    return subprocess.run([program, *arguments], check=check, capture_output=True).returncode


@dataclass(frozen=True)
class Network:
    """A network of its own for clients, and the address of this side."""

    name: str
    address: str

    def cut(self) -> None:
        """Let nothing of the client through any more, in silence."""
        ip("-n", self.name, "route", "add", "blackhole", f"{self.address}/32")


@pytest.fixture
def network() -> Iterator[Network]:
    if not sys.platform.startswith("linux") or os.geteuid() or shutil.which("ip") is None:
        pytest.skip("takes the rights of root, and ip")
    number = (os.getpid() + next(NUMBERS)) % 250
    name = f"rx{os.getpid() % 100_000}-{number}"
    if ip("netns", "add", name, check=False):
        pytest.skip("networks cannot be made here")
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "there", "netns", name)
        ip("addr", "add", f"10.211.{number}.1/24", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "addr", "add", f"10.211.{number}.2/24", "dev", "there")
        ip("-n", name, "link", "set", "there", "up")
        yield Network(name, f"10.211.{number}.1")
    finally:
        ip("link", "delete", name, check=False)
        ip("netns", "delete", name, check=False)


async def words(*, pause: float, left: asyncio.Event) -> AsyncIterator[str]:
    try:
        while True:
            yield "word " * 100
            await asyncio.sleep(pause)
    finally:
        left.set()


@pytest.mark.parametrize(("path", "pause"), [pytest.param("idle", 3600.0, marks=pytest.mark.long), ("busy", 0.01)])
async def test_it_is_noticed(network: Network, path: str, pause: float) -> None:
    left = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, rxllm.from_async_iterable(lambda: words(pause=pause, left=left)))

    app = web.Application()
    app.router.add_get("/{path}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, network.address, 0).start()
    command = ("ip", "netns", "exec", network.name, sys.executable, "-c", CLIENT, network.address)
    client = await asyncio.create_subprocess_exec(
        *command, str(runner.addresses[0][1]), path, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        assert await client.stdout.readline() == b"reads\n"
        await asyncio.sleep(0.2)

        network.cut()

        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(SECONDS):
            await left.wait()
        print(f"{path}: noticed after {asyncio.get_running_loop().time() - began:.1f} s")  # noqa: T201
    finally:
        client.kill()
        await client.wait()
        await runner.cleanup()


@pytest.mark.long
async def test_one_that_stands_still_is_not_taken_for_gone(network: Network) -> None:
    left = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, rxllm.from_async_iterable(lambda: words(pause=0.0, left=left)))

    app = web.Application()
    app.router.add_get("/{path}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, network.address, 0).start()
    command = ("ip", "netns", "exec", network.name, sys.executable, "-c", CLIENT, network.address)
    client = await asyncio.create_subprocess_exec(
        *command, str(runner.addresses[0][1]), "stands", stdout=asyncio.subprocess.PIPE
    )
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SECONDS + 10):
                await left.wait()
    finally:
        client.kill()
        await client.wait()
        await runner.cleanup()
