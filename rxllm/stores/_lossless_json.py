r"""JSON that loses nothing, for stores.

``NaN`` and the infinities are written as Python and JavaScript name them, integers in full, and lone surrogates (an
emoji cut in two) as ``\ud83d``, which the compiled writer and parser refuse and the standard library's do not. An
integer of more digits than a parser takes is refused when it is written.
"""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Raw
from pydantic_core import PydanticSerializationError, from_json, to_json

_MAX_DIGITS = 4300  # of the compiled parser, and of Python (``sys.int_info.default_max_str_digits``)
_TOO_MANY_DIGITS = f"an integer of more than {_MAX_DIGITS} digits cannot be recorded: it could not be read again"
_MANY_DIGITS = re.compile(rb"(?<![0-9])[0-9]{%d}" % (_MAX_DIGITS + 1))


def dumps(value: Any) -> bytes:
    """Write a JSON text without line ends; one that is written already is left as it is.

    Raises:
        TypeError: There is no JSON for the value, or none that could be read again.
    """
    if isinstance(value, Raw):
        return bytes(value)
    try:
        text = to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError:
        text = _dumps_as_python_does(value)
    # They may be digits in a text. This is rare, so that is found out by reading it.
    if len(text) > _MAX_DIGITS and _MANY_DIGITS.search(text) and not _is_readable(text):
        raise TypeError(_TOO_MANY_DIGITS)
    return text


def _dumps_as_python_does(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except ValueError:
        raise TypeError(_TOO_MANY_DIGITS) from None


def _is_readable(text: bytes) -> bool:
    try:
        loads(text)
    except ValueError:
        return False
    return True


def loads(text: str | bytes) -> Any:
    """Read a JSON text.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
