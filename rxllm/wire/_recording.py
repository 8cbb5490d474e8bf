r"""A wire recording: what one request got, read by read, as lines of text.

Rules:

1. One file is one request. A line is a JSON object (https://jsonlines.org) that says in ``record`` what it is::

       {"record":"request","version":1,"transport":"sse","method":"POST","url":"https://host/v1/chat","began":"…"}
       {"record":"response","at":0.183204,"status":200,"headers":{"content-type":"text/event-stream"}}
       {"record":"read","at":0.184011,"text":"data: {\"choices\":[]}\n\n"}
       {"record":"read","at":0.190555,"base64":"ZGF0YTogww=="}
       {"record":"end","at":1.208347,"ending":"eof"}

2. They come in this order: one request, at most one response, any number of reads, at most one end.
3. ``at`` counts seconds from when the request was sent.
4. ``text`` stands for the bytes that it is in UTF-8; what is not UTF-8, because a read ended within a character, for
   example, is ``base64`` (RFC 4648, section 4). Of a WebSocket, ``text`` is a text frame and ``base64`` a binary one.
5. A file without an end is of a process that was killed, or is still writing.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

from rxllm.harmless import EXCERPT_LENGTH, harmless

VERSION = 1

# More than a thousand years; a float has room for the microseconds.
_MAX_SECONDS = 2**35

# The escape of Python for half a surrogate pair is that of JSON, too. aiohttp gives a byte of a header that is not
# UTF-8 as such a half.
_ESCAPED = "backslashreplace"

WireTransport: TypeAlias = Literal["sse", "ndjson", "aws-event-stream", "websocket"]
"""The kind of recording: the body of an HTTP answer, by its framing, or the frames of a WebSocket."""

WireEnding: TypeAlias = Literal["eof", "closed", "lost", "left", "limit"]
"""How it ended.

``"eof"``: the body ended in good order. ``"closed"``: the other side closed the WebSocket. ``"lost"``: the connection
was lost, or there was none. ``"left"``: this side closed it: the consumer left, or refused what came. ``"limit"``: more
came than a recording may hold.
"""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """The request, without body, headers and query.

    Attributes:
        transport: The kind of recording.
        method: The HTTP method.
        url: The URL without user, password, query and fragment.
        began: When the request was sent (ISO 8601, UTC).
    """

    transport: WireTransport
    method: str
    url: str
    began: str


@dataclass(frozen=True, slots=True)
class WireResponse:
    """The head of the answer.

    Attributes:
        at: When the head came, in seconds from the request.
        status: The HTTP status.
        headers: The headers that say how to read the body and which server answered; names in lower case.
    """

    at: float
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class WireRead:
    """The bytes of one read.

    Attributes:
        at: When they were read, in seconds from the request.
        data: The bytes, after transfer and content coding; a text frame of a WebSocket as ``str``.
    """

    at: float
    data: bytes | str


@dataclass(frozen=True, slots=True)
class WireEnd:
    """How the answer ended.

    Attributes:
    at: When it ended, in seconds from the request. ending: How it ended. error: The class of the error that ended
    it, if one did. reset: Whether a lost connection was reset (RST). code: The code with which the other side
    closed a WebSocket (RFC 6455, section 7.4). reason: The reason that the other side gave.
    """

    at: float
    ending: WireEnding
    error: str | None = None
    reset: bool = False
    code: int | None = None
    reason: str = ""


WireRecord: TypeAlias = WireRequest | WireResponse | WireRead | WireEnd
"""A line of a wire recording."""


def encode_record(record: WireRecord, transport: WireTransport = "sse") -> bytes:
    r"""Encode a record as a line, with its line end.

    >>> encode_record(WireRead(0.25, b"data: 1\n\n"))
    b'{"record":"read","at":0.25,"text":"data: 1\\n\\n"}\n'

    Args:
        record: The record.
        transport: The kind of recording. For a WebSocket, ``bytes`` are a binary frame.

    Raises:
        ValueError: Its time is not a number of seconds that ``decode_record`` accepts.
    """
    match record:
        case WireRequest(transport, method, url, began):
            named: dict[str, Any] = {"version": VERSION, "transport": transport, "method": method, "url": url}
            fields = {"record": "request", **named, "began": began}
        case WireResponse(at, status, headers):
            fields = {"record": "response", "at": _written(at), "status": status, "headers": dict(headers)}
        case WireRead(at, data):
            fields = {"record": "read", "at": _written(at), **_encode_data(data, transport)}
        case _:
            fields = {"record": "end", "at": _written(record.at), "ending": record.ending, **_encode_details(record)}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors=_ESCAPED) + b"\n"


def _written(at: float) -> float:
    return round(_seconds(at), 6)


def _encode_data(data: bytes | str, transport: WireTransport) -> dict[str, str]:
    if isinstance(data, str):
        return {"text": data}
    if transport != "websocket":
        with contextlib.suppress(UnicodeDecodeError):
            # Strict UTF-8 has one spelling for each text: the bytes come back as they were.
            return {"text": data.decode()}
    return {"base64": base64.b64encode(data).decode()}


def _encode_details(end: WireEnd) -> dict[str, Any]:
    """What is not as usual of an ending."""
    details = {"error": end.error, "reset": end.reset or None, "code": end.code, "reason": end.reason or None}
    return {name: value for name, value in details.items() if value is not None}


def decode_record(line: bytes, transport: WireTransport = "sse") -> WireRecord:
    r"""Decode a line to a record.

    >>> decode_record(b'{"record":"read","at":0.25,"text":"data: 1\\n\\n"}\n')
    WireRead(at=0.25, data=b'data: 1\n\n')

    Args:
        line: The line.
        transport: The kind of recording. For a WebSocket, a text frame is ``str``.

    Raises:
        ValueError: The line is not a record; the message says what is wrong with it.
    """
    try:
        # JSON is UTF-8 (RFC 8259, section 8.1); what is not is a ValueError, too.
        fields: Any = json.loads(line.decode(), parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what was read is wrong, not what was passed
    return _decode_fields(cast("dict[str, Any]", fields), transport)


def _shown(value: object) -> str:
    return harmless(repr(value), EXCERPT_LENGTH)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _decode_fields(fields: dict[str, Any], transport: WireTransport) -> WireRecord:
    match fields:
        case {"record": "request", "version": version} if version != VERSION:
            raise ValueError(f"version {_shown(version)} of the format; this version of rxllm reads {VERSION}")
        case {"record": "request", "version": _, "transport": found, "method": str(), "url": str(), "began": str()}:
            if found not in get_args(WireTransport):
                raise ValueError(f"no transport {_shown(found)}")
            return WireRequest(found, fields["method"], fields["url"], fields["began"])
        case {"record": "response", "at": at, "status": status, "headers": headers}:
            return WireResponse(_seconds(at), _number("status", status, 100, 999), _headers(headers))
        case {"record": "read", "at": at, "text": str(text)}:
            encoded_text = text.encode()  # half a surrogate pair is refused
            return WireRead(_seconds(at), text if transport == "websocket" else encoded_text)
        case {"record": "read", "at": at, "base64": str(encoded)}:
            return WireRead(_seconds(at), base64.b64decode(encoded, validate=True))
        case {"record": "end", "at": at, "ending": ending}:
            return _decode_end(_seconds(at), ending, fields)
        case _:
            raise ValueError("not a record, or one that lacks a field")


def _decode_end(at: float, ending: Any, fields: dict[str, Any]) -> WireEnd:
    if ending not in get_args(WireEnding):
        raise ValueError(f"no ending {_shown(ending)}")
    details = {name: fields[name] for name in ("error", "reset", "code", "reason") if name in fields}
    types = {"error": str, "reset": bool, "reason": str}
    for name, value in details.items():
        if name == "code":
            _number(name, value, 0, 0xFFFF)
        elif not isinstance(value, types[name]):
            raise ValueError(f"{name} is {_shown(value)}")
    return WireEnd(at, ending, **details)


def _number(name: str, value: Any, least: int, most: int) -> int:
    # A bool is an int, too.
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {_shown(value)}")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_SECONDS:
        raise ValueError(f"at is {_shown(value)}, not a number of seconds")
    return float(value)


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in cast("dict[str, Any]", value).values()):
        raise ValueError("headers that are not texts")
    # Whoever writes one by hand may spell names as HTTP allows.
    return {name.lower(): text for name, text in cast("dict[str, str]", value).items()}
