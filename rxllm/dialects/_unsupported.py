"""What a dialect cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rxllm.exceptions import UnsupportedRequestError
from rxllm.models import ChatRequest


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The errors about what a dialect cannot say.

    Args:
        dialect: The name of the dialect.
    """

    dialect: str

    def __call__(self, field: str, reason: str) -> UnsupportedRequestError:
        """The error.

        Args:
            field: The field of the request, or what a message has.
            reason: Why it cannot be said, and what can.
        """
        return UnsupportedRequestError(
            f"{self.dialect} cannot send {field}: {reason}", dialect=self.dialect, field=field
        )

    def check_unsaid(self, request: ChatRequest, unsaid: Mapping[str, tuple[Any, ...]], reason: str) -> None:
        """Refuse a request that has a field without translation.

        Args:
            request: The request.
            unsaid: These fields, and what they may be nonetheless, for it changes nothing.
            reason: Why they cannot be said.

        Raises:
            UnsupportedRequestError: It has one.
        """
        for name, harmless in unsaid.items():
            value = getattr(request, name)
            if value is not None and value not in harmless:
                raise self(name, reason)
