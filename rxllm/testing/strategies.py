"""Strategies for Hypothesis: answers in all the ways that servers stream them, bytes in all the ways that they arrive.

::

    @given(answers(), st.data())
    def test_any_transport_any_server(answer: StreamedAnswer, data: st.DataObject) -> None:
        stream = data.draw(framings(answer.events))
        reads = data.draw(fragmentations(stream))
        assert my_client(reads).model_dump() == answer.completion.model_dump()

Rules:

1. What is drawn is right: it keeps to the protocol, and says what a correct reader makes of it. For servers that do not
   keep to it there are recorded streams, and the conformance suite.
2. It shrinks to what is simplest: one choice, short texts, whole reads, one event after the other.

Needs Hypothesis: ``rxllm[testing]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from rxllm.exceptions import MissingExtraError
from rxllm.models import (
    ChatCompletion,
    CompletionChoice,
    FinishReason,
    FunctionCall,
    Message,
    StreamChunk,
    ToolCall,
    Usage,
)
from rxllm.wire import ServerSentEvent

try:
    from hypothesis import strategies as st
except ImportError as _error:
    raise MissingExtraError(
        "rxllm.testing.strategies needs Hypothesis: install rxllm[testing]", extra="rxllm[testing]"
    ) from _error

__all__ = [
    "StreamedAnswer",
    "answers",
    "chunks",
    "completions",
    "fragmentations",
    "framings",
    "server_sent_events",
]

T = TypeVar("T")

BYTE_BY_BYTE = 1000
"""Of how many bytes at most each may be a read of its own."""

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_ARGUMENTS = st.dictionaries(_TEXT, _JSON, max_size=3)
_LINE_ENDS = ["\n", "\r\n", "\r"]
# What could be taken for the end of a line, or is not allowed in an identifier, is none of it.
_ONE_LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=10)


@dataclass(frozen=True)
class StreamedAnswer:
    """An answer, both in pieces and complete.

    Attributes:
        chunks: The pieces, in the order in which they come.
        completion: The completion that they make. Compare ``model_dump()``, which leaves out ``repairs``: a call
            without an index or with a blank name needs repairs.
    """

    chunks: tuple[StreamChunk, ...]
    completion: ChatCompletion

    @property
    def events(self) -> list[ServerSentEvent]:
        """The pieces as the events of OpenAI's protocol, ``[DONE]`` included."""
        return [*(ServerSentEvent(chunk.model_dump_json(exclude_unset=True)) for chunk in self.chunks), DONE]


DONE = ServerSentEvent("[DONE]")


# Answers


@st.composite
def answers(draw: st.DrawFn, *, max_choices: int = 3, max_tool_calls: int = 3) -> StreamedAnswer:
    """Answers that are complete.

    Texts, reasoning (in either spelling) and arguments are cut anywhere. Tool calls come with an index or without one,
    with their identifier and name once, again and again, or blank from the second fragment on, and take turns where
    that is not ambiguous. Choices take turns, too, or share a chunk. The finish comes with the last piece or after it;
    the usage comes with the finish, after it, or not at all.

    Args:
        draw: Hypothesis gives it.
        max_choices: How many choices there are at most.
        max_tool_calls: How many calls a choice has at most.
    """
    pieces = [_choice(draw, index, max_tool_calls) for index in range(draw(st.integers(1, max_choices)))]
    payloads: list[dict[str, Any]] = []
    for piece in _interleaved(draw, [deltas for deltas, _ in pieces]):
        together = payloads and piece["index"] not in {other["index"] for other in payloads[-1]["choices"]}
        if together and draw(st.booleans()):
            payloads[-1]["choices"].append(piece)
        else:
            payloads.append({"choices": [piece]})
    usage = draw(st.none() | st.builds(Usage, prompt_tokens=_COUNTS, completion_tokens=_COUNTS, total_tokens=_COUNTS))
    if usage is not None:
        if draw(st.booleans()):
            payloads.append({"choices": []})
        payloads[-1]["usage"] = usage.model_dump()
    head = draw(st.fixed_dictionaries({}, optional={"id": _NAMES, "created": _COUNTS, "model": _NAMES}))
    return StreamedAnswer(
        chunks=tuple(StreamChunk.from_wire(json.dumps({**head, **payload})) for payload in payloads),
        completion=ChatCompletion.model_validate({**head, "choices": [whole for _, whole in pieces], "usage": usage}),
    )


def chunks() -> st.SearchStrategy[StreamChunk]:
    """Single chunks, of all the kinds that answers consist of."""
    return answers().flatmap(lambda answer: st.sampled_from(answer.chunks))


def completions(*, max_choices: int = 3, max_tool_calls: int = 3) -> st.SearchStrategy[ChatCompletion]:
    """Whole answers.

    Args:
        max_choices: How many choices there are at most.
        max_tool_calls: How many calls a choice has at most.
    """
    return answers(max_choices=max_choices, max_tool_calls=max_tool_calls).map(lambda answer: answer.completion)


_COUNTS = st.integers(1, 1_000_000)
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=10)


def _choice(draw: st.DrawFn, index: int, max_tool_calls: int) -> tuple[list[dict[str, Any]], CompletionChoice]:
    """A choice, as the entries of ``choices`` that it comes in, and whole."""
    content, reasoning = draw(_TEXT), draw(_TEXT)
    spelling = draw(st.sampled_from(["reasoning_content", "reasoning"]))
    calls, fragments = _calls(draw, index, draw(st.integers(0, max_tool_calls)))
    deltas = [{"content": piece} for piece in _pieces(draw, content)]
    deltas += [{spelling: piece} for piece in _pieces(draw, reasoning)]
    deltas = _interleaved(draw, [deltas, fragments])
    if draw(st.booleans()):
        deltas.insert(0, {"role": "assistant", "content": ""})
    entries: list[dict[str, Any]] = [{"index": index, "delta": delta} for delta in deltas]
    if not entries or draw(st.booleans()):
        entries.append({"index": index, "delta": {}})
    reason = FinishReason.TOOL_CALLS if calls else draw(st.sampled_from([FinishReason.STOP, FinishReason.LENGTH]))
    entries[-1]["finish_reason"] = reason.value
    # A message without text has an empty one, unless there are calls instead.
    text = None if calls and not content else content
    message = Message.model_validate({"content": text, "tool_calls": calls, spelling: reasoning or None})
    return entries, CompletionChoice(index=index, message=message, finish_reason=reason)


def _calls(draw: st.DrawFn, choice: int, number: int) -> tuple[list[ToolCall], list[dict[str, Any]]]:
    """The calls of a choice, and the deltas that they come in."""
    calls = [
        ToolCall(
            id=f"call-{choice}-{position}",
            function=FunctionCall(
                name=draw(_NAMES), arguments=json.dumps(draw(_ARGUMENTS), ensure_ascii=draw(st.booleans()))
            ),
        )
        for position in range(number)
    ]
    with_index = draw(st.booleans())
    continuations = [draw(st.sampled_from(["bare", "repeated", "blank"])) for _ in calls]
    queues = [
        _fragments(draw, call, {"index": position} if with_index else {}, continuation)
        for position, (call, continuation) in enumerate(zip(calls, continuations, strict=True))
    ]
    # Only an index or an identifier in each fragment lets calls take turns.
    apart = with_index or all(continuation == "repeated" for continuation in continuations)
    fragments = _interleaved(draw, queues) if apart else [fragment for queue in queues for fragment in queue]
    if not with_index:
        # They are in the order in which they began.
        order = list(dict.fromkeys(fragment["id"] for fragment in fragments if fragment.get("id")))
        calls.sort(key=lambda call: order.index(call.id))
    return calls, [{"tool_calls": [fragment]} for fragment in fragments]


def _fragments(draw: st.DrawFn, call: ToolCall, place: dict[str, Any], continuation: str) -> list[dict[str, Any]]:
    first, *rest = _pieces(draw, call.function.arguments)
    function = {"name": call.function.name, "arguments": first}
    names, ids = {
        "bare": ({}, {}),
        "repeated": ({"name": call.function.name}, {"id": call.id}),
        "blank": ({"name": ""}, {"id": ""}),
    }[continuation]
    return [
        {**place, "id": call.id, "type": "function", "function": function},
        *({**place, **ids, "function": {**names, "arguments": piece}} for piece in rest),
    ]


def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    """A text in one piece or more, some of them perhaps empty."""
    return [text[start:end] for start, end in pairwise(_cuts(draw, len(text), 3))]


def _cuts(draw: st.DrawFn, length: int, most: int) -> list[int]:
    return [0, *sorted(draw(st.lists(st.integers(0, length), max_size=most))), length]


def _interleaved(draw: st.DrawFn, queues: Sequence[Sequence[T]]) -> list[T]:
    """What is in the queues, the order within each kept."""
    rests = [iter(queue) for queue in queues]
    in_order = [rest for rest, queue in zip(rests, queues, strict=True) for _ in queue]
    # A permutation is as many draws as there are pieces: often they come one queue after the other.
    turns = draw(st.permutations(in_order)) if draw(st.booleans()) else in_order
    return [next(rest) for rest in turns]


# Bytes


@st.composite
def fragmentations(draw: st.DrawFn, data: bytes, *, max_cuts: int = 8) -> list[bytes]:
    """Ways in which bytes may arrive: in one read, in several reads that are split anywhere, or byte by byte; some
    reads may be empty.

    Args:
        draw: Hypothesis gives it.
        data: The bytes.
        max_cuts: The most places where they are split, unless byte by byte.
    """
    if 1 < len(data) <= BYTE_BY_BYTE and draw(st.sampled_from([False, False, False, True])):
        return [data[position : position + 1] for position in range(len(data))]
    return [data[start:end] for start, end in pairwise(_cuts(draw, len(data), max_cuts))]


@st.composite
def server_sent_events(draw: st.DrawFn) -> ServerSentEvent:
    """Single events, with any text that the format allows."""
    data = "\n".join(draw(st.lists(_ONE_LINE | st.just("\0"), min_size=1, max_size=3)))
    return ServerSentEvent(
        data=data,
        event=draw(st.just("message") | _ONE_LINE.filter(bool)),
        id=draw(st.just("") | _ONE_LINE),
        retry=draw(st.none() | st.integers(0, 1_000_000)),
    )


@st.composite
def framings(draw: st.DrawFn, events: Sequence[ServerSentEvent]) -> bytes:
    """Event streams with the same events, in different spellings.

    They differ in their line ends, also from line to line, in the order of the fields, in spaces after colons, in byte
    order marks, comments, unknown fields and blank lines (WHATWG HTML, section 9.2.6).

    Args:
        draw: Hypothesis gives it.
        events: The events; without CR in the data, and otherwise as ``encode_sse`` takes them.
    """
    stream = draw(st.sampled_from(["", "\N{BYTE ORDER MARK}"]))
    line_ends = draw(st.sampled_from([*([end] for end in _LINE_ENDS), _LINE_ENDS]))
    for line in _lines(draw, events):
        end = draw(st.sampled_from(line_ends))
        # A CR, a blank line and its LF would be the one line end CRLF.
        stream += line + ("\r" if not line and end == "\n" and stream.endswith("\r") else end)
    return stream.encode()


def _lines(draw: st.DrawFn, events: Sequence[ServerSentEvent]) -> Iterator[str]:
    last_id = ""
    for event in events:
        fields = [_field(draw, "data", line) for line in event.data.split("\n")]
        if event.event != "message":
            _insert(draw, fields, _field(draw, "event", event.event))
        if event.id != last_id or (event.id and draw(st.booleans())):
            _insert(draw, fields, _field(draw, "id", event.id))
            last_id = event.id
        if event.retry is not None:
            _insert(draw, fields, _field(draw, "retry", str(event.retry)))
        for noise in draw(st.lists(_NOISE, max_size=2)):
            _insert(draw, fields, noise)
        yield from fields
        yield from [""] * draw(st.integers(1, 2))


_NOISE = st.sampled_from([":", ": keep-alive", ":data: no", "unknown", "unknown: field", " data: no", "Data: no"])


def _field(draw: st.DrawFn, name: str, value: str) -> str:
    if not value and draw(st.booleans()):
        return name
    space = " " if value.startswith(" ") or draw(st.booleans()) else ""
    return f"{name}:{space}{value}"


def _insert(draw: st.DrawFn, lines: list[str], line: str) -> None:
    lines.insert(draw(st.integers(0, len(lines))), line)
