"""HTTP/1.1 and event streams as far as a scripted server needs them (RFC 9112; WHATWG HTML, section 9.2).

Rules:

1. Reading is strict enough for real clients and no more: what does not parse is a ``ValueError``.
2. Nothing here writes: heads, frames and events are made as bytes.
"""

from __future__ import annotations

import asyncio
import http
import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

from rxllm.testing.script import Block, Burst, Chunk, Comment, Frame, Line, Raw, Sent
from rxllm.wire import encode_aws_frame

__all__ = ["NO_BLOCKS", "RequestHead", "encode_event", "frame_chunk", "read_body", "read_head", "response_head"]

NO_BLOCKS = "openai-chat cannot send a block; give the server the dialect whose block it is"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and headers; header names in lower case, repeated ones joined by a comma."""

    method: str
    target: str
    version: str
    headers: dict[str, str]

    @property
    def upgrades_to_websocket(self) -> bool:
        """Whether the client wants to go on as a WebSocket (RFC 6455, section 4.2.1)."""
        return self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def keeps_alive(self) -> bool:
        """Whether the client may send another request on this connection (RFC 9112, section 9.3)."""
        return self.version == "HTTP/1.1" and self.headers.get("connection", "").lower() != "close"


async def read_head(reader: asyncio.StreamReader) -> RequestHead:
    """Read up to the blank line behind the headers."""
    head = await reader.readuntil(b"\r\n\r\n")
    request_line, _, fields = head.partition(b"\r\n")
    method, target, version = request_line.decode("ascii").split(" ")
    message = http.client.parse_headers(io.BytesIO(fields))
    names = dict.fromkeys(name.lower() for name in message)
    headers = {name: ", ".join(message.get_all(name, ())) for name in names}
    return RequestHead(method, target, version, headers)


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read the body that belongs to these headers."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


def response_head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    # As aiohttp decodes them: a byte that is not UTF-8 is half a surrogate pair.
    return "\r\n".join(lines).encode(errors="surrogateescape")


def _reason(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def frame_chunk(data: bytes) -> bytes:
    """One chunk of chunked transfer coding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_event(step: Sent, line_end: str) -> bytes:
    """What a step is in an event stream."""
    match step:
        case Burst(steps):
            return b"".join(encode_event(sent, line_end) for sent in steps)
        case Raw(data):
            return data
        case Line(data):
            return f"{data}\n".encode()
        case Frame(headers, payload):
            return encode_aws_frame(headers, payload)
        case Comment(text):
            lines = [f":{' ' * bool(text)}{text}"]
        case Chunk(payload):
            lines = [f"data: {json.dumps(payload, separators=(',', ':'), ensure_ascii=False)}"]
        case Block():
            raise ValueError(NO_BLOCKS)
        case _:
            fields = (("event", step.event), ("id", step.id), ("retry", step.retry))
            lines = [f"{name}: {value}" for name, value in fields if value is not None]
            lines += [f"data: {line}" for line in step.data.split("\n")]
    return line_end.join([*lines, "", ""]).encode()
