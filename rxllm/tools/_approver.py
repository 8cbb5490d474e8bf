"""Asking before a call runs.

Rules:

1. One call at a time, in the order in which they come: a person reads one question at a time.
2. A call runs after an answer that says so, and after nothing else: no exception and no other value passes for one.
3. A cancellation from outside passes through, whatever the approver makes of it. One that it brought upon itself is its
   failure.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pydantic_core import to_json

from rxllm.exceptions import ApprovalError, excerpt
from rxllm.models import Approved, Refused, ToolCall
from rxllm.tools._describe_error import describe_error

Approve: TypeAlias = Callable[[ToolCall], Awaitable[Approved | Refused | bool]]
"""A coroutine function that decides whether a call may run. ``True`` is ``Approved()``, ``False`` is ``Refused()``."""


class Approver:
    """Asks about one call at a time.

    Args:
        approve: Who is asked.

    Raises:
        TypeError: It cannot be called.
    """

    def __init__(self, approve: Approve) -> None:
        if not callable(approve):
            raise TypeError(f"approve must be a coroutine function, not {approve!r}")
        self._approve = approve
        self._turn = asyncio.Lock()

    @classmethod
    def of(cls, approve: Approve) -> Approver:
        """The same, if it is one."""
        return approve if isinstance(approve, Approver) else cls(approve)

    async def __call__(self, call: ToolCall) -> Approved | Refused:
        """Ask about a call.

        Raises:
            ApprovalError: The approver raised, or was cancelled from within.
            TypeError: The approver returned something else than a decision, or wrote into the call.
        """
        # It sees a copy: what it wrote into the call itself would be taken for what the model said.
        shown = call.model_copy(deep=True)
        async with self._turn:
            answer = await self._ask(shown)
        if shown != call:
            raise TypeError(
                f"approve wrote into the call of {excerpt(call.function.name)}: return Approved(arguments=…) instead"
            )
        if isinstance(answer, bool):
            return Approved() if answer else Refused()
        if isinstance(answer, Approved | Refused):
            return answer
        raise TypeError(
            f"approve returned {excerpt(repr(answer))} for the call of {excerpt(call.function.name)}: "
            "it has to return True, False, Approved(…) or Refused(…)"
        )

    async def _ask(self, call: ToolCall) -> object:
        before = _cancellations()
        try:
            answer: object = self._approve(call)
            waits = inspect.isawaitable(answer)
            if inspect.isawaitable(answer):
                answer = await answer
        except asyncio.CancelledError as error:
            if _cancellations() > before:
                raise
            raise _failed(call, "it was cancelled") from error
        except Exception as error:
            raise _failed(call, describe_error(error)) from error
        if _cancellations() > before:
            raise asyncio.CancelledError  # an answer that comes all the same is nobody's any more
        if not waits:
            raise TypeError(f"approve must be a coroutine function: it returned {excerpt(repr(answer))} at once")
        return answer


def _cancellations() -> int:
    """How often the running task was cancelled from outside."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def with_arguments(call: ToolCall, decision: Approved) -> tuple[ToolCall, str]:
    """A call as it was approved, and what the model is told of that in front of the result."""
    if decision.arguments is None:
        return call, ""
    arguments = to_json(decision.arguments).decode()
    function = call.function.model_copy(update={"arguments": arguments})
    return call.model_copy(update={"function": function}), f"Approved with other arguments: {arguments}\n"


def _failed(call: ToolCall, reason: str) -> ApprovalError:
    name = call.function.name
    return ApprovalError(f"the approval of {excerpt(name)} failed: {reason}", name=name, call_id=call.id)
