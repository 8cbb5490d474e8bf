"""The error about what the Converse API cannot say."""

from __future__ import annotations

from rxllm.exceptions import UnsupportedRequestError

NAME = "bedrock-converse"
"""The name of the dialect."""


def unsupported(field: str, reason: str) -> UnsupportedRequestError:
    """The error.

    Args:
        field: The field of the request, or what a message has.
        reason: Why it cannot be said, and what can.
    """
    return UnsupportedRequestError(f"{NAME} cannot say {field}: {reason}", dialect=NAME, field=field)
