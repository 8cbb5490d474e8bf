"""The error about what Ollama's API cannot say."""

from __future__ import annotations

from rxllm.dialects._unsupported import Unsupported

NAME = "ollama"
"""The name of the dialect."""

unsupported = Unsupported(NAME)
