"""Answers on a terminal: Markdown that grows. It needs the extra ``rich``; ``ConsoleSink`` imports it when it draws."""

from __future__ import annotations

__all__: list[str] = []
