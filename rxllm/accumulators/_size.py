"""How much is kept: characters in a value of JSON, fields in an object."""

from __future__ import annotations

import sys

import msgspec

from rxllm.exceptions import LimitExceededError

MAX_FIELDS = 1000
"""How many fields that no model names one object may have, so that copying them is no matter."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def size_of(value: object) -> int:
    """The size of a value: the characters of a text; of anything else the bytes of its JSON.

    >>> size_of("größer"), size_of({"text": ["ab", None]})
    (6, 20)

    Raises:
        LimitExceededError: An integer in it has more digits than Python would write.
    """
    if isinstance(value, str):
        return len(value)
    try:
        return len(_encode(value))
    except (OverflowError, ValueError):  # a large integer, half a surrogate pair
        return _length_of_repr(value)


def _length_of_repr(value: object) -> int:
    try:
        return len(repr(value))
    except ValueError:
        most = sys.get_int_max_str_digits()
        raise LimitExceededError(
            f"an integer has more than {most} digits", limit="int_max_str_digits", maximum=most
        ) from None


def check_fields(count: int) -> None:
    """See that an object has not too many fields.

    Raises:
        LimitExceededError: It has.
    """
    if count > MAX_FIELDS:
        raise LimitExceededError(
            f"an object has more than {MAX_FIELDS} fields that are unknown", limit="MAX_FIELDS", maximum=MAX_FIELDS
        )
