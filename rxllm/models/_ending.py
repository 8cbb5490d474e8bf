"""How an answer ended, in one vocabulary for all servers.

Rules:

1. A server's own word stays where it was, in ``finish_reason``. What it means is told by ``ending_of``, which does not
   care about case and hyphens.
2. A word that nobody listed is an ending of its own, ``"unknown"``, and so is an end without a word. Text comes out all
   the same; no tool is run.
3. Of the endings of several choices the worst counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, get_args

from rxllm.exceptions import EmptyStreamError, StreamInterruptedError, TruncatedStreamError

AnswerEnding: TypeAlias = Literal[
    "completed", "length", "content_filter", "unknown", "paused", "stopped", "truncated", "timed_out", "failed"
]
"""How an answer ended, from the best to the worst: see ``ChatCompletion.ending``."""

_FROM_THE_BEST: tuple[AnswerEnding, ...] = get_args(AnswerEnding)
_NO_REASONS = frozenset({"", "null", "none"})
_WORDS: dict[AnswerEnding, str] = {
    "completed": "stop eos eos_token end_turn stop_sequence stop_token complete completed tool_calls tool_call "
    "tool_use function_call",
    "length": "length max_tokens max_output_tokens max_completion_tokens max_length model_length "
    "model_context_window_exceeded",
    "content_filter": "content_filter content_filtered safety refusal guardrail_intervened",
    "paused": "pause_turn",
    "truncated": "error abort aborted cancelled canceled failed network_error insufficient_system_resource",
}
_ENDINGS: dict[str, AnswerEnding] = {word: ending for ending, words in _WORDS.items() for word in words.split()}

WHOLE: Final = frozenset[AnswerEnding]({"completed", "length", "content_filter", "unknown"})
"""The endings of an answer that is whole: as long as it was to become."""

_CUTS = (StreamInterruptedError, TruncatedStreamError, EmptyStreamError)


def is_reason(word: str | None) -> bool:
    """Whether a ``finish_reason`` says that the choice ended: some servers write ``"null"`` while it goes on."""
    return word is not None and word.strip().lower() not in _NO_REASONS


def ending_of(reason: str) -> AnswerEnding:
    """What the word of a server means.

    >>> ending_of("MAX_TOKENS"), ending_of("tool-calls"), ending_of("moonrise")
    ('length', 'completed', 'unknown')
    """
    return _ENDINGS.get(reason.strip().lower().replace("-", "_"), "unknown")


def worst_of(endings: Iterable[AnswerEnding]) -> AnswerEnding:
    """The worst of several endings; ``"unknown"`` of none."""
    places = [_FROM_THE_BEST.index(ending) for ending in endings]
    return _FROM_THE_BEST[max(places)] if places else "unknown"


def ending_after(error: Exception) -> AnswerEnding:
    """How an answer ended whose stream failed."""
    # A source that was given a time-out tells of it as of any loss; what it lost against is the cause.
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
        return "timed_out"
    return "truncated" if isinstance(error, _CUTS) else "failed"
