"""The error about what Cohere's API cannot say."""

from __future__ import annotations

from rxllm.dialects._unsupported import Unsupported

NAME = "cohere"
"""The name of the dialect."""

unsupported_by_cohere = Unsupported(NAME)
