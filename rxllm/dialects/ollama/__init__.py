"""Ollama's own API."""

from __future__ import annotations

__all__: list[str] = []
