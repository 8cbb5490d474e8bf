"""Error objects in the middle of a stream, as servers word them.

There is no standard. What is read here: ``{"error": {"type", "code", "message"}}``, ``{"error": "text"}``,
``{"type": "error", …}``, ``{"object": "error", …}``, the same fields at the top level, and plain text in an event
named ``error``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rxllm.exceptions import APIStreamError, excerpt

__all__ = ["error_from", "is_error"]

_RETRYABLE = frozenset(
    {
        *("overloaded", "serveroverloaded", "engineoverloaded", "modeloverloaded", "capacityexceeded"),
        *("ratelimit", "ratelimitexceeded", "ratelimited", "toomanyrequests", "resourceexhausted", "throttling"),
        *("server", "internal", "internalserver", "api", "unknownserver", "badgateway"),
        *("serviceunavailable", "unavailable", "temporarilyunavailable", "modelnotready"),
        *("timeout", "requesttimeout", "gatewaytimeout", "deadlineexceeded"),
    }
)
"""Kinds and codes after which the same request may succeed, without separators and without "error"."""

_PERMANENT = frozenset({"insufficientquota", "billinghardlimitreached", "quotaexceeded"})
"""Kinds that come with the status of a rate limit and yet do not pass by waiting."""

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_SERVER_FAULT = 500


def is_error(fields: Mapping[str, Any]) -> bool:
    """Whether an object says of itself that it is an error."""
    return bool(fields.get("error")) or fields.get("type") == "error" or fields.get("object") == "error"


def error_from(value: Any, position: int) -> APIStreamError:
    """Read an error object.

    Args:
        value: The JSON value of the event, or its text where that is no JSON.
        position: Which event of the stream it was.

    Returns:
        The error to raise.
    """
    shown = excerpt(str(value))
    outer: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {"error": value}
    inner = outer.get("error") or outer
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else {"message": inner}
    kind = _text(_first(fields, outer, "type", "error_type", ignore="error"))
    code = _code(_first(fields, outer, "code", "error_code", "status_code", "status"))
    message = _text(_first(fields, outer, "message", "error_message", "detail", "msg"))
    return APIStreamError(
        message or f"the server reported an error: {shown}",
        type=kind,
        code=code,
        retryable=_is_retryable(kind, code, _first(fields, outer, "status_code", "status")),
        position=position,
    )


def _first(fields: Mapping[str, Any], outer: Mapping[str, Any], *names: str, ignore: str = "") -> Any:
    """The first of several fields that says something, of the error itself or else of the object around it."""
    for mapping in (fields, outer):
        for name in names:
            value = mapping.get(name)
            if value is not None and value not in ("", ignore):
                return value
    return None


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else str(value)


def _code(value: Any) -> str | int | None:
    return value if isinstance(value, int) else _text(value)


def _is_retryable(*signs: str | int | None) -> bool:
    words = {_word(sign) for sign in signs if isinstance(sign, str)}
    if words & _PERMANENT:
        return False
    numbers = [int(sign) for sign in signs if isinstance(sign, int) or (isinstance(sign, str) and sign.isdecimal())]
    return bool(words & _RETRYABLE) or any(number in _RETRYABLE_STATUS or number >= _SERVER_FAULT for number in numbers)


def _word(text: str) -> str:
    """``overloaded_error``, ``OverloadedError`` and ``overloaded`` are one word."""
    plain = "".join(filter(str.isalnum, text)).lower()
    return plain.removesuffix("exception").removesuffix("error")
