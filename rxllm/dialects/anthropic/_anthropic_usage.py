"""What an answer costs, as the Messages API says it.

Rules:

1. It says so at the beginning and again at the end. Each statement is of the whole answer. A field that is absent or
   null keeps the value it had.
2. Cached tokens are beside ``input_tokens`` there. Ours are within ``prompt_tokens``.
3. The fields of the provider stay, under their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._counts import count_in, sum_of
from rxllm.exceptions import LimitExceededError
from rxllm.models import Usage, is_object

_MAX_FIELDS = 1000
_INPUT, _OUTPUT = "input_tokens", "output_tokens"
_WRITTEN, _READ = "cache_creation_input_tokens", "cache_read_input_tokens"


class UsageFold:
    """The usage of one answer."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def take(self, statement: object) -> Usage | None:
        """Take what the server says now.

        Args:
            statement: The usage in an event, or whatever is in its place.

        Returns:
            The usage by now; ``None`` if nothing was said.

        Raises:
            LimitExceededError: It has too many fields.
        """
        if not is_object(statement) or not statement:
            return None
        fields = self._fields
        for name, value in statement.items():
            if value is not None or name not in fields:
                fields[name] = value
        if len(fields) > _MAX_FIELDS:
            raise LimitExceededError(
                f"the usage has more than {_MAX_FIELDS} fields", limit="max_fields", maximum=_MAX_FIELDS
            )
        return _as_ours(fields)


def _as_ours(fields: Mapping[str, Any]) -> Usage:
    said, written, read, output = (count_in(fields.get(name)) for name in (_INPUT, _WRITTEN, _READ, _OUTPUT))
    prompt = sum_of(said, written, read)
    ours: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": sum_of(prompt, output),
    }
    if read is not None:
        ours["prompt_tokens_details"] = {"cached_tokens": read}
    details = fields.get("output_tokens_details")
    thinking = count_in(details.get("thinking_tokens")) if is_object(details) else None
    if thinking is not None:
        ours["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return Usage.model_validate({**fields, **ours})
