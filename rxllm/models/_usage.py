"""What an answer cost."""

from __future__ import annotations

from rxllm.models._model import Model


class Usage(Model):
    """Token counts of one request, as the server states them.

    A server may state them more than once in a stream. Then each field, also within the objects of details, has the
    last value that is not zero, null or empty, and nothing is added up. If the fields come from several statements,
    ``total_tokens`` is at least the sum of its parts.

    Attributes:
        prompt_tokens: Tokens in the request.
        completion_tokens: Tokens in the answer, over all choices.
        total_tokens: Their sum.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
