"""What a client is told of an error.

Nothing of what somebody else said is passed on: a provider writes the name of an organisation, a URL or a piece of a
key into its messages, and a tool whatever it likes. What a client can do about it is in ``code`` and ``status``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rxllm.exceptions import (
    AllAttemptsFailedError,
    APIConnectionError,
    APIError,
    APIStatusError,
    LogUnavailableError,
    PositionError,
    RecordingError,
    RestartError,
    RxllmError,
    StreamCancelledError,
    StreamInterruptedError,
    UnknownStreamError,
    UnsupportedRequestError,
)

__all__ = ["ClosingError", "PublicError", "public_error"]

_BUSY = 429


@dataclass(frozen=True, slots=True)
class PublicError:
    """The part of an error that clients may see.

    Attributes:
        status: The HTTP status, where nothing was sent before it.
        code: A word that says what happened; it does not change.
        message: A sentence for a person.
        retry_after: In how many seconds another try makes sense, if that is known.
    """

    status: int
    code: str
    message: str
    retry_after: float | None = None


class ClosingError(Exception):
    """The server stops while it answers."""


_INTERNAL = PublicError(500, "internal_error", "Something went wrong here.")
_BUSY_ERROR = PublicError(429, "rate_limited", "The model is busy. Try again in a while.")
_TIMEOUT = PublicError(504, "timeout", "The model took too long to answer.")
_BROKEN = PublicError(502, "interrupted", "The answer broke off.")

# The first class that fits counts.
_ERRORS: tuple[tuple[type[Exception], PublicError], ...] = (
    (ClosingError, PublicError(503, "closing", "The server is going down. Try again.", retry_after=1.0)),
    (UnknownStreamError, PublicError(404, "unknown_stream", "There is no such stream.")),
    (PositionError, PublicError(400, "bad_position", "The stream has no such position.")),
    (StreamCancelledError, PublicError(410, "cancelled", "The answer was stopped.")),
    (LogUnavailableError, PublicError(503, "unavailable", "The store of answers cannot be reached.")),
    (RecordingError, _INTERNAL),
    (UnsupportedRequestError, _INTERNAL),
    (StreamInterruptedError, _BROKEN),
    (RestartError, PublicError(502, "restarted", "The answer began anew. What came before does not count: ask again.")),
    (APIConnectionError, PublicError(502, "unreachable", "The model cannot be reached.")),
    (APIError, PublicError(502, "provider_error", "The model's provider reported an error.")),
    (RxllmError, PublicError(502, "bad_answer", "The model's answer could not be used.")),
)


def public_error(error: BaseException) -> PublicError:
    """The part of an error that clients may see.

    >>> public_error(TimeoutError("no answer from https://secret.internal")).message
    'The model took too long to answer.'
    """
    if isinstance(error, AllAttemptsFailedError) and error.errors:
        error = error.errors[-1]
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
        return _TIMEOUT
    if isinstance(error, APIStatusError) and error.status == _BUSY:
        return replace(_BUSY_ERROR, retry_after=error.retry_after)
    return next((public for kind, public in _ERRORS if isinstance(error, kind)), _INTERNAL)
