"""What a client is told of a call that came to nothing. What a tool raised is not for clients."""

from __future__ import annotations

from collections.abc import Mapping

TOOL_FAILED = "The tool failed."
"""What is said where it is not known how."""

_FAILURES: Mapping[str, str] = {
    "unknown_tool": "There is no such tool.",
    "invalid_arguments": "The tool was called with wrong arguments.",
    "duplicate": "The call has the identifier of another one, and was not run.",
    "refused": "The call was not run.",
    "timeout": "The tool took too long.",
}


def told_failure(error: str) -> str:
    """The sentence for a kind of failure.

    >>> told_failure("timeout"), told_failure("ECONNREFUSED 10.0.0.3")
    ('The tool took too long.', 'The tool failed.')
    """
    return _FAILURES.get(error, TOOL_FAILED)
