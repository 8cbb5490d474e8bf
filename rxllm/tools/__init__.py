"""Python functions that a model may call: their schemas for the request, and their execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.tools._approver import Approve
    from rxllm.tools._approver import Approver as Approver
    from rxllm.tools._tool_registry import OnToolError, ToolRegistry
else:
    __getattr__, __dir__ = lazy_exports(__name__, "_tool_registry", _approver="Approve Approver")

__all__ = ["Approve", "OnToolError", "ToolRegistry"]
