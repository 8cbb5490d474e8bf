"""The Gemini API of Google."""

from __future__ import annotations

__all__: list[str] = []
