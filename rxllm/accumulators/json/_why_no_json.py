"""Why an answer has no JSON, or not all of it: the model refused, or something cut the answer.

What is kept of an answer for that is bounded.
"""

from __future__ import annotations

from rxllm.exceptions import DecodeError, StructuredOutputError, excerpt
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import StreamChoice, ending_of, is_reason

_LONGEST_REFUSAL = 4096
_CUTS = {"length": "its length cut the answer", "content_filter": "a content filter cut the answer"}


class WhyNoJSON:
    """What is noted of one choice while it grows.

    Attributes:
        text: The start of its text.
        is_short: Whether more of the text is to be noted.
    """

    __slots__ = ("_finish_reason", "_refusal", "is_short", "text")

    def __init__(self) -> None:
        self.text: str = ""
        self.is_short: bool = True
        self._refusal = ""
        self._finish_reason: str | None = None

    def add_text(self, text: str) -> None:
        """Note what the text gained, while it is short."""
        self.text = (self.text + text[:EXCERPT_LENGTH])[:EXCERPT_LENGTH]
        self.is_short = len(self.text) < EXCERPT_LENGTH

    def add(self, choice: StreamChoice) -> None:
        """Note what else there is: a refusal, a reason for the end."""
        refusal, reason = choice.delta.refusal, choice.finish_reason
        if refusal and len(self._refusal) < _LONGEST_REFUSAL:
            self._refusal += refusal[: _LONGEST_REFUSAL - len(self._refusal)]
        if is_reason(reason):
            self._finish_reason = reason

    def explained(self, error: DecodeError | StructuredOutputError) -> DecodeError | StructuredOutputError:
        """The error that names the reason, if there is one for an answer that is not whole; else what was found.

        Args:
            error: What was found at the end.
        """
        reason = self._finish_reason
        cut = _CUTS.get(ending_of(reason)) if reason else None
        if self._refusal:
            message = f"the model refused: {excerpt(self._refusal)}"
        elif cut is not None:
            message = f"{cut} ({excerpt(reason or '')}) before its JSON ended: {excerpt(self.text)}"
        else:
            if isinstance(error, StructuredOutputError):
                error.finish_reason, error.text = reason, self.text
            return error
        explained = StructuredOutputError(message, refusal=self._refusal or None, finish_reason=reason, text=self.text)
        explained.__cause__ = error
        return explained
