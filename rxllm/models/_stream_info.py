"""What is known of the request behind a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec
from pydantic_core import CoreSchema, core_schema


class StreamInfo(msgspec.Struct, kw_only=True):
    """One request and its answer. All chunks of a stream share this object, and it goes on counting.

    Values that are not known are ``None``: a stream that did not come from the network has no times, for example. A
    recorded stream has the values that were known when the chunk was stored.

    Attributes:
        dialect: The name of the dialect of the answer.
        host: Where the request went, ``host`` or ``host:port``.
        model: The model that answers, as the server names it.
        request_id: The server's identifier of the request, from the headers of the answer.
        rate_limits: The headers of the answer about rate limits, with names in lower case.
        attempt: The number of this try, counted from 1.
        requested_at: When the request was sent, in seconds of Unix time, like all times here. If it was sent again
            because the connection was lost, this is the first time.
        first_byte_at: When the first byte of the answer's body came.
        last_byte_at: When the last byte came.
        bytes: How many bytes of the body have come.
        nonce: A random text that tells this answer from others, if there is no request to tell them apart.
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
        """Read what ``msgspec.to_builtins`` made of a ``StreamInfo``.

        Raises:
            ValueError: The value is something else.
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
