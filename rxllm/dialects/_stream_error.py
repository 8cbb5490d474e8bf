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
from rxllm.wire import is_retryable, retry_after_in

_LEAST_ERROR = 400
_LONGEST_TEXT = 4096

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


def error_from(value: Any, position: int, name: str = "") -> APIStreamError:
    """Read an error object.

    Args:
        value: The JSON value of the event, or its text where that is not JSON.
        position: Which event of the stream it was.
        name: The name of its event, which may say what kind of error it is.

    Returns:
        The error to raise.
    """
    text = _as_text(value)
    outer: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {"error": value}
    inner = outer.get("error") or outer.get("base_resp") or outer
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else {"message": inner}
    kind = _text(_first(fields, outer, "type", "error_type", ignore="error")) or _kind_in(name)
    code = _code(_first(fields, outer, *_CODES))
    message = _text(_first(fields, outer, *_MESSAGES))
    status = _code(_first(fields, outer, "status_code", "status"))
    return APIStreamError(
        message or f"the server reported an error: {excerpt(text)}",
        type=kind,
        code=code,
        retryable=is_retryable((kind, code, status), message or text),
        retry_after=retry_after_in(text[:_LONGEST_TEXT]),
        position=position,
    )


def _kind_in(name: str) -> str | None:
    """The kind of an error in the name of its event, unless that is no more than ``error``."""
    last = name.rpartition(".")[2]
    return last if is_name_of_error(name) and last.lower() not in _NAMES else None


def _first(fields: Mapping[str, Any], outer: Mapping[str, Any], *names: str, ignore: str = "") -> Any:
    """The first of several fields that says something, of the error itself or else of the object around it."""
    for mapping in (fields, outer):
        for name in names:
            value = mapping.get(name)
            if value is not None and value not in ("", ignore):
                return value
    return None


def _text(value: Any) -> str | None:
    return None if value is None else _as_text(value)


def _code(value: Any) -> str | int | None:
    return value if isinstance(value, int) else _text(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
