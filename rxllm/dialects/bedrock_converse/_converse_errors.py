"""The error about what the Converse API cannot say."""

from __future__ import annotations

from rxllm.dialects._unsupported import Unsupported

NAME = "bedrock-converse"
"""The name of the dialect."""

unsupported = Unsupported(NAME)
