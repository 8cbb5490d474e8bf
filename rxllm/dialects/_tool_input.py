"""The input that a model writes for a tool, where its provider has it as an object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rxllm.models import is_object, loads


def input_in(text: str) -> Mapping[str, Any] | None:
    """The input that a model wrote; ``None`` if it is not a JSON object, or has a number that JSON has no word for."""
    try:
        value = loads(text)
        json.dumps(value, allow_nan=False)
    except ValueError:
        return None
    return value if is_object(value) else None
