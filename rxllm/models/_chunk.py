"""A piece of a streamed answer, in the words of OpenAI's chat completions: see the rules of ``_wire_struct``.

The structs are the documentation of what servers send. Declared are the fields of OpenAI's API, and those that other
servers are known to add, which says who; a field that is not declared is kept in ``extra``, more slowly.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from copy import copy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar

import msgspec

from rxllm.models._attempt import Attempt
from rxllm.models._emptiness import has_counts, says_more
from rxllm.models._ending import is_reason
from rxllm.models._reasoning import find_reasoning
from rxllm.models._repair import Repair
from rxllm.models._stream_info import StreamInfo
from rxllm.models._usage import Usage
from rxllm.models._wire_struct import BoundedItems, Items, Models, Structs, Value, WireStruct, hidden

C = TypeVar("C", bound="StreamChunk")


class FunctionCallDelta(WireStruct, frozen=True, kw_only=True):
    """A fragment of a function's name and arguments.

    Attributes:
        name: The name, usually on the first fragment only.
        arguments: A fragment of the arguments' JSON text; some servers send the whole object instead.
    """

    name: str | None = None
    arguments: str | dict[str, Value] | None = None


class ToolCallDelta(WireStruct, frozen=True, kw_only=True):
    """A fragment of a tool call.

    Attributes:
        index: The position of the call among the calls of its choice. Servers get it wrong: do not rely on it.
        id: The identifier of the call, usually on the first fragment only.
        type: The kind of tool.
        function: The fragment itself.
        custom: The name and a fragment of the input of a custom tool, instead of a function's.
        extra_content: Data that the provider wants back with the call, such as Google's ``thought_signature``.
    """

    nested: ClassVar[Structs] = MappingProxyType({"function": FunctionCallDelta})
    loose: ClassVar[frozenset[str]] = frozenset({"custom", "extra_content"})

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None
    custom: dict[str, Value] | None = None
    extra_content: dict[str, Value] | None = None


class DeltaPart(WireStruct, frozen=True, kw_only=True):
    """Which part of the provider's answer a delta belongs to.

    Attributes:
        index: The place of the part among the parts of its choice. They may have gaps.
        kind: The kind of part: a ``PartKind``, or another word of the provider.
        id: The identifier of the part, or of the call in it.
        name: The name of the tool in the part.
        sub: The number of this text within the part (OpenAI's reasoning has several summaries).
        text: A fragment of a text that has no other field, such as the input of a tool that the server runs.
    """

    index: int = 0
    kind: str = "other"
    id: str | None = None
    name: str | None = None
    sub: int | None = None
    text: str | None = None


class DeltaBlock(WireStruct, frozen=True, kw_only=True):
    """A part of the provider's answer in its own words.

    Attributes:
        index: The place of the part. A later block with the same place replaces this one.
        block: The JSON object, as it came.
        final: Whether the part is finished; else it was cut, and this is what had arrived.
    """

    loose: ClassVar[frozenset[str]] = frozenset({"block"})

    index: int = 0
    block: dict[str, Value] = msgspec.field(default_factory=dict[str, Any])
    final: bool = True


class Delta(WireStruct, frozen=True, kw_only=True):
    """What a choice gained.

    If the content came as a list of parts, ``content`` has their text, and ``extra`` keeps the parts as
    ``content_parts``.

    Attributes:
        role: The role of the speaker: a ``Role``, or another word of the server.
        content: A fragment of the text.
        refusal: A fragment of the text in which the model declines.
        tool_calls: Fragments of tool calls.
        function_call: A fragment of the one call of the older protocol.
        reasoning_content: A fragment of the reasoning, in the field that DeepSeek, vLLM, llama.cpp and Z.ai use.
        reasoning: A fragment of the reasoning, in the field that OpenRouter, Groq and Cerebras use.
        reasoning_details: Pieces of the reasoning with their kinds and signatures (OpenRouter).
        audio: A piece of the spoken answer.
        annotations: Citations and the like.
        images: Images that the model made (OpenRouter).
        channel: The channel that the model writes in (gpt-oss on several servers).
        provider_metadata: What a gateway says about the provider (Vercel).
        part: Which part of the answer this belongs to, in dialects whose answers have parts.
        blocks: Parts of the answer in the provider's own words.
    """

    nested: ClassVar[Structs] = MappingProxyType(
        {
            "tool_calls": ToolCallDelta,
            "function_call": FunctionCallDelta,
            "part": DeltaPart,
            "blocks": DeltaBlock,
        }
    )
    loose: ClassVar[frozenset[str]] = frozenset(
        {"reasoning_details", "audio", "annotations", "images", "channel", "provider_metadata"}
    )

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: BoundedItems[ToolCallDelta] | None = None
    function_call: FunctionCallDelta | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: Items[Value] | None = None
    audio: dict[str, Value] | None = None
    annotations: Items[Value] | None = None
    images: Items[Value] | None = None
    channel: str | None = None
    provider_metadata: dict[str, Value] | None = None
    part: DeltaPart | None = None
    blocks: BoundedItems[DeltaBlock] | None = None

    @property
    def reasoning_text(self) -> str | None:
        """The fragment of reasoning, wherever the server put it.

        The first of these fields that has a text: ``reasoning_content``, ``reasoning``, ``reasoning_text``,
        ``thinking``, content parts of type ``thinking``, ``reasoning_details``. ``None`` if this delta has no
        reasoning.
        """
        return find_reasoning(self.reasoning_content, self.reasoning, self.extra, self.reasoning_details)[1] or None

    @property
    def is_empty(self) -> bool:
        """Whether the delta says nothing of an answer: see ``StreamChunk.is_empty``."""
        return not (self.content or says_more(self))


class StreamChoice(WireStruct, frozen=True, kw_only=True):
    """What one of the parallel answers gained.

    Attributes:
        index: The number of the answer.
        delta: What it gained; empty if the server sent none.
        finish_reason: Why it ended: a ``FinishReason``, or another word of the server; ``None`` while it goes on.
        logprobs: The log probabilities of the tokens in this delta.
        native_finish_reason: Why it ended, in the word of the provider that the gateway asked (OpenRouter).
        content_filter_results: What the content filters found, by category (Azure).
        content_filter_offsets: The part of the text that the filters looked at (Azure).
        stop_reason: The stop text or token that ended it (vLLM).
        matched_stop: The same (SGLang).
        token_ids: The tokens of the delta (vLLM).
    """

    nested: ClassVar[Structs] = MappingProxyType({"delta": Delta})
    loose: ClassVar[frozenset[str]] = frozenset(
        {
            *("native_finish_reason", "content_filter_results", "content_filter_offsets"),
            *("stop_reason", "matched_stop", "token_ids"),
        }
    )

    index: int = 0
    delta: Delta = Delta()
    finish_reason: str | None = None
    logprobs: dict[str, Value] | None = None
    native_finish_reason: str | None = None
    content_filter_results: dict[str, Value] | None = None
    content_filter_offsets: dict[str, Value] | None = None
    stop_reason: int | str | None = None
    matched_stop: int | str | None = None
    token_ids: Items[int] | None = None


class Slots:
    """What a chunk has that is not part of the JSON: see ``StreamChunk``.

    No dataclass and no tuple: those can be decoded, and then a server could fill it.
    """

    __slots__ = ("attempts", "begins", "repairs", "replaces_usage", "restarts", "stream")

    def __init__(
        self,
        stream: StreamInfo | None = None,
        *,
        begins: bool = False,
        restarts: bool = False,
        repairs: tuple[Repair, ...] = (),
        replaces_usage: bool = False,
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        self.stream: StreamInfo | None = stream
        self.begins: bool = begins
        self.restarts: bool = restarts
        self.repairs: tuple[Repair, ...] = repairs
        self.replaces_usage: bool = replaces_usage
        self.attempts: tuple[Attempt, ...] = attempts

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say of this chunk that does not hold for all of its stream."""
        return not (self.begins or self.restarts or self.repairs or self.replaces_usage or self.attempts)

    def with_(self, **changed: Any) -> Slots:
        """These, but for some."""
        return Slots(**{**{name: getattr(self, name) for name in Slots.__slots__}, **changed})


_NO_SLOTS = Slots()


if TYPE_CHECKING:
    _Event: TypeAlias = str
else:

    class _Event:
        """The type of a text that no server can fill, for JSON has nothing of it: see ``Slots``."""


_EVENTS = "chat_with_tools() gives events: give it the operator as through=…, or take the text of each TextDelta"
_MADE_OF = MappingProxyType(
    {
        "ServerSentEvent": "put parse() in front of it",
        "AWSFrame": "put parse() in front of it",
        "str": "put parse() in front of it; after content() there are no chunks any more",
        "bytes": "put decode_sse() and parse() in front of it",
        "dict": "make it one with StreamChunk.from_wire()",
        **dict.fromkeys(("TextDelta", "ReasoningDelta", "ToolCallEvent", "ToolResultEvent", "RoundCompleted"), _EVENTS),
    }
)


class StreamChunk(WireStruct, frozen=True, kw_only=True):  # noqa: PLW1641 - some fields hold dictionaries
    """One event of a streamed answer.

    Attributes:
        id: The identifier of the answer.
        object: The kind of object, ``"chat.completion.chunk"``.
        created: When the answer began, in seconds of Unix time.
        model: The model that answers.
        choices: What the parallel answers gained: usually one choice; none if the chunk only reports usage.
        usage: The token counts, if this chunk has them.
        service_tier: The tier that served the request.
        system_fingerprint: The server's configuration.
        obfuscation: Padding that hides the length of the text from observers of the network (OpenAI).
        provider: The provider that the gateway asked (OpenRouter).
        p: The same padding (Mistral).
        citations: The addresses of sources (Perplexity, xAI).
        search_results: The sources (Perplexity).
        prompt_filter_results: What the content filters found in the request (Azure).
        timings: How long each step took (llama.cpp).
        time_info: The same (Cerebras).
        slots: Values that are not part of the JSON. Read them as ``stream``, ``begins``, ``restarts``, ``repairs`` and
            ``attempts``.
        event_text: The provider's event, which is not part of the JSON, either. Read it as ``event``.
    """

    # For errors about a wrong order of operators: what makes chunks, and what to do with items of other classes.
    made_by: ClassVar[str] = "parse"
    made_of: ClassVar[Mapping[str, str]] = _MADE_OF

    nested: ClassVar[Structs] = MappingProxyType({"choices": StreamChoice})
    validated: ClassVar[Models] = MappingProxyType({"usage": Usage})
    loose: ClassVar[frozenset[str]] = frozenset(
        {
            *("obfuscation", "provider", "p", "citations", "search_results"),
            *("prompt_filter_results", "timings", "time_info"),
        }
    )

    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    choices: BoundedItems[StreamChoice] = ()
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    provider: str | None = None
    p: str | None = None
    citations: Items[Value] | None = None
    search_results: Items[Value] | None = None
    prompt_filter_results: Items[Value] | None = None
    timings: dict[str, Value] | None = None
    time_info: dict[str, Value] | None = None
    slots: Slots | None = hidden("(slots)")
    event_text: _Event | None = hidden("(event)")

    @property
    def text(self) -> str:
        """The text that choice 0 gained; ``""`` if it gained none."""
        return text_of(self)

    @property
    def is_empty(self) -> bool:
        """Whether the chunk says nothing of an answer, as chunks that only keep a connection alive.

        A chunk is not empty if it has text, reasoning, a refusal, a piece of a call, an image or the like, a finish
        reason, or usage with a number that is not 0. A role, an identifier, padding and unknown fields do not count.
        """
        for choice in self.choices:
            delta = choice.delta
            if delta.content or is_reason(choice.finish_reason) or says_more(delta):
                return False
        return self.usage is None or not has_counts(self.usage)

    @property
    def stream(self) -> StreamInfo | None:
        """The request that this chunk belongs to; ``None`` for a chunk made by hand."""
        return None if self.slots is None else self.slots.stream

    @property
    def begins(self) -> bool:
        """Whether this is the first chunk of an answer."""
        return self.slots is not None and self.slots.begins

    @property
    def restarts(self) -> bool:
        """Whether the answer begins anew with this chunk: what came before does not count."""
        return self.slots is not None and self.slots.restarts

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What the dialect repaired in this chunk, and in events between it and the chunk before."""
        return () if self.slots is None else self.slots.repairs

    @property
    def event(self) -> str | None:
        """The provider's event as text, if the dialect has other events than chunks; ``None`` for ``"openai-chat"``."""
        return self.event_text

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The tries that failed before the answer that begins with this chunk, oldest first."""
        return self.slots.attempts if self.slots is not None else ()

    def __eq__(self, other: builtins.object) -> bool:
        if not isinstance(other, StreamChunk):
            return NotImplemented
        same = other if self.slots is other.slots else _with_slots(other, self.slots)
        if self.event_text is not same.event_text:
            same = copy(same)
            put_event(same, self.event_text)
        return same_fields(self, same)

    @classmethod
    def from_wire(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        r"""Read a chunk as servers really send it.

        The compiled decoder reads the text first. If it refuses the text, a second reader repairs what it can:
        ``choices`` or ``delta`` that are ``null`` or, instead of an empty object, ``[]`` or ``""``; content or
        reasoning in parts; arguments that are not a string; a lone surrogate in a string (replaced by U+FFFD). Metadata
        of an impossible type is kept as ``<name>_original``. ``NaN`` and ``Infinity`` are read as floats; of duplicate
        keys the last counts. ``repairs`` has what was repaired.

        Args:
            data: The JSON text of one event, or the object that was read from it.

        Returns:
            The chunk.

        Raises:
            ValueError: The text is not JSON, is nested deeper than 200 levels, or is not a chunk; or one list has more
                than 10,000 choices or calls.

        >>> chunk = StreamChunk.from_wire('{"choices": [{"delta": {"content": [{"type": "text", "text": "Hi"}]}}]}')
        >>> chunk.text
        'Hi'
        """
        return cls.model_validate_json(data) if isinstance(data, str | bytes) else cls.model_validate(data)


same_fields: Callable[[StreamChunk, StreamChunk], bool] = msgspec.Struct.__eq__
"""Whether two chunks have the same fields, and the very same slots."""

put_slots: Callable[[StreamChunk, Slots | None], None] = vars(StreamChunk)["slots"].__set__
"""Set the slots of a chunk that nobody else has yet: its decoder's, or a copy."""

put_event: Callable[[StreamChunk, str | None], None] = vars(StreamChunk)["event_text"].__set__
"""Set the event of such a chunk."""


def _with_slots(chunk: C, slots: Slots | None) -> C:
    copied = copy(chunk)
    put_slots(copied, slots)
    return copied


def without_slots(chunk: C) -> C:
    """The chunk as it would be if it were made by hand."""
    if chunk.slots is None and chunk.event_text is None:
        return chunk
    plain = _with_slots(chunk, None)
    put_event(plain, None)
    return plain


def marked(chunk: C, *, event: str | None = None, **slots: Any) -> C:
    """The chunk with other values in some of its slots, by the names of ``Slots``, and with another event if given."""
    made = _with_slots(chunk, (chunk.slots or _NO_SLOTS).with_(**slots))
    if event is not None:
        put_event(made, event)
    return made


def text_of(chunk: StreamChunk, choice: int = 0) -> str:
    """The text that a choice gained with a chunk, ``""`` if it gained none."""
    choices = chunk.choices
    # Of one choice that is the same as of several, in a fraction of the time.
    if len(choices) == 1 and (only := choices[0]).index == choice:
        return only.delta.content or ""
    return "".join([each.delta.content or "" for each in choices if each.index == choice])


def rest_of(struct: WireStruct) -> dict[str, Any]:
    """What only some servers send, by name: the declared fields of that kind, and the undeclared ones."""
    rest = {name: value for name in struct.loose if (value := getattr(struct, name)) is not None}
    return {**rest, **struct.model_extra}
