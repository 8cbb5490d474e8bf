"""The WebSocket protocol as far as a scripted server needs it (RFC 6455), without extensions.

Rules:

1. A client's frames are masked, a server's are not (section 5.1); an unmasked one is a ``ValueError``.
2. A message in several frames is one message; control frames may stand between them (section 5.4).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from enum import IntEnum

from rxllm.testing._server_http import NO_BLOCKS
from rxllm.testing.script import Block, Burst, Chunk, Comment, Frame, Raw, Sent
from rxllm.wire import encode_aws_frame

__all__ = ["MessageReader", "Opcode", "accept_headers", "encode_close", "encode_frame", "encode_step", "encode_text"]

KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FINAL = 0x80
MASKED = 0x80


class Opcode(IntEnum):
    """What a frame is (section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def is_control(self) -> bool:
        """Whether the frame may stand between the frames of a message."""
        return self >= Opcode.CLOSE


def accept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that accept a handshake (section 4.2.2)."""
    digest = hashlib.sha1(headers["sec-websocket-key"].encode() + KEY_SUFFIX, usedforsecurity=False).digest()
    return {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": base64.b64encode(digest).decode(),
    }


def encode_frame(opcode: Opcode, payload: bytes = b"", *, final: bool = True) -> bytes:
    """One frame (section 5.2); a message whose frame is not final goes on in the next."""
    first = FINAL * final | opcode
    length = len(payload)
    if length < 126:  # noqa: PLR2004
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2) + payload
    return bytes((first, 127)) + length.to_bytes(8) + payload


def encode_text(text: str, frame_size: int | None = None) -> bytes:
    """A text message, in frames of at most so many bytes (section 5.4); a frame may end within a character."""
    payload = text.encode()
    size = frame_size or max(1, len(payload))
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
    opcodes = [Opcode.TEXT, *[Opcode.CONTINUATION] * (len(pieces) - 1)]
    return b"".join(
        encode_frame(opcode, piece, final=number == len(pieces))
        for number, (opcode, piece) in enumerate(zip(opcodes, pieces, strict=True), 1)
    )


def encode_close(code: int | None, reason: str = "") -> bytes:
    """A close frame (section 5.5.1); one without a code says nothing at all."""
    return encode_frame(Opcode.CLOSE, b"" if code is None else code.to_bytes(2) + reason.encode())


def encode_step(step: Sent, frame_size: int | None = None) -> bytes:
    """What a step is over a WebSocket."""
    match step:
        case Burst(steps):
            return b"".join(encode_step(sent, frame_size) for sent in steps)
        case Raw(data):
            return data
        case Comment(text):
            return encode_frame(Opcode.PING, text.encode())
        case Chunk(payload):
            return encode_text(json.dumps(payload, separators=(",", ":"), ensure_ascii=False), frame_size)
        case Frame(headers, payload):
            return encode_frame(Opcode.BINARY, encode_aws_frame(headers, payload))
        case Block():
            raise ValueError(NO_BLOCKS)
        case _:
            return encode_text(step.data, frame_size)


class MessageReader:
    """Reads messages and control frames; a message may be interrupted by control frames, never by a message."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._opcode = Opcode.CONTINUATION
        self._parts: list[bytes] = []

    async def read(self) -> tuple[Opcode, bytes]:
        """The next whole message, or the next control frame."""
        while True:
            opcode, final, payload = await self._read_frame()
            if opcode.is_control:
                return opcode, payload
            if opcode is not Opcode.CONTINUATION:
                self._opcode = opcode
            self._parts.append(payload)
            if final:
                message, self._parts = b"".join(self._parts), []
                return self._opcode, message

    async def _read_frame(self) -> tuple[Opcode, bool, bytes]:
        first, second = await self._reader.readexactly(2)
        if not second & MASKED:
            raise ValueError("a client must mask its frames (RFC 6455, section 5.1)")
        length = second & ~MASKED
        # Two lengths say that the real one follows, in two or eight bytes.
        if extended := {126: 2, 127: 8}.get(length):
            length = int.from_bytes(await self._reader.readexactly(extended))
        key = await self._reader.readexactly(4)
        return Opcode(first & 0xF), bool(first & FINAL), _unmask(await self._reader.readexactly(length), key)


def _unmask(payload: bytes, key: bytes) -> bytes:
    # As one large number: a loop over bytes is a hundred times slower.
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(len(payload))
