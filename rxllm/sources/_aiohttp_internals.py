"""What the sources use of aiohttp beyond its public interface; nothing else may.

A reader that has failed raises before it gives out what arrived in the same turn of the loop, or while a consumer
paused. ``read_nowait`` raises, too: the error, and after a time-out that once more. ``take_rest`` avoids both.

``tests/sources/test_aiohttp_internals.py`` says what broke when aiohttp has changed it.
"""

from __future__ import annotations

import aiohttp
from aiohttp.helpers import TimerNoop


def take_rest(content: aiohttp.StreamReader) -> bytes:
    """What a reader that has failed still holds."""
    content._timer = TimerNoop()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return content._read_nowait(-1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
