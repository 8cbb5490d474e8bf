"""Whole characters for event streams, which are text, of items that were cut anywhere.

Rules:

1. An item of which the last character goes on in the next one is held back until that is there, so that what was told
   ends where an offset is. The last item is told in any case.
2. What is held is bounded: of more than a batch that never ends with a character, the broken ones are replaced.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import replace

from rxllm.serving._durable_offset import Offset
from rxllm.serving._durable_reader import Batch

__all__ = ["WholeTexts"]

_LONGEST_PART = 3
_decoder = codecs.getincrementaldecoder("utf-8")


class WholeTexts:
    """Makes batches of such that end with a character.

    Args:
        most: How many bytes are held back at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: Sequence[bytes] = ()
        self._starts: Sequence[Offset] = ()

    def whole(self, batch: Batch) -> Batch:
        """What can be told: what was held back and the next batch, or less."""
        messages = [*self._messages, *batch.messages]
        starts = [*self._starts, *batch.starts]
        told = len(messages)
        if batch.ending is None:
            while _cut(messages[:told]):
                told -= 1
            if sum(map(len, messages[told:])) > self._most:
                told = len(messages)
        self._messages, self._starts = messages[told:], starts[told:]
        offset = self._starts[0] if self._starts else batch.offset
        return replace(batch, messages=messages[:told], starts=starts[:told], offset=offset)


def _cut(messages: Sequence[bytes]) -> bool:
    """Whether the last character is not whole."""
    tail = b""
    for message in reversed(messages):
        tail = message[-_LONGEST_PART:] + tail
        if len(tail) >= _LONGEST_PART:
            break
    decoder = _decoder("replace")
    decoder.decode(tail)
    return bool(decoder.getstate()[0])
