"""Runs programs of others, and reads what they print."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType


async def printed_by(
    command: Sequence[str], folder: Path, *, seconds: float, environment: Mapping[str, str] = MappingProxyType({})
) -> tuple[bytes, str]:
    """What a program prints in a folder, and what it prints to stderr.

    Raises:
        TimeoutError: It takes longer than that, and was ended.
    """
    # A file: what Node prints into a pipe may be cut, if it is more than the pipe holds and the script exits then.
    with TemporaryFile() as printed:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=os.environ | {**environment}, stdout=printed, stderr=PIPE
        )
        try:
            async with asyncio.timeout(seconds):
                _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        printed.seek(0)
        return printed.read(), errors.decode(errors="replace")
