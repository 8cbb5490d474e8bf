"""The error about what the Gemini API cannot say."""

from __future__ import annotations

from rxllm.dialects._unsupported import Unsupported

NAME = "gemini"
"""The name of the dialect."""

unsupported_by_gemini = Unsupported(NAME)
