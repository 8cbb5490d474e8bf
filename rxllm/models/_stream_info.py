"""What is known of the request behind a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec
from pydantic_core import CoreSchema, core_schema


class StreamInfo(msgspec.Struct, kw_only=True):
    """One request and its answer: the same object on all chunks of a stream, and it goes on counting.

    What is not known is ``None``: a stream that came from no network has no times, for example. A recorded one has what
    was known when the chunk was stored.

    Attributes:
        dialect: The name of the dialect that the answer was read in.
        host: Where the request went, ``host`` or ``host:port``.
        model: The model that answers, as the server names it.
        request_id: The server's identifier of the request, from the headers of the answer.
        rate_limits: The headers of the answer that tell of rate limits, their names in lower case.
        attempt: Which try this is, counted from 1.
        requested_at: When the request was sent, in seconds of Unix time, as all times here. If a lost connection was
            replaced, when it was sent first.
        first_byte_at: When the first byte of the answer's body came.
        last_byte_at: When the last byte so far came.
        bytes: How many bytes of the body have come.
        nonce: A random text that tells the answer from others, where no request does that.
    """

    dialect: str | None = None
    host: str | None = None
    model: str | None = None
    request_id: str | None = None
    rate_limits: Mapping[str, str] = {}
    attempt: int = 1
    requested_at: float | None = None
    first_byte_at: float | None = None
    last_byte_at: float | None = None
    bytes: int = 0
    nonce: str | None = None

    def received(self, count: int, now: float) -> None:
        """Count bytes of the body.

        Args:
            count: How many came.
            now: When.
        """
        if self.first_byte_at is None:
            self.first_byte_at = now
        self.last_byte_at = now
        self.bytes += count

    @classmethod
    def model_validate(cls, value: Any, /) -> Self:
        """Make it of what ``msgspec.to_builtins`` made of one.

        Raises:
            ValueError: It is something else.
        """
        try:
            return value if isinstance(value, cls) else msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        """How pydantic reads and writes it, as a field of a model."""
        return core_schema.no_info_plain_validator_function(
            cls.model_validate, serialization=core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins)
        )
