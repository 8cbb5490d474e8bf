"""Error objects in the middle of a stream, as servers word them.

There is no standard. What is read here: ``{"error": {"type", "code", "message"}}``, ``{"error": "text"}``,
``{"type": "error", …}``, ``{"object": "error", …}``, the same fields at the top level or in a choice,
``{"detail": …}``, ``{"error_code": …, "error_msg": …}``, ``{"status": "error", "message": …}``,
``{"success": false, "msg": …}``, ``{"base_resp": {"status_code", "status_msg"}}``, ``{"errors": […]}``, and plain text
in an event named ``error``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rxllm.exceptions import APIStreamError, excerpt

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
_STATUS_LENGTH = 3
_LEAST_ERROR = 400
_SERVER_FAULTS = range(500, 600)
"""Statuses of HTTP (RFC 9110, section 15.6). Larger numbers are codes of an application, and say nothing."""

_MESSAGES = ("message", "error_message", "error_msg", "detail", "msg", "status_msg")
_CODES = ("code", "error_code", "status_code", "status")
_OWN_WORDS = ("error_code", "error_msg", "error_message", "errors")
"""Fields that only an error has."""

_NAMES = frozenset({"error", "exception", "stream_error", "stream-error"})


def is_error(fields: Mapping[str, Any]) -> bool:
    """Whether an object says of itself that it is an error."""
    return bool(fields.get("error")) or fields.get("type") == "error" or fields.get("object") == "error"


def is_failure(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether an object without choices, or the name of its event, says that it is an error."""
    status = fields.get("status")
    numbers = (status, fields.get("status_code"), fields.get("code"), _status_in(fields.get("base_resp")))
    return (
        is_error(fields)
        or is_name_of_error(name)
        or any(fields.get(word) for word in _OWN_WORDS)
        or status == "error"
        or fields.get("success") is False
        or any(isinstance(number, int) and number >= _LEAST_ERROR for number in numbers)
    )


def has_words_of_error(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether an object that is nothing else has fields that an error has.

    What tells of progress has them, too. It has a name, or a ``type``, which says so. A ``message`` of an error is a
    text: any other is one of the conversation. A ``detail`` may be a list of causes.
    """
    kind = fields.get("type")
    if isinstance(kind, str) and kind:
        return is_name_of_error(kind) or kind.lower().endswith("_error")
    message, detail = fields.get("message"), fields.get("detail")
    says = (message and isinstance(message, str)) or (detail and isinstance(detail, (str, list)))
    return name == "message" and bool(says)


def is_name_of_error(name: str) -> bool:
    """Whether the name of an event says that it is an error: ``error``, ``agent.error``, ``ThrottlingException``."""
    last = name.rpartition(".")[2]
    return last.lower() in _NAMES or last.endswith(("Exception", "Error"))


def _status_in(value: Any) -> Any:
    """The status in an object of its own; 0 stands for success."""
    return cast("Mapping[str, Any]", value).get("status_code") if isinstance(value, Mapping) else None


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
    inner = outer.get("error") or outer.get("base_resp") or outer
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else {"message": inner}
    kind = _text(_first(fields, outer, "type", "error_type", ignore="error"))
    code = _code(_first(fields, outer, *_CODES))
    message = _text(_first(fields, outer, *_MESSAGES))
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
    statuses = {_status(sign) for sign in signs}
    return bool(words & _RETRYABLE) or any(each in _RETRYABLE_STATUS or each in _SERVER_FAULTS for each in statuses)


def _status(sign: str | int | None) -> int | None:
    """A number as one; of text only if it is short enough for a status, since it may have any length."""
    if isinstance(sign, str):
        return int(sign) if sign.isdecimal() and len(sign) <= _STATUS_LENGTH else None
    return sign


def _word(text: str) -> str:
    """``overloaded_error``, ``OverloadedError`` and ``overloaded`` are one word."""
    plain = "".join(filter(str.isalnum, text)).lower()
    return plain.removesuffix("exception").removesuffix("error")
