"""How fast an answer came."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Timing(BaseModel):
    """How fast an answer came, and what it waited for.

    All times are in seconds since the request was sent, or since the subscription where no request is known. They are
    on a clock that stands still while a consumer holds the source: ``paused`` is in none of them but ``elapsed``. What
    is not known is ``None``: a recording, for example, has kept when the first byte came and nothing behind it.

    Attributes:
        first_byte: Until the first byte of the answer's body.
        first_chunk: Until the first chunk, whatever it says.
        first_text: Until the first chunk with text, or with a refusal, in any choice.
        first_call: Until the first piece of a tool call.
        total: Until the end; if there is none yet, until the last chunk.
        gap_p50: The median of the times between two chunks, which is 0 for those that came in one read.
        gap_p90: Nine of ten of them are not longer than this.
        gap_longest: The longest of them.
        gap_longest_at: The number of the chunk behind the longest, counted from 0.
        tokens_per_second: The tokens of the answer, as the server counts them, over the time between the first chunk
            and the last.
        chunks: How many chunks came.
        bytes: How many bytes of the body.
        paused: How many seconds consumers held the source.
        elapsed: The seconds from the subscription to the end with everything in it: tries that were given up and the
            waits between them, and ``paused``.
        attempts: How many tries it took; all but ``elapsed`` tells of the last one.
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
