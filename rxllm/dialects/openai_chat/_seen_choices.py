"""Whether the answer in a stream is whole.

Rules:

1. It has finished when every choice that was seen has a reason for its end, at least one was seen, and no arguments of
   a call are open.
2. A reason that says that the server gave up makes it no whole answer, however the stream ends.
"""

from __future__ import annotations

from rxllm.dialects.openai_chat._open_calls import OpenCalls
from rxllm.exceptions import EmptyStreamError, TruncatedStreamError, excerpt
from rxllm.models import WHOLE, StreamChoice, ending_of, is_reason

# What a server may say and mean.
_ENDS = WHOLE | {"paused"}


class SeenChoices:
    """The choices that were seen in a stream.

    Attributes:
        calls: The calls in them. What they gain has to be put in here.
        ended: Whether each has a reason for its end, and there is one.
        seen: Why each has ended, ``""`` if it has not.
    """

    __slots__ = ("_unfinished", "calls", "ended", "seen")

    def __init__(self) -> None:
        self.calls = OpenCalls()
        self.ended = False
        self._unfinished = 0
        self.seen: dict[int, str] = {}

    @property
    def finished(self) -> bool:
        """Whether the answer is whole: see rule 1."""
        return self.ended and not self.calls

    def take(self, choice: StreamChoice) -> None:
        """Take what a choice gained."""
        known = self.seen.get(choice.index)
        if known is None:
            self._unfinished += 1
        reason = choice.finish_reason if choice.finish_reason and is_reason(choice.finish_reason) else known or ""
        if reason and not known:
            self._unfinished -= 1
        self.seen[choice.index] = reason
        self.ended = not self._unfinished
        if choice.delta.tool_calls is not None:
            self.calls.add(choice)

    def cut(self, events: int, marker: str) -> EmptyStreamError | TruncatedStreamError | None:
        """The error about a stream that ended without its end marker, unless the answer is whole."""
        if self.finished:
            return None
        began = f"the stream ended after {events} events without {marker}, and"
        if not self.seen:
            return EmptyStreamError(f"{began} no choice had begun")
        unfinished = tuple(sorted(index for index, reason in self.seen.items() if not reason))
        what = f"choices {unfinished} had no finish_reason" if unfinished else "the arguments of a call were open"
        return TruncatedStreamError(f"{began} {what}", unfinished=unfinished or tuple(sorted(self.seen)), events=events)

    def nothing(self, events: int, marker: str) -> EmptyStreamError | None:
        """The error about an end marker that came before any choice."""
        return None if self.seen else EmptyStreamError(f"{marker} came after {events} events, and no choice had begun")

    def given_up(self, events: int) -> TruncatedStreamError | None:
        """The error about an answer of which the server said that it gave up."""
        failed = {index: reason for index, reason in self.seen.items() if reason and ending_of(reason) not in _ENDS}
        if not failed:
            return None
        said = ", ".join(excerpt(reason) for reason in failed.values())
        unfinished = tuple(sorted(failed))
        return TruncatedStreamError(
            f"the server gave up on the answer: choices {unfinished} ended with {said}",
            unfinished=unfinished,
            events=events,
        )
