"""How fast an answer came."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Timing(BaseModel):
    """How fast an answer came, and how long it waited.

    All times are in seconds since the request was sent, or since the subscription if no request is known. Their clock
    stops while a consumer pauses the source: only ``elapsed`` includes ``paused``. Values that are not known are
    ``None``: a recording, for example, only knows when the first byte came.

    Attributes:
        first_byte: Until the first byte of the answer's body.
        first_chunk: Until the first chunk, whatever it says.
        first_text: Until the first chunk with text, or with a refusal, in any choice.
        first_call: Until the first piece of a tool call.
        total: Until the end; if there is none yet, until the last chunk.
        gap_p50: The median of the times between two chunks. That time is 0 for chunks that came in one read.
        gap_p90: Nine of ten times between two chunks are not longer than this.
        gap_longest: The longest time between two chunks.
        gap_longest_at: The number of the chunk after the longest gap, counted from 0.
        tokens_per_second: The tokens of the answer, as the server counts them, divided by the time between the first
            chunk and the last.
        chunks: How many chunks came.
        bytes: How many bytes of the body came.
        paused: How many seconds consumers paused the source.
        elapsed: The seconds from the subscription to the end, including ``paused``, failed tries and the waits between
            tries.
        attempts: How many tries it took. All values but ``elapsed`` are about the last try.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    first_byte: float | None = None
    first_chunk: float | None = None
    first_text: float | None = None
    first_call: float | None = None
    total: float | None = None
    gap_p50: float | None = None
    gap_p90: float | None = None
    gap_longest: float | None = None
    gap_longest_at: int | None = None
    tokens_per_second: float | None = None
    chunks: int = 0
    bytes: int | None = None
    paused: float | None = None
    elapsed: float | None = None
    attempts: int = 1
