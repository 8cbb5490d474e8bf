"""Python functions that a model may call: their schemas for the request, and their execution."""

from __future__ import annotations

from rxllm.tools._registry import OnToolError, ToolRegistry

__all__ = ["OnToolError", "ToolRegistry"]
