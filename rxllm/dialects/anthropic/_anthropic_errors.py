"""The error about what the Messages API cannot say."""

from __future__ import annotations

from rxllm.dialects._unsupported import Unsupported

NAME = "anthropic"
"""The name of the dialect."""

unsupported = Unsupported(NAME)
