"""Events that are large: what is in them is counted before they are read.

Rules:

1. A small one is not looked at. A large one may be one long text, and mostly is.
2. What one event may cost, in time and memory, is bounded: see ``check_json_size``.
3. Each choice and each piece of a call is handled one by one, so there may be fewer of them.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

from rxllm.exceptions import LimitExceededError, excerpt
from rxllm.models import StreamChunk
from rxllm.wire import check_json_size

MAX_PIECES = 5_000
"""How many choices and pieces of calls a large event may have."""


@contextmanager
def reading_large(data: str | bytes, what: str) -> Generator[None]:
    """Read a large event within.

    Args:
        data: Its data.
        what: What it is, for the error.

    Raises:
        LimitExceededError: There is too much in it.
    """
    # Each collection amid it would look at all that was made so far.
    was_enabled = gc.isenabled()
    try:
        check_json_size(data)
        gc.disable()
        yield
    except LimitExceededError as error:
        message = f"{what} is too much: {error}: {excerpt(data)}"
        raise LimitExceededError(message, limit=error.limit, maximum=error.maximum) from None
    finally:
        if was_enabled:
            gc.enable()


def check_pieces(chunk: StreamChunk) -> None:
    """Check that there are not too many choices and pieces of calls in a chunk.

    Raises:
        LimitExceededError: There are.
    """
    count = sum(1 + len(choice.delta.tool_calls or ()) for choice in chunk.choices)
    if count > MAX_PIECES:
        raise LimitExceededError(
            f"{count} choices and pieces of calls; {MAX_PIECES} are allowed",
            limit="max_pieces",
            maximum=MAX_PIECES,
        )
