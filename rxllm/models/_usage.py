"""What an answer cost."""

from __future__ import annotations

from rxllm.models._model import Model


class Usage(Model):
    """Token counts of one request, as the server states them.

    Attributes:
        prompt_tokens: Tokens in the request.
        completion_tokens: Tokens in the answer, over all choices.
        total_tokens: Their sum.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
