"""What an application asks for."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from rxllm.models._json import is_list, is_object
from rxllm.models._message import Message
from rxllm.models._model import Model

# Fields of servers that resemble one that is declared here, and are none of it with a slip.
_OF_SERVERS = frozenset({"models", "max_new_tokens"})
_LIKENESS = 0.85
# Shorter names resemble too much: top_k is not top_p with a slip.
_SHORTEST = 5


def _several(value: Any) -> Any:
    if isinstance(value, str | Message | Mapping) or (is_list(value) and any(isinstance(each, str) for each in value)):
        raise ValueError("messages is a list: write messages=[Message.user('…')]")
    return value


def _as_json(value: Any) -> Any:
    first = next(iter(value), None) if is_list(value) else value
    if callable(first) or hasattr(first, "schemas"):
        raise ValueError("tools are functions as JSON: write tools=ToolRegistry([…]).schemas()")
    return value


def _as_schema(value: Any) -> Any:
    if isinstance(value, type):
        name = value.__name__
        raise ValueError(  # noqa: TRY004 - pydantic's way
            "response_format is JSON: write {'type': 'json_schema', 'json_schema': "
            f"{{'name': '{name.lower()}', 'schema': {name}.model_json_schema()}}}}"
        )
    return value


MessageLike: TypeAlias = Message | Mapping[str, Any]
"""A message, or a dictionary that is sent as it is."""

# A dictionary stays one, also where it has nothing that a message has to have.
_AsGiven: TypeAlias = Annotated[Mapping[str, Any] | Message, Field(union_mode="left_to_right")]


class ChatRequest(Model):
    """A request for an answer, in the words of OpenAI's chat completions.

    Fields that you do not give are not sent. Fields that are not listed here go to the server unchanged; a name that is
    nearly that of a listed field gives a warning. There is no field for streaming: the client always asks for it.

    Attributes:
        model: The model to ask.
        messages: The conversation so far, oldest first; a dictionary is sent as it is.
        temperature: How random the answer is: from 0 for little to 2 for very much.
        top_p: Only the likeliest tokens that together have this probability are considered, from 0 to 1.
        max_tokens: How many tokens the answer may have, for servers that use the older name.
        max_completion_tokens: How many tokens the answer may have, reasoning included.
        reasoning_effort: How long the model may think: ``"low"``, ``"medium"``, ``"high"`` …
        verbosity: How long the answer should be: ``"low"``, ``"medium"``, ``"high"``.
        tools: The tools that the model may call, as JSON: ``ToolRegistry.schemas()``.
        tool_choice: Whether the model has to call a tool, and which one.
        parallel_tool_calls: Whether it may call several tools in one answer.
        response_format: The form of the answer, as a JSON schema.
        stop: Text at which to stop.
        n: How many answers to give in parallel.
        seed: Seed for the sampler; the same seed and request tend to give the same answer.
        presence_penalty: Makes new subjects likelier, from -2 to 2.
        frequency_penalty: Makes repetitions less likely, from -2 to 2.
        logit_bias: Makes tokens likelier or less likely, by their number, from -100 to 100.
        logprobs: Whether to give the log probability of each token.
        top_logprobs: How many of the likeliest tokens at each place get their log probability, too.
        user: An identifier of your user, for the server's own records.
        metadata: What the server stores with the answer.
        store: Whether the server stores the answer.
        service_tier: The service tier, which decides speed and price.
        prediction: A text that most of the answer will equal, to make it faster.
        modalities: The kinds of output, ``["text", "audio"]`` for example.
        audio: Voice and format of a spoken answer.
        stream_options: Options for streaming. Usage is asked for unless this is given.
    """

    model: str
    messages: Annotated[Sequence[_AsGiven], BeforeValidator(_several)]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    tools: Annotated[Sequence[Mapping[str, Any]] | None, BeforeValidator(_as_json)] = None
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: Annotated[Mapping[str, Any] | None, BeforeValidator(_as_schema)] = None
    stop: str | list[str] | None = None
    n: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: str | None = None
    metadata: Mapping[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prediction: Mapping[str, Any] | None = None
    modalities: Sequence[str] | None = None
    audio: Mapping[str, Any] | None = None
    stream_options: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _warn_of_slips(self) -> Self:
        for name in self.model_extra or ():
            meant = _meant(name, tuple(type(self).model_fields))
            if meant is not None:
                warnings.warn(f"ChatRequest has no field {name!r}: did you mean {meant!r}?", stacklevel=_outside())
        return self

    def to_wire(self) -> dict[str, Any]:
        """The request as a JSON object: the fields that were set, without listed fields that are ``None``."""
        fields = self.model_dump(mode="json", exclude={"messages"}, exclude_unset=True)
        declared = type(self).model_fields
        wire = {name: value for name, value in fields.items() if value is not None or name not in declared}
        wire["messages"] = [message.to_wire() if isinstance(message, Message) else message for message in self.messages]
        return wire


def _outside() -> int:
    """How many levels above the caller of this the code is that makes the request: past pydantic, and our client."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(("rxllm.", "pydantic.")):
        level, frame = level + 1, frame.f_back
    return level


def _meant(name: str, fields: Sequence[str]) -> str | None:
    """The field that was meant by a name that is none, if one resembles it."""
    if name in _OF_SERVERS:
        return None
    written = {_plain(field): field for field in fields}
    if _plain(name) in written:
        return written[_plain(name)]
    near = difflib.get_close_matches(_plain(name), [each for each in written if len(each) >= _SHORTEST], 1, _LIKENESS)
    return written[near[0]] if near else None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def request_of(request: ChatRequest | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> ChatRequest:
    """The request that was meant: one, or a dictionary of its fields, or fields alone; fields count before the request.

    Args:
        request: The request, if there is one.
        fields: Fields by name; those that are ``None`` were not given.

    Raises:
        TypeError: It is not a request.
        pydantic.ValidationError: A field is missing or of a type that is none of its.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if isinstance(request, ChatRequest):
        if not given:
            return request
        return type(request).model_validate({name: getattr(request, name) for name in request.model_fields_set} | given)
    if request is None or is_object(request):
        return ChatRequest.model_validate({**(request or {}), **given})
    raise _no_request(request)


def _no_request(value: object) -> TypeError:
    return TypeError(
        f"a request is a ChatRequest or a dictionary of its fields, not {type(value).__name__}: "
        "write model='…', messages=[Message.user('…')]"
    )
