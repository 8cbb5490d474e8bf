"""One function that a model may call.

Rules:

1. Everything that cannot work is an error when the tool is made, not when the model calls it.
2. Arguments are validated by pydantic as the annotations say, in its mode for JSON: a string becomes a date.
3. A coroutine function runs in the loop. Any other runs in a thread, with the context of the caller, as
   ``asyncio.to_thread`` has it. A thread cannot be killed: when its call is cancelled or takes too long, nobody waits
   for it any more, but it runs to its end, and the event loop waits for that when it is closed.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import to_json

from rxllm.tools._schema import ParametersSchema, strict_schema

# https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_UNSUITABLE = {
    inspect.Parameter.VAR_POSITIONAL: "takes *{}: name each parameter",
    inspect.Parameter.VAR_KEYWORD: "takes **{}: name each parameter",
    inspect.Parameter.POSITIONAL_ONLY: "has a positional-only parameter {!r}: models pass arguments by name",
}


class Tool:
    """A function, what the model is told of it, and how its arguments are validated.

    Args:
        function: The function or bound method.
        name: What the model calls it; by default the function's own name.
        description: What the model is told of it; by default the docstring.
        strict: Whether its schema is strict, and the server is asked to hold the model to it.

    Raises:
        TypeError: It is not a function, is a generator, or has a parameter without a usable annotation, a
            positional-only one, ``*args`` or ``**kwargs``; or there is no strict form of its schema.
        ValueError: The name is not 1 to 64 letters, digits, ``_`` and ``-`` of ASCII.
    """

    def __init__(
        self, function: Callable[..., Any], *, name: str | None = None, description: str | None = None, strict: bool
    ) -> None:
        if not inspect.isroutine(function):
            raise TypeError(f"a tool is a function or a bound method, not {function!r}")
        self.name: str = function.__name__ if name is None else name
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name for a tool: 1 to 64 letters, digits, '_' and '-'")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"the tool {self.name!r} is a generator: a tool returns one result")
        self._function = function
        self._strict = strict
        self._description = (inspect.getdoc(function) or "") if description is None else description
        try:
            self._validator: TypeAdapter[Any] = TypeAdapter(_collector(self.name, function))
            self._parameters = self._validator.json_schema(schema_generator=ParametersSchema)
            if strict:
                self._parameters = strict_schema(self._parameters)
        except NameError as error:
            raise TypeError(
                f"the tool {self.name!r} has an annotation that is no use: {error}. As text, annotations are read with "
                "the names of the function's module, not those of a function around it"
            ) from error
        except PydanticUserError as error:
            raise TypeError(f"the tool {self.name!r} has an annotation that is no use: {error}") from error
        except TypeError as error:
            raise TypeError(f"the tool {self.name!r}: {error}") from error

    def schema(self) -> dict[str, Any]:
        """The tool as an element of ``ChatRequest.tools``."""
        function: dict[str, Any] = {"name": self.name}
        if self._description:
            function["description"] = self._description
        function["parameters"] = self._parameters
        if self._strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them, defaults included.

        Raises:
            ValidationError: They are not what the annotations say.
        """
        # As text again: pydantic reads more out of JSON than out of the Python values it stands for.
        validated: dict[str, Any] = self._validator.validate_json(to_json(arguments))
        return validated

    async def __call__(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function with validated arguments; raises what it raises."""
        if inspect.iscoroutinefunction(self._function):
            return await self._function(**arguments)
        result, error = await asyncio.to_thread(_outcome, partial(self._function, **arguments))
        if error is not None:
            raise error
        return await result if inspect.isawaitable(result) else result


def _outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What a function returns or raises: a future cannot carry every exception (StopIteration) out of a thread."""
    try:
        return function(), None
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return None, error


def _collector(name: str, function: Callable[..., Any]) -> Any:
    """A function with the parameters of another one that returns the arguments it was given: a type for pydantic."""
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    for parameter in signature.parameters.values():
        if parameter.kind in _UNSUITABLE:
            raise TypeError(_UNSUITABLE[parameter.kind].format(parameter.name))
        if parameter.name not in hints:
            raise TypeError(f"the parameter {parameter.name!r} has no annotation")

    def collect(**arguments: Any) -> dict[str, Any]:
        return arguments

    collect.__name__ = name
    collect.__annotations__ = hints
    vars(collect)["__signature__"] = signature
    return collect
