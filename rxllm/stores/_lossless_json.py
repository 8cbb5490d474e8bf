r"""JSON that loses nothing, for stores.

``NaN`` and the infinities are written as Python and JavaScript name them, integers in full, and lone surrogates (an
emoji cut in two) as ``\ud83d``, which the compiled writer and parser refuse and the standard library's do not.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw
from pydantic_core import PydanticSerializationError, from_json, to_json


def dumps(value: Any) -> bytes:
    """Write a JSON text without line ends; one that is written already is left as it is.

    Raises:
        TypeError: There is no JSON for the value.
    """
    if isinstance(value, Raw):
        return bytes(value)
    try:
        return to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError:
        return json.dumps(value, separators=(",", ":")).encode()


def loads(text: str | bytes) -> Any:
    """Read a JSON text.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
