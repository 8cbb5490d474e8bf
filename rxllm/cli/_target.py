"""Whom a chat asks.

Rules:

1. A key is never an argument, which everybody on the machine can read. It comes from the environment: from the variable
   of the provider, under the rules of ``LLMClient``, or from one that ``--key-variable`` names, to wherever.
2. What the command line says counts, then the environment, then what the library does.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rxllm.cli._outcome import UsageError
from rxllm.client import LLMClient
from rxllm.dialects import Dialect, get_dialect, get_host
from rxllm.exceptions import APIConnectionError, APIStatusError

_REFUSALS = frozenset({401, 403})


@dataclass(frozen=True)
class Target:
    """Whom to ask.

    Attributes:
        dialect: The name of the dialect.
        host: The name of a well-known host.
        base_url: Where the API is.
        key_variable: Which variable has the key.
        retries: How often a request is sent again.
        record: Where to record what comes over the wire.
    """

    dialect: str | None = None
    host: str | None = None
    base_url: str | None = None
    key_variable: str | None = None
    retries: int = 2
    record: Path | None = None

    def client(self) -> LLMClient:
        """A client of it.

        Raises:
            UsageError: Something of it cannot be.
        """
        key = None if self.key_variable is None else key_of(self.key_variable)
        try:
            return LLMClient(
                dialect=self._dialect(),
                base_url=self.base_url,
                api_key=key,
                retries=self.retries,
                record=self.record,
            )
        except ValueError as error:
            raise UsageError(str(error)) from None

    @contextmanager
    def advising(self) -> Generator[None]:
        """Say what to do about a server that refuses or is not there."""
        try:
            yield
        except APIStatusError as error:
            if error.status in _REFUSALS and "no key" not in error.message:
                error.add_note(f"The key came from {self._variable()}: is it the right one?")
            raise
        except APIConnectionError as error:
            error.add_note("Is the server running, and is this its address? --base-url sets another one.")
            raise

    def _dialect(self) -> Dialect:
        if self.host is None:
            return get_dialect(self.dialect or os.environ.get("RXLLM_DIALECT") or "openai-chat")
        if self.dialect is not None:
            raise UsageError("a host has a dialect: give --host or --dialect, not both")
        return get_host(self.host)

    def _variable(self) -> str:
        return self.key_variable or self._dialect().home.key_variable or "the environment"


def key_of(variable: str) -> str:
    """The key in a variable of the environment.

    Raises:
        UsageError: It is not set; or it is not a name of a variable, but perhaps the key, which is not shown.
    """
    if not variable.isidentifier():
        raise UsageError(
            "a key is taken from a variable: give the name of the variable, such as OPENAI_API_KEY, and not the key"
        )
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"{variable} must have the key, and is not set in the environment")
    return key
