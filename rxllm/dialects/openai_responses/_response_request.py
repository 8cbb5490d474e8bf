"""The body of a request to the Responses API.

Rules:

1. A field of ``ChatRequest`` is said in the words of Responses. One that has no word there is refused before anything
   is sent, unless it asks for what happens anyway.
2. A field that ``ChatRequest`` does not declare is Responses' own and stays as it is, beside what is put in there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rxllm.dialects.openai_responses._response_content import unsupported
from rxllm.dialects.openai_responses._response_tools import text_format, tool, tool_choice
from rxllm.models import ChatRequest, is_list, is_object

ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"

_SAME = frozenset(
    {
        *("model", "temperature", "top_p", "top_logprobs", "parallel_tool_calls"),
        *("metadata", "store", "service_tier"),
    }
)
_UNSAYABLE: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "stop": ([],),
        "n": (1,),
        "seed": (),
        "presence_penalty": (0,),
        "frequency_penalty": (0,),
        "logit_bias": ({},),
        "prediction": (),
        "modalities": (["text"], ("text",)),
        "audio": (),
    }
)
"""Fields that have no word, with the values that ask for nothing."""


def body_of(request: ChatRequest) -> dict[str, Any]:
    """The body, without the conversation.

    Raises:
        UnsupportedRequestError: The request asks for what cannot be said.
    """
    given = request.to_wire()
    del given["messages"]
    for name, harmless in _UNSAYABLE.items():
        if name in given and given.pop(name) not in harmless:
            raise unsupported(f"{name} cannot be sent", name)
    declared = ChatRequest.model_fields
    body = {name: value for name, value in given.items() if name in _SAME or name not in declared}
    for name in given:
        if (take := _TAKE.get(name)) is not None:
            take(body, given[name])
    for name, said in (("max_output_tokens", _most_tokens(given)), ("safety_identifier", given.get("user"))):
        if said is not None:
            body.setdefault(name, said)
    body["stream"] = True
    return body


def _most_tokens(given: Mapping[str, Any]) -> Any:
    return given.get("max_completion_tokens", given.get("max_tokens"))


def _take_tools(body: dict[str, Any], said: Any) -> None:
    body["tools"] = [tool(each) for each in said]


def _take_choice(body: dict[str, Any], said: Any) -> None:
    body["tool_choice"] = tool_choice(said)


def _take_format(body: dict[str, Any], said: Any) -> None:
    _put_in(body, "text", "format", text_format(said))


def _take_verbosity(body: dict[str, Any], said: Any) -> None:
    _put_in(body, "text", "verbosity", said)


def _take_effort(body: dict[str, Any], said: Any) -> None:
    _put_in(body, "reasoning", "effort", said)


def _take_logprobs(body: dict[str, Any], said: Any) -> None:
    if said:
        include(body, _LOGPROBS)


def _take_stream_options(body: dict[str, Any], said: Any) -> None:
    # Usage comes in any case.
    options = {name: value for name, value in said.items() if name != "include_usage"}
    if options:
        body["stream_options"] = options


_TAKE: Mapping[str, Callable[[dict[str, Any], Any], None]] = MappingProxyType(
    {
        "tools": _take_tools,
        "tool_choice": _take_choice,
        "response_format": _take_format,
        "verbosity": _take_verbosity,
        "reasoning_effort": _take_effort,
        "logprobs": _take_logprobs,
        "stream_options": _take_stream_options,
    }
)


def _put_in(body: dict[str, Any], name: str, field: str, value: Any) -> None:
    """Put a field into an object of the body, beside what was given there."""
    there = body.get(name)
    body[name] = {**(there if is_object(there) else {}), field: value}


def include(body: dict[str, Any], what: str) -> None:
    """Ask for something that is not sent otherwise."""
    there = body.get("include")
    asked = [*there] if is_list(there) else []
    body["include"] = asked if what in asked else [*asked, what]
