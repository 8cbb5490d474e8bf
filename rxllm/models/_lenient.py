"""The second look at a chunk that the compiled validator refused.

Rules:

1. What carries the answer (text, calls, the end) is put into the form that the models have, or the chunk is
   refused. It is never dropped.
2. Metadata of an impossible type is set aside as ``<name>_original`` and otherwise absent.
3. The original of what was changed is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import to_json

from rxllm.models._json import is_list, is_object, loads_slowly

__all__ = ["parse_leniently", "set_aside", "thinking_of"]

T = TypeVar("T")

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
    try:
        return validate(chunk)
    except ValidationError as error:
        _set_metadata_aside(chunk, error)
        return validate(chunk)


def set_aside(name: str) -> str:
    """The name under which the original of a field is kept."""
    return f"{name}_original"


def thinking_of(extra: Mapping[str, Any] | None) -> str | None:
    """The text of the parts of type ``thinking`` among the content parts that were kept."""
    if not extra or "content_parts" not in extra:
        return None
    return "".join(_texts(extra["content_parts"], thinking=True)) or None


def _chunk(raw: Mapping[str, Any]) -> dict[str, Any]:
    chunk = dict(raw)
    chunk["choices"] = _list_of(chunk.get("choices"), _choice)
    if is_object(chunk.get("usage")):
        chunk["usage"] = dict(chunk["usage"])
    return chunk


def _choice(raw: Mapping[str, Any]) -> dict[str, Any]:
    choice = dict(raw)
    if choice.get("index", 0) is None:
        del choice["index"]
    if choice.get("delta", ()) is None:
        del choice["delta"]
    elif is_object(choice.get("delta")):
        choice["delta"] = _delta(choice["delta"])
    return choice


def _delta(raw: Mapping[str, Any]) -> dict[str, Any]:
    delta = dict(raw)
    content = delta.get("content")
    if is_list(content) or is_object(content):
        parts = content if is_list(content) else [content]
        delta["content"] = "".join(_texts(parts, thinking=False)) if parts else None
        delta["content_parts"] = parts
    elif content is False:
        delta[set_aside("content")] = delta.pop("content")
    if "tool_calls" in delta:
        delta["tool_calls"] = _list_of(delta["tool_calls"], _tool_call)
    if is_object(delta.get("function_call")):
        delta["function_call"] = _function(delta["function_call"])
    return delta


def _tool_call(raw: Mapping[str, Any]) -> dict[str, Any]:
    call = dict(raw)
    if is_object(call.get("function")):
        call["function"] = _function(call["function"])
    return call


def _function(raw: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(raw)
    arguments = function.get("arguments")
    if isinstance(arguments, list | bool):
        function[set_aside("arguments")] = cast("object", arguments)
        function["arguments"] = to_json(arguments).decode()
    return function


def _list_of(value: Any, mapper: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:
    """A list of objects: nothing is none of them, a single one is one, and what else is there is left alone."""
    if not value:
        return []
    elements = value if is_list(value) else [value]
    return [mapper(each) if is_object(each) else each for each in elements if each is not None]


def _texts(parts: Any, *, thinking: bool) -> Iterator[str]:
    """The texts in a list of content parts, of the thinking or of the answer."""
    for part in parts if is_list(parts) else [parts]:
        if isinstance(part, str):
            if not thinking:
                yield part
        elif is_object(part):
            yield from _texts_of_part(part, thinking=thinking)


def _texts_of_part(part: Mapping[str, Any], *, thinking: bool) -> Iterator[str]:
    if part.get("type") in {"thinking", "reasoning"}:
        if thinking:
            # Either the text itself or a list of text parts.
            inner = part.get("thinking", part.get("reasoning", part.get("text")))
            yield from _texts(inner, thinking=False)
    elif not thinking and isinstance(part.get("text"), str):
        yield part["text"]


def _set_metadata_aside(chunk: dict[str, Any], error: ValidationError) -> None:
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        owner, name = _find(chunk, problem["loc"])
        if name in _METADATA and name in owner:
            owner[set_aside(name)] = owner.pop(name)


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
