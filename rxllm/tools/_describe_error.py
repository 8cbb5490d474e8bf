"""What the model is told of a tool that failed.

Rules:

1. The class and the message of the exception, never its traceback, its causes or its notes.
2. What looks like a credential is blotted out, and the text is bounded.

>>> describe_error(ConnectionError("cannot reach postgres://anna:pa55@db/sales"))
'ConnectionError: cannot reach postgres://***@db/sales'
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from rxllm.harmless import message_of

_MAX_LENGTH = 500
_MAX_PROBLEMS = 10

_CREDENTIALS = (
    # The user and password, and the query, of a URL.
    (re.compile(r"://[^/\s@]+@"), "://***@"),
    (re.compile(r"(://[^\s?#]+\?)[^\s'\"]+"), r"\1***"),
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",]+", re.IGNORECASE), r"\1 ***"),
    # Names such as api_key, X-API-Key, AccessToken, and what is said to be their value.
    (
        re.compile(
            r"((?:key|token|secret|passw(?:or)?d|pwd|authorization)['\"]?\s*[=:]\s*)['\"]?[^\s'\",;&]+", re.IGNORECASE
        ),
        r"\1***",
    ),
    # Keys by the form that providers gave them.
    (re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[abp])[-_][\w-]{8,}"), "***"),
)


def describe_error(error: Exception) -> str:
    """The class and the message of an exception, without what looks like a credential.

    That is as good as patterns can be. A tool whose errors may say more than the model should know raises errors of its
    own, or its registry gets another ``describe_error``.

    Args:
        error: What the tool raised.

    Returns:
        At most 500 characters and the name of the class.
    """
    # The start, whose length bounds the search; more than is told, so that no half of a credential stands at its end.
    message = _bounded(_without_credentials(message_of(error)[: 10 * _MAX_LENGTH]))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def describe_problems(error: ValidationError) -> str:
    """What is wrong with arguments: where, and what was expected there; not what they were."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        texts.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    return _without_credentials("; ".join(texts))


def _without_credentials(text: str) -> str:
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def _bounded(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}…"
