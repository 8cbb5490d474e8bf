"""What is done to a stream: to its events, to the bytes of its body, to the way in which they come.

Everything is said by a seed and a number: the same ones give the same attack.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal, TypeAlias, cast

from tests.attack.streams import DONE, Event, chunk, completion, is_list, made, recorded

__all__ = ["Attack", "Ending", "attack", "encoded"]

Ending: TypeAlias = Literal["proper", "fin", "reset", "silence", "pings"]
Framing: TypeAlias = Literal["chunked", "length", "close"]


@dataclass(frozen=True)
class Attack:
    """What a server sends in answer to the first request of a conversation.

    Attributes:
        number: Which one of its seed.
        body: The content that arrives.
        framing: How the end of the body is told.
        ending: How the connection ends behind the body.
        content_type: The media type; ``None`` for none.
        sizes: The sizes of the chunks of the transfer coding, or of the writes, in turns.
        raw: The body on the wire, if its framing is broken.
        user_error: At which chunk the user's own code raises.
        mutations: What was done, for the report.
    """

    number: int
    body: bytes
    framing: Framing = "chunked"
    ending: Ending = "proper"
    content_type: str | None = "text/event-stream"
    sizes: tuple[int, ...] = (1 << 20,)
    raw: bytes | None = None
    user_error: int | None = None
    mutations: tuple[str, ...] = field(default=(), compare=False)

    def pieces(self) -> list[bytes]:
        """The body in pieces, each of which is a chunk or a write."""
        pieces: list[bytes] = []
        start = 0
        while start < len(self.body):
            size = self.sizes[len(pieces) % len(self.sizes)]
            pieces.append(self.body[start : start + size])
            start += size
        return pieces


def attack(seed: int, number: int) -> Attack:
    """An attack.

    Args:
        seed: The seed.
        number: Which one.
    """
    random = Random(f"{seed}/{number}")  # noqa: S311 - it has to be the same each time
    whole = random.random() < 0.05
    streams = made() if random.random() < 0.6 or not recorded() else recorded()
    events = [completion()] if whole else copy.deepcopy(list(random.choice(streams)))
    done: list[str] = []
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        mutate = random.choice(OF_EVENTS)
        mutate(random, events)
        done.append(mutate.__name__)
    body = b"\n".join(map(as_json, events)) if whole else b"".join(map(encoded, events))
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        change = random.choice(OF_BYTES)
        body = change(random, body)
        done.append(change.__name__)
    result = _sent(random, Attack(number, body, mutations=tuple(done)))
    if whole and random.random() < 0.8:
        result = replace(result, content_type="application/json")
    if random.random() < 0.03:
        result = replace(result, user_error=random.randrange(4))
    return result


# Events


def dropped(random: Random, events: list[Event]) -> None:
    if events:
        del events[random.randrange(len(events))]


def doubled(random: Random, events: list[Event]) -> None:
    if events:
        events.insert(random.randrange(len(events) + 1), copy.deepcopy(random.choice(events)))


def swapped(random: Random, events: list[Event]) -> None:
    if events:
        left, right = random.randrange(len(events)), random.randrange(len(events))
        events[left], events[right] = events[right], events[left]


def shuffled(random: Random, events: list[Event]) -> None:
    start = random.randrange(len(events) + 1)
    part = events[start : start + 4]
    random.shuffle(part)
    events[start : start + 4] = part


def ended_early(random: Random, events: list[Event]) -> None:
    del events[random.randrange(len(events) + 1) :]
    if random.random() < 0.5:
        events.append(DONE)


def done_moved(random: Random, events: list[Event]) -> None:
    if DONE in events and random.random() < 0.5:
        events.remove(DONE)
    if random.random() < 0.7:
        events.insert(random.randrange(len(events) + 1), DONE)


WORDS: tuple[Any, ...] = (
    *("stop", "tool_calls", "function_call", "eos", "eos_token", "end_turn", "stop_sequence", "tool_use"),
    *("length", "max_tokens", "MAX_TOKENS", "content_filter", "abort", "network_error", "error"),
    *("insufficient_system_resource", "model_context_window_exceeded", "pause_turn", "unknown", "sausage"),
    *("", "null", "None", " ", None, 0, 1, True, False, [], {}, ["stop"], {"type": "stop"}, "stop\n", "st\u043ep"),
)


def reason_changed(random: Random, events: list[Event]) -> None:
    reasons = [choice for choice in _choices(events) if choice.get("finish_reason")]
    for choice in reasons if random.random() < 0.7 else reasons[:1]:
        choice["finish_reason"] = random.choice(WORDS)


def reason_dropped(_: Random, events: list[Event]) -> None:
    for choice in _choices(events):
        choice["finish_reason"] = None


def reason_added(random: Random, events: list[Event]) -> None:
    choices = _choices(events)
    if choices:
        random.choice(choices)["finish_reason"] = random.choice(WORDS)


VALUES: tuple[Any, ...] = (
    *(None, "", 0, 1, -1, 7, 4_000_000_000, 10**30, 1.5, 1e308, True, False, [], {}, [[]], [None], [{}], {"a": {}}),
    *("null", "0", "{}", "\ud800", "\udc00x", "\x00", "\x1b[31m", "x" * 5000, DONE, '{"path": "/half'),
    json.loads("[" * 60 + "]" * 60),
)


def value_changed(random: Random, events: list[Event]) -> None:
    place = _any_place(random, events)
    if place is not None:
        holder, key = place
        holder[key] = copy.deepcopy(random.choice(VALUES))


def key_dropped(random: Random, events: list[Event]) -> None:
    place = _any_place(random, events)
    if place is not None and isinstance(place[0], dict):
        del place[0][place[1]]


def key_renamed(random: Random, events: list[Event]) -> None:
    place = _any_place(random, events)
    if place is not None and isinstance(place[0], dict):
        holder, key = place
        holder[random.choice(("Content", "text", "message", "error", "usage", "index", "arguments"))] = holder.pop(key)


def in_list(value: Any) -> Any:
    return [value]


def in_object(value: Any) -> Any:
    return {"value": value}


def wrapped(random: Random, events: list[Event]) -> None:
    place = _any_place(random, events)
    if place is not None:
        holder, key = place
        holder[key] = random.choice((in_list, in_object, json.dumps))(holder[key])


FOREIGN: tuple[Event, ...] = (
    {},
    "DONE",
    "hello",
    "{",
    "null",
    "[]",
    "0",
    ": OPENROUTER PROCESSING",
    {"error": {"message": "overloaded", "type": "server_error", "code": 503}},
    {"error": "overloaded"},
    {"error": None, "choices": []},
    {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
    {"type": "ping"},
    {"type": "response.output_text.delta", "delta": "Hi"},
    {"type": "message_start", "message": {"id": "x", "role": "assistant"}},
    {"object": "thread.message.delta", "delta": {"content": []}},
    {"object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]},
    {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]},
    {"choices": None},
    {"choices": []},
    {"choices": [{}]},
    chunk({"content": None}),
    chunk({}, "stop", 1),
    chunk({"content": "more"}),
    chunk({}, "length"),
)


def foreign_inserted(random: Random, events: list[Event]) -> None:
    events.insert(random.randrange(len(events) + 1), copy.deepcopy(random.choice(FOREIGN)))


def spliced(random: Random, events: list[Event]) -> None:
    other = copy.deepcopy(random.choice(made()))
    events[random.randrange(len(events) + 1) :] = other[random.randrange(len(other)) :]


def glued(random: Random, events: list[Event]) -> None:
    other = copy.deepcopy(list(random.choice(made())))
    for event in other:
        if isinstance(event, dict):
            event["id"] = "c-2"
    events[random.randrange(len(events) + 1) : len(events)] = other


def calls_split(_: Random, events: list[Event]) -> None:
    """Without indexes and identifiers."""
    for choice in _choices(events):
        delta: dict[str, Any] = choice.get("delta") or {}
        for each in _objects(delta.get("tool_calls")):
            each.pop("index", None)
            each.pop("id", None)


OF_EVENTS: tuple[Callable[[Random, list[Event]], None], ...] = (
    *(dropped, doubled, swapped, shuffled, ended_early, done_moved, reason_changed, reason_changed, reason_dropped),
    *(reason_added, value_changed, value_changed, value_changed, key_dropped, key_dropped, key_renamed, wrapped),
    *(foreign_inserted, foreign_inserted, spliced, glued, calls_split),
)


def _choices(events: list[Event]) -> list[dict[str, Any]]:
    held = [choice for event in events if isinstance(event, dict) for choice in _objects(event.get("choices"))]
    return [choice for choice in held if isinstance(choice.get("delta") or {}, dict)]


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list, if it is one."""
    held = value if is_list(value) else []
    return [each for each in held if isinstance(each, dict)]


def _any_place(random: Random, events: list[Event]) -> tuple[Any, Any] | None:
    """A member of an object or an element of a list, anywhere in an event."""
    places = [place for event in events if isinstance(event, dict) for place in _places(event)]
    return random.choice(places) if places else None


def _places(value: Any) -> list[tuple[Any, Any]]:
    members: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        members = list(cast("dict[str, Any]", value).items())
    elif is_list(value):
        members = list(enumerate(value))
    places: list[tuple[Any, Any]] = []
    for key, member in members:
        places += [(value, key), *_places(member)]
    return places


def as_json(event: Event) -> bytes:
    """An event, without its framing."""
    return (event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))).encode()


def encoded(event: Event) -> bytes:
    """An event as it is sent."""
    return b"data: " + as_json(event) + b"\n\n"


# Bytes


def flipped(random: Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(random.choice((1, 1, 2, 8))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwritten(random: Random, body: bytes) -> bytes:
    changed = bytearray(body)
    if changed:
        changed[random.randrange(len(changed))] = random.choice(b'\n\r"{}[]:,\\ \x00\xff\xe2d0')
    return bytes(changed)


def cut_out(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    return body[:start] + body[start + random.choice((1, 2, 10, 100)) :]


def repeated(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    end = start + random.choice((1, 2, 10, 100))
    return body[:end] + body[start:end] + body[end:]


INSERTED = (
    *(b"\n", b"\r", b"\n\n", b"\r\n\r\n", b"data: ", b"data:\n\n", b"event: error\n", b"event: ping\n", b": ping\n\n"),
    *(b"\xef\xbb\xbf", b"\x00", b"\xff\xfe", b"retry: 1\n", b"id: 7\n", b"data: [DONE]\n\n", b"}", b'"', b"\\u"),
    b'error: {"code":500,"message":"context size exceeded","type":"server_error"}\n\n',
    b'{"error":{"message":"overloaded"}}',
    b'{"error":{"message":"overloaded"}}\n\n',
    b"<html>502 Bad Gateway</html>\n\n",
)


def inserted(random: Random, body: bytes) -> bytes:
    # Most often between two events.
    ends = [0, *(place + 2 for place in range(len(body)) if body[place : place + 2] == b"\n\n"), len(body)]
    place = random.choice(ends) if random.random() < 0.6 else random.randrange(len(body) + 1)
    return body[:place] + random.choice(INSERTED) + body[place:]


def line_ends(random: Random, body: bytes) -> bytes:
    return body.replace(b"\n", random.choice((b"\r", b"\r\n", b"\n\n", b"\r\r\n")))


def line_dropped(random: Random, body: bytes) -> bytes:
    lines = body.split(b"\n")
    del lines[random.randrange(len(lines))]
    return b"\n".join(lines)


def prefix_changed(random: Random, body: bytes) -> bytes:
    return body.replace(b"data: ", random.choice((b"data:", b"data:  ", b"Data: ", b" data: ", b"event: x\ndata: ")))


OF_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(flipped, overwritten, cut_out, repeated, inserted, inserted, line_ends, line_dropped, prefix_changed),
)


# The way in which they come


CONTENT_TYPES = ("text/plain", "application/json", "text/html", "text/event-stream; charset=latin-1", "", None)


def _sent(random: Random, sent: Attack) -> Attack:
    framing: Framing = random.choice(("chunked", "chunked", "length", "close"))
    sizes = random.choice(((1 << 20,), (1 << 20,), (1,), (7, 64), (200,), tuple(random.choices(range(1, 300), k=5))))
    body, ending = sent.body, _ending(random)
    if ending != "proper" or random.random() < 0.1:
        body = body[: random.randrange(len(body) + 1)] if random.random() < 0.7 else body
    content_type = random.choice(CONTENT_TYPES) if random.random() < 0.03 else sent.content_type
    sent = replace(sent, body=body, framing=framing, ending=ending, sizes=sizes, content_type=content_type)
    if framing == "chunked" and ending in {"proper", "fin"} and random.random() < 0.1:
        return replace(sent, raw=_broken(random, chunked(sent)), ending="fin", mutations=(*sent.mutations, "broken"))
    return sent


def _ending(random: Random) -> Ending:
    number = random.random()
    if number < 0.6:
        return "proper"
    return "fin" if number < 0.85 else "reset" if number < 0.97 else "silence" if number < 0.995 else "pings"


def chunked(sent: Attack) -> bytes:
    """The whole body in the transfer coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in sent.pieces()) + b"0\r\n\r\n"


def _broken(random: Random, raw: bytes) -> bytes:
    """A transfer coding that is none at some place."""
    if random.random() < 0.5:
        return flipped(random, raw)
    ends = [place for place in range(len(raw)) if raw[place : place + 2] == b"\r\n"]
    place = random.choice(ends)
    return raw[:place] + random.choice((b"", b"0", b";x=1\r\n", b"\r\n\r\n", b"zz\r\n", b"\n")) + raw[place + 2 :]
