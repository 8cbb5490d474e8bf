"""An answer that came as a whole, and was not a stream."""

from __future__ import annotations

from typing import Any

from rxllm.exceptions import excerpt
from rxllm.models import Repair, StreamChunk, loads, marked, put_event


def value_of_body(body: str) -> Any:
    """What a body is as JSON; ``None`` if it is none."""
    try:
        return loads(body)
    except ValueError:
        return None


def tell_of_body(chunks: list[StreamChunk], body: str) -> None:
    """Have the first of its chunks say how it came: it has the whole body for its event, and a repair."""
    put_event(chunks[0], body)
    chunks[0] = marked(chunks[0], repairs=(Repair("answer-not-streamed", 0, excerpt(body), None),))
