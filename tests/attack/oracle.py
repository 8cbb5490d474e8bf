"""What an attack allows, read from its bytes by means of its own: nothing here is the library's.

It says what must not be done. It is lenient: what may be read in two ways is allowed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

from tests.attack.mutations import Attack
from tests.attack.streams import DONE, is_list

__all__ = ["Allowed", "allowed"]

GOOD = {
    *("stop", "tool_calls", "function_call", "eos", "eos_token", "end_turn", "stop_sequence", "tool_use"),
    *("tool_call", "stop_token", "complete", "completed"),
}
FAILED = {
    *("abort", "network_error", "error", "insufficient_system_resource"),
    *("aborted", "cancelled", "canceled", "failed"),
}
NONE = {"", "null", "none"}
# The name of what is no event.
STRAY = "stray"


@dataclass(frozen=True)
class Allowed:
    """What may be made of an answer.

    Attributes:
        tools: Whether its tools may run.
        whole: Whether it may be called complete.
    """

    tools: bool
    whole: bool


@dataclass
class _Read:
    """What was read: the reasons of each choice; whether the end was said, an error came before the finish."""

    reasons: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    done: bool = False
    failed: bool = False

    @property
    def finished(self) -> bool:
        return bool(self.reasons) and all(self.reasons.values())


def allowed(sent: Attack) -> Allowed:
    """What may be made of the answer."""
    body, proper = _arrived(sent)
    whole = _completion(body)
    read = _read(body) if whole is None else whole
    # An object that is closed is whole, whatever comes of the connection.
    said = (proper and read.done) or whole is not None
    if read.failed or not read.reasons:
        # A stream without any choice says nothing, but is not called whole either.
        return Allowed(tools=False, whole=False)
    reasons = list(read.reasons.values())
    # Where no reason is said the end of the answer may be one, but nobody knows why it ended.
    return Allowed(
        tools=all(any(word in GOOD for word in words) for words in reasons),
        whole=all(any(word not in FAILED for word in words) or (said and not words) for words in reasons),
    )


def _arrived(sent: Attack) -> tuple[bytes, bool]:
    """The content that arrives, and whether its end may be taken for a proper one."""
    if sent.raw is not None:
        return _dechunked(sent.raw)
    # A body that the end of the connection ends is not cut by that; aiohttp does not say whether that was a reset.
    # Silence is no failure.
    return sent.body, sent.framing == "close" or sent.ending not in {"fin", "reset"}


def _read(body: bytes) -> _Read:
    read = _Read()
    for name, data in _events(body):
        if _unframed(data).strip() == DONE:
            read.done = True
            if name != STRAY:
                break
        _take(read, name, data)
    return read


def _unframed(data: str) -> str:
    """The data of an event that a gateway has framed twice, as was seen."""
    return re.sub(r"^(\s*data:)+", "", data)


def _take(read: _Read, name: str, data: str) -> None:
    try:
        value: Any = json.loads(_unframed(data))
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict):
        return
    fields = cast("dict[str, Any]", value)
    says_error = name == "error" or (fields.get("error") and not fields.get("choices"))
    if says_error and not read.finished:
        read.failed = True
    choices = fields.get("choices")
    for choice in choices if is_list(choices) else ():
        if isinstance(choice, dict):
            _take_choice(read, cast("dict[str, Any]", choice))


def _take_choice(read: _Read, choice: dict[str, Any]) -> None:
    index = choice.get("index")
    # What is no index may be taken for any: it adds no choice that would have to finish.
    held = read.reasons.setdefault(index if type(index) is int else 0, [])
    reason = choice.get("finish_reason")
    word = reason.strip().lower() if isinstance(reason, str) else None
    if word is not None and word not in NONE:
        held.append(word)
    elif reason is not None and word is None:
        # An object, a number: a word that nobody knows.
        held.append(json.dumps(reason))


def _completion(body: bytes) -> _Read | None:
    """A plain JSON completion."""
    try:
        value: Any = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None
    read = _Read()
    if not isinstance(value, dict):
        return None
    _take(read, "", body.decode("utf-8-sig", "replace"))
    return read


def _events(body: bytes) -> list[tuple[str, str]]:
    """Names and data of the events (WHATWG HTML, section 9.2.6)."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[tuple[str, str]] = []
    name, data, strays = "", list[str](), list[str]()
    *lines, rest = re.split(r"\r\n|\n|\r", text)
    # What is behind the last line end is no line of an event.
    for line in [*lines, *([rest] if rest[:1] in {"{", "["} else [])]:
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            # What is no field is nothing within an event.
            events += [(name, "\n".join(data))] if data else [(STRAY, stray) for stray in strays]
            name, data, strays = "", [], []
        elif key == "data":
            data.append(value)
        elif key == "event":
            name = value
        elif key == "error":
            events.append(("error", value))
        elif line[:1] in {"{", "["}:
            # Objects, a line each, without a framing, as some servers send them.
            strays.append(line)
    # The last event without its blank line is none; of the end marker that may be said in two ways.
    events += [(STRAY, stray) for stray in strays]
    if "\n".join(data).strip() == DONE:
        events.append((name, DONE))
    return events


def _dechunked(raw: bytes) -> tuple[bytes, bool]:
    """The content of a body in the transfer coding (RFC 9112, section 7.1), and whether it ended in good order."""
    content = b""
    while True:
        line, found, rest = raw.partition(b"\n")
        size = re.match(rb"\s*([0-9a-fA-F]+)", line)
        if not found or size is None:
            return content, False
        length = int(size[1], 16)
        if not length:
            return content, True
        content += rest[:length]
        if len(rest) < length:
            return content, False
        raw = re.sub(rb"^\r?\n", b"", rest[length:])
