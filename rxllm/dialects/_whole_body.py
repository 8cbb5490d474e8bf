"""An answer that came as a whole, and was no stream."""

from __future__ import annotations

from rxllm.exceptions import excerpt
from rxllm.models import Repair, StreamChunk, marked, put_event


def tell_of_body(chunks: list[StreamChunk], body: str) -> None:
    """Have the first of its chunks say how it came: it has the whole body for its event, and a repair."""
    put_event(chunks[0], body)
    chunks[0] = marked(chunks[0], repairs=(Repair("answer-not-streamed", 0, excerpt(body), None),))
