"""The functions that a model may call, by name.

Rules:

1. A call is run or it is answered with an error; which of the two is in the result's ``error``. Nobody is asked to
   approve a call that cannot be run.
2. What fails is told to the model in the words of ``describe_error``; the exception itself is for the program only.
3. A cancellation from outside passes through. One that a tool brought upon itself is its failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar, overload

from pydantic import ValidationError
from pydantic_core import to_json

from rxllm.exceptions import ToolCallError, ToolExecutionError, ToolFailure, excerpt
from rxllm.models import Refused, ToolCall, ToolResult, harmless_validation
from rxllm.tools._approver import Approve, Approver, with_arguments
from rxllm.tools._describe_error import describe_error as describe_error_by_default
from rxllm.tools._describe_error import describe_problems
from rxllm.tools._tool import Tool

Function = TypeVar("Function", bound=Callable[..., Any])

OnToolError: TypeAlias = Literal["send", "raise"]
"""Whether the model is told of a tool that failed, or the stream fails."""


class ToolRegistry:
    """Python functions that a model may call.

    The parameters of a function are validated by pydantic as they are annotated; the JSON schema for the request is
    made of the same annotations. ``Annotated[str, Field(description="…")]`` describes a parameter, the docstring
    the function. Coroutine functions run in the event loop, all others in a thread. A thread cannot be stopped, so a
    function that is cancelled or takes too long still runs to its end, and its result is ignored.

    Args:
        functions: The functions that the model may call; ``tool`` adds more.
        strict: Whether schemas are strict, as in OpenAI's "Structured Outputs": the model has to give every parameter,
            with or without a default.
        describe_error: Makes the text that the model gets about an exception of a tool. By default that is the class
            and the message, shortened, and text that looks like a credential is blotted out.

    Raises:
        TypeError: A function cannot be a tool: it has ``*args``, ``**kwargs``, a positional-only parameter, one without
            an annotation or with one that pydantic cannot use, or it is a generator; or its schema cannot be strict.
        ValueError: A name is used twice, or cannot be the name of a tool.

    Example:
        >>> tools = ToolRegistry()
        >>> @tools.tool
        ... def get_weather(city: str, days: int = 1) -> str:
        ...     '''The weather in a city.'''
        ...     return f"{days} days of rain in {city}"
        >>> tools.schemas()[0]["function"]["parameters"]["required"]
        ['city']
    """

    def __init__(
        self,
        functions: Iterable[Callable[..., Any]] = (),
        *,
        strict: bool = False,
        describe_error: Callable[[Exception], str] = describe_error_by_default,
    ) -> None:
        self._tools: dict[str, Tool] = {}
        self._strict = strict
        self._describe_error = describe_error
        for function in functions:
            self.tool(function)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    @overload
    def tool(self, function: Function, /) -> Function: ...

    @overload
    def tool(
        self, /, *, name: str | None = None, description: str | None = None, strict: bool | None = None
    ) -> Callable[[Function], Function]: ...

    def tool(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> Any:
        """Add a function: a decorator, with or without arguments, that leaves the function as it is.

        Args:
            function: The function or bound method.
            name: The name that the model uses; by default the function's own.
            description: The description that the model gets; by default the docstring.
            strict: Whether its schema is strict; by default as the registry says.

        Returns:
            The function; or, if none is given, a decorator.

        Raises:
            TypeError: It cannot be a tool: see ``ToolRegistry``.
            ValueError: The name is used already, or cannot be the name of a tool.
        """
        is_strict = self._strict if strict is None else strict

        def add(function: Function) -> Function:
            tool = Tool(function, name=name, description=description, strict=is_strict)
            if tool.name in self._tools:
                raise ValueError(f"there is a tool {tool.name!r} already: give another name")
            self._tools[tool.name] = tool
            return function

        return add if function is None else add(function)

    def schemas(self) -> list[dict[str, Any]]:
        """The tools as ``ChatRequest.tools`` has them, in the order in which they were added."""
        return [tool.schema() for tool in self._tools.values()]

    def accepts(self, call: ToolCall) -> bool:
        """Whether a call can be run: there is such a tool, and the arguments are valid."""
        try:
            self._prepare(call)
        except ToolExecutionError:
            return False
        return True

    async def run(
        self,
        call: ToolCall,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - running out of time has a result, too
        on_error: OnToolError = "send",
        approve: Approve | None = None,
    ) -> ToolResult:
        """Run a call.

        Args:
            call: A finished call, not an ``IncompleteToolCall``.
            timeout: How many seconds the tool may take; any number if ``None``.
            on_error: Whether a call that fails gives a result that tells the model so, or raises.
            approve: Asked before the call runs, if it can be run: see ``LLMClient.chat_with_tools``. A refusal
                is a result, whatever ``on_error`` says.

        Returns:
            The result. Its content is what the function returned if that is a string, else that as JSON.

        Raises:
            ToolExecutionError: ``on_error="raise"``, and there is no such tool, its arguments are not valid, it raised,
                returned something that is not JSON, or took too long.
            ApprovalError: ``approve`` raised.
            TypeError: ``approve`` returned something else than a decision.
        """
        note = ""
        try:
            tool, arguments = self._prepare(call)
            if approve is not None:
                decision = await Approver.of(approve)(call)
                if isinstance(decision, Refused):
                    return ToolResult(call=call, content=decision.reason, error="refused")
                approved, note = with_arguments(call, decision)
                arguments = _validated(tool, approved)
            value, content = await self._run(call, tool, arguments, timeout)
        except ToolExecutionError as error:
            if on_error == "raise":
                raise
            return ToolResult(call=call, content=f"{note}{error.message}", error=error.kind, exception=error.__cause__)
        return ToolResult(call=call, content=f"{note}{content}", value=value)

    def _prepare(self, call: ToolCall) -> tuple[Tool, dict[str, Any]]:
        """The tool, and the arguments as it takes them."""
        tool = self._find(call)
        return tool, _validated(tool, call)

    async def _run(
        self, call: ToolCall, tool: Tool, arguments: Mapping[str, Any], seconds: float | None
    ) -> tuple[Any, str]:
        """What the function returned, and that as the model is told it."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                value = await tool(arguments)
            return value, _content(value)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _error(call, "failed", f"{tool.name!r} was cancelled") from error
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                raise _error(call, "timeout", f"{tool.name!r} took longer than {seconds:g} s") from error
            raise _error(call, "failed", f"{tool.name!r} failed: {self._describe_error(error)}") from error

    def _find(self, call: ToolCall) -> Tool:
        tool = self._tools.get(call.function.name)
        # The input of a custom tool is any text; a function cannot be called with that.
        if tool is None or call.type == "custom":
            known = ", ".join(self._tools) or "none"
            raise _error(call, "unknown_tool", f"there is no tool {excerpt(call.function.name)}; there are: {known}")
        return tool


def _validated(tool: Tool, call: ToolCall) -> dict[str, Any]:
    try:
        return tool.validate(call.function.parsed)
    except ValidationError as error:
        message = f"the arguments of {tool.name!r} are not valid: {describe_problems(error)}"
        raise _error(call, "invalid_arguments", message) from harmless_validation(error)
    except ToolCallError as error:
        raise _error(call, "invalid_arguments", str(error)) from error


def _content(value: object) -> str:
    if isinstance(value, str):
        # A lone surrogate, as in the name of a file, cannot be sent.
        return value.encode(errors="replace").decode()
    return to_json(value).decode()


def _error(call: ToolCall, kind: ToolFailure, message: str) -> ToolExecutionError:
    # As above: messages are sent, too.
    text = message.encode(errors="replace").decode()
    return ToolExecutionError(text, kind=kind, name=call.function.name, call_id=call.id)
