"""The second look at a chunk that the compiled validator refused.

Rules:

1. What carries the answer (text, calls, the end) is put into the form that the models have, or the chunk is
   refused. It is never dropped.
2. Metadata of an impossible type is set aside as ``<name>_original`` and otherwise absent.
3. The original of what was changed is kept beside it. What is empty where an object belongs is no object.
4. What a hostile event costs is bounded: a list is refused at its first element that is no object, and if it is too
   long; only so many mistakes are put right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import to_json

from rxllm.models._json import is_list, is_object, loads_slowly
from rxllm.models._reasoning import is_thinking, texts_of

__all__ = ["MAX_ELEMENTS", "is_set_aside", "parse_leniently", "set_aside"]

T = TypeVar("T")

MAX_ELEMENTS = 10_000
"""How many choices, or fragments of calls, one list may have."""

_MAX_ROUNDS = 100
"""How often mistakes are looked for: the validator names only the first of each list."""

_SET_ASIDE = "_original"
_OF_A_CHOICE = frozenset({"delta", "index", "message", "finish_reason"})
_OF_A_CALL = frozenset({"index", "id", "type", "function", "custom"})

_METADATA = frozenset(
    {
        *("id", "object", "created", "model", "usage", "service_tier", "system_fingerprint"),
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        *("index", "role", "refusal", "logprobs", "type", "reasoning", "reasoning_content"),
    }
)


def parse_leniently(validate: Callable[[dict[str, Any]], T], data: str | bytes | Mapping[str, Any]) -> T:
    """Read a chunk with everything put right that can be.

    Args:
        validate: Makes the chunk of an object.
        data: The JSON text or the object.

    Returns:
        The chunk.

    Raises:
        ValueError: It is no JSON, or no chunk.
    """
    raw = loads_slowly(data) if isinstance(data, str | bytes) else data
    if not is_object(raw):
        raise ValueError("not a JSON object")
    chunk = _chunk(raw)
    for _ in range(_MAX_ROUNDS):
        try:
            return validate(chunk)
        except ValidationError as error:
            if not _set_metadata_aside(chunk, error):
                raise
    raise ValueError(f"more than {_MAX_ROUNDS} things had to be put right")


def set_aside(name: str) -> str:
    """The name under which the original of a field is kept."""
    return f"{name}{_SET_ASIDE}"


def is_set_aside(name: str) -> bool:
    """Whether a field is the original of another."""
    return name.endswith(_SET_ASIDE)


def _chunk(raw: Mapping[str, Any]) -> dict[str, Any]:
    chunk = dict(raw)
    chunk["choices"] = _list_of(chunk.get("choices"), _choice, _OF_A_CHOICE)
    if is_object(chunk.get("usage")):
        chunk["usage"] = dict(chunk["usage"])
    return chunk


def _choice(raw: Mapping[str, Any]) -> dict[str, Any]:
    choice = dict(raw)
    if choice.get("index", 0) is None:
        del choice["index"]
    delta = choice.get("delta")
    if is_object(delta):
        choice["delta"] = _delta(delta)
    elif not delta:
        # Some servers write an empty object as [], since their language has but one type for both.
        choice.pop("delta", None)
    _put_reason_right(choice)
    return choice


def _put_reason_right(choice: dict[str, Any]) -> None:
    """A number for the reason of the end: none if it is 0 or false, else its digits."""
    reason = choice.get("finish_reason")
    if isinstance(reason, int | float) and not reason:
        choice[set_aside("finish_reason")] = choice.pop("finish_reason")
    elif isinstance(reason, int | float) and reason is not True:
        choice["finish_reason"] = str(reason)


def _delta(raw: Mapping[str, Any]) -> dict[str, Any]:
    delta = dict(raw)
    content = delta.get("content")
    if is_list(content) or is_object(content):
        parts = content if is_list(content) else [content]
        delta["content"] = "".join(_texts(parts)) if parts else None
        delta["content_parts"] = parts
    elif content is False:
        delta[set_aside("content")] = delta.pop("content")
    if "tool_calls" in delta:
        delta["tool_calls"] = _list_of(delta["tool_calls"], _tool_call, _OF_A_CALL)
    for name in ("reasoning_content", "reasoning"):
        if is_list(value := delta.get(name)) or is_object(value):
            delta[set_aside(name)] = value
            delta[name] = "".join(texts_of(value)) or None
    _put_function_right(delta, "function_call")
    return delta


def _tool_call(raw: Mapping[str, Any]) -> dict[str, Any]:
    call = dict(raw)
    _put_function_right(call, "function")
    return call


def _put_function_right(owner: dict[str, Any], name: str) -> None:
    function = owner.get(name)
    if is_object(function):
        owner[name] = _function(function)
    elif not function and function is not None:
        del owner[name]


def _function(raw: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(raw)
    arguments = function.get("arguments")
    if isinstance(arguments, list | bool):
        function[set_aside("arguments")] = cast("object", arguments)
        function["arguments"] = to_json(arguments).decode()
    return function


def _list_of(
    value: Any, mapper: Callable[[Mapping[str, Any]], dict[str, Any]], fields: frozenset[str]
) -> list[dict[str, Any]]:
    """A list of objects: nothing is none of them, and a single one, known by its fields, is one."""
    if not value:
        return []
    elements = value if is_list(value) else [value] if is_object(value) and not fields.isdisjoint(value) else None
    if elements is None:
        raise ValueError("not a list of objects")
    if len(elements) > MAX_ELEMENTS:
        raise ValueError(f"a list of more than {MAX_ELEMENTS} elements")
    return [_mapped(each, mapper) for each in elements if each is not None]


def _mapped(element: Any, mapper: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    if not is_object(element):
        raise ValueError("an element of a list of objects is none")
    return mapper(element)


def _texts(parts: list[Any]) -> Iterator[str]:
    """The texts of the answer in a list of content parts."""
    for part in parts:
        if isinstance(part, str):
            yield part
        elif is_object(part) and not is_thinking(part) and isinstance(part.get("text"), str):
            yield part["text"]


def _set_metadata_aside(chunk: dict[str, Any], error: ValidationError) -> bool:
    """Set aside what was refused; returns whether anything was."""
    found = False
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        owner, name = _find(chunk, problem["loc"])
        if name in _METADATA and name in owner:
            owner[set_aside(name)] = owner.pop(name)
            found = True
    return found


def _find(chunk: dict[str, Any], location: tuple[int | str, ...]) -> tuple[dict[str, Any], str]:
    """The innermost object on the way to an error, and the name in it; a location goes on into union members."""
    owner, name, node = chunk, "", cast("Any", chunk)
    for step in location:
        if isinstance(node, dict) and step in node:
            owner, name = cast("dict[str, Any]", node), str(step)
        elif not (isinstance(node, list) and isinstance(step, int)):
            break
        node = cast("Any", node[step])
    return owner, name
