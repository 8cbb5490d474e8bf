"""What comes from Amazon Bedrock's Converse API: events in frames of AWS."""

from __future__ import annotations

import json
import struct
from functools import partial
from typing import Any
from zlib import crc32

from rxllm.testing.conformance._case import Case, ExpectedChoice, Failure, Whole
from rxllm.testing.conformance._named_events import CHAT_BODY, Payload, dialect_case
from rxllm.testing.conformance._wire import DONE, IMPATIENT, called, said
from rxllm.testing.script import Answer, api_error, cut
from rxllm.wire import encode_aws_frame

__all__ = ["BEDROCK_CASES"]

SHOWN = "the kettle is empty"
LATE = said("It is late.")
CITY = '{"city": "Paris"}'
PARIS = called(("tooluse_a", "get_weather", CITY))
PADDING = "abcdefghijklmnopqrstuvwxyz"

case = partial(dialect_case, "bedrock-converse")


def frame(name: str, payload: Payload, kind: str = "event") -> bytes:
    """An event in its frame, with padding, as Bedrock sends it."""
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    padded = {**payload, "p": PADDING[: len(str(payload)) % 26]} if kind == "event" else payload
    return encode_aws_frame(headers, json.dumps(padded, ensure_ascii=False).encode())


def begin(index: int, **start: Any) -> bytes:
    return frame("contentBlockStart", {"contentBlockIndex": index, "start": start})


def delta(index: int, **fields: Any) -> bytes:
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": fields})


def stop(index: int) -> bytes:
    return frame("contentBlockStop", {"contentBlockIndex": index})


def text(index: int, *pieces: str) -> list[bytes]:
    return [*(delta(index, text=piece) for piece in pieces), stop(index)]


def thinking(index: int, *pieces: str) -> list[bytes]:
    deltas = [delta(index, reasoningContent={"text": piece}) for piece in pieces]
    return [*deltas, delta(index, reasoningContent={"signature": "c2ln"}), stop(index)]


def call(index: int, *pieces: str, id: str = "tooluse_a", **fields: Any) -> list[bytes]:
    start = {"toolUseId": id, "name": "get_weather", **fields}
    return [begin(index, toolUse=start), *(delta(index, toolUse={"input": piece}) for piece in pieces), stop(index)]


def ended(reason: str = "end_turn") -> bytes:
    return frame("messageStop", {"stopReason": reason})


def told(**more: int) -> bytes:
    usage = {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8 + sum(more.values()), **more}
    return frame("metadata", {"usage": usage, "metrics": {"latencyMs": 7}})


def malformed(headers: bytes, total: int | None = None) -> bytes:
    """A frame with right checksums, whatever is in it."""
    lengths = struct.pack(">II", len(headers) + 16 if total is None else total, len(headers))
    body = lengths + struct.pack(">I", crc32(lengths)) + headers
    return body + struct.pack(">I", crc32(body))


def whole(*frames: bytes, reason: str = "end_turn") -> bytes:
    return b"".join([START, *frames, ended(reason), told()])


def broken(place: int) -> bytes:
    """An answer whose second frame has a wrong byte."""
    body = bytearray(TEXT[0])
    body[place] ^= 1
    return b"".join([START, body, *TEXT[1:], ended(), told()])


START = frame("messageStart", {"role": "assistant"})
TEXT = text(0, "It is ", "late.")
UNKNOWN = [
    frame("weatherReport", {"sky": "grey"}),
    begin(1, poem={"lines": ["x"]}),
    delta(1, rhyme={"y": "z"}),
    stop(1),
]
SERVER_TOOL = [
    *call(0, '{"query":', ' "time"}', id="srv_a", type="server_tool_use"),
    begin(1, toolResult={"toolUseId": "srv_a"}),
    delta(1, toolResult=[{"text": "noon"}]),
    stop(1),
]
BOTH = called(("tooluse_a", "get_weather", CITY), ("tooluse_b", "get_weather", "{}")).choices[0].tool_calls
THROTTLED = frame("throttlingException", {"message": SHOWN}, "exception")
ERROR = encode_aws_frame({":message-type": "error", ":error-code": "InternalError", ":error-message": SHOWN})

FRAMES = (
    case("B1-whole", "an answer in one read", whole(*TEXT), LATE),
    case("B1-bytes", "an answer byte by byte", Answer((whole(*TEXT),), fragment=1), LATE),
    case("B1-pieces", "an answer in pieces of 7 bytes", Answer((whole(*TEXT),), fragment=7), LATE),
    case("B1-unknown", "what is unknown", whole(*TEXT[:-1], *UNKNOWN, TEXT[-1]), LATE),
    case("B2-lengths", "a wrong checksum of the lengths", broken(10), Failure()),
    case("B2-frame", "a wrong byte in a payload", broken(-8), Failure()),
    case("B2-end", "a wrong checksum of a frame", broken(-1), Failure()),
    case("B2-headers", "headers that are malformed", START + malformed(b"\x05ab"), Failure()),
    case("B2-contradiction", "lengths that contradict each other", START + malformed(b"", total=15), Failure()),
)

BLOCKS = (
    case("B3-two", "two texts, and a gap", whole(*TEXT, *text(4, " Go home.")), said("It is late. Go home.")),
    case("B3-stop", "a block that never stops", whole(*TEXT[:-1]), LATE),
    case("B4-one", "a call in pieces", whole(*call(0, "", '{"city":', ' "Paris"}'), reason="tool_use"), PARIS),
    case(
        "B4-none",
        "a call without input",
        whole(*call(0), reason="tool_use"),
        called(("tooluse_a", "get_weather", "{}")),
    ),
    case(
        "B4-two",
        "text and two calls",
        whole(*TEXT, *call(1, CITY), *call(2, "{}", id="tooluse_b"), reason="tool_use"),
        Whole((ExpectedChoice(text="It is late.", tool_calls=BOTH, finish_reason="tool_calls"),)),
    ),
    case("B5", "a tool of the server", whole(*SERVER_TOOL, *text(2, "It is late.")), LATE),
    case(
        "B5-beside", "a tool of the server beside a call", whole(*SERVER_TOOL, *call(2, CITY), reason="tool_use"), PARIS
    ),
    case(
        "B6-text",
        "reasoning and text",
        whole(*thinking(0, "It is ", "dark."), *text(1, "It is late.")),
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "B6-call",
        "reasoning and a call",
        whole(*thinking(0, "It is ", "dark."), *call(1, CITY), reason="tool_use"),
        called(("tooluse_a", "get_weather", CITY), reasoning="It is dark."),
    ),
    case(
        "B6-redacted",
        "redacted reasoning",
        whole(delta(0, reasoningContent={"redactedContent": "eA=="}), stop(0), *text(1, "It is late.")),
        LATE,
    ),
)


def counted(prompt: int, completion: int) -> Whole:
    return Whole(LATE.choices, usage={"prompt_tokens": prompt, "completion_tokens": completion})


CACHED = told(cacheReadInputTokens=100, cacheWriteInputTokens=20)

ENDS = (
    case("B7-usage", "usage behind the end", whole(*TEXT), counted(3, 5)),
    case("B7-cached", "tokens of the cache", b"".join([START, *TEXT, ended(), CACHED]), counted(123, 5)),
    case("B7-none", "no metadata", b"".join([START, *TEXT, ended()]), LATE),
    *(
        case(
            f"B7-{word}",
            f"the stop reason {word}",
            whole(*TEXT, reason=word),
            said("It is late.", finish_reason=reason),
        )
        for word, reason in (
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("guardrail_intervened", "content_filter"),
            ("content_filtered", "content_filter"),
        )
    ),
    case("B8-text", "the end in a text", START + TEXT[0], None),
    case("B8-call", "the end in a call", b"".join([START, *call(0, '{"city":')[:2]]), None),
    case("B8-block", "the end behind a block", b"".join([START, *TEXT]), None),
    case("B8-closed", "the end behind a call that is whole", b"".join([START, *call(0, CITY)]), None),
    case("B8-start", "the end behind the beginning", START, None),
    case("B8-frame", "the end within the last frame", b"".join([START, *TEXT, ended()])[:-3], None),
    case("B8-lost", "the connection lost in a text", Answer((START + TEXT[0], cut())), None),
    case("B8-other", "another message within", b"".join([START, TEXT[0], START, *TEXT, ended(), told()]), Failure()),
    case("B9-first", "an exception in place of an answer", THROTTLED, Failure(shows=SHOWN)),
    case("B9-within", "an exception behind text", START + TEXT[0] + THROTTLED, Failure(shows=SHOWN)),
    case("B9-error", "an error in the headers of a frame", START + TEXT[0] + ERROR, Failure(shows=SHOWN)),
    *(
        case(
            f"B9-{code}",
            f"the status {code}",
            api_error(code, SHOWN, headers=IMPATIENT),
            Failure(shows=SHOWN),
            may_repeat=passes,
        )
        for code, passes in ((400, False), (403, False), (429, True), (503, True))
    ),
    case("B10-chat", "chat completions instead", CHAT_BODY + DONE, None),
    case("B10-chunk", "frames of another operation", frame("chunk", {"bytes": "e30="}), None),
)

BEDROCK_CASES: tuple[Case, ...] = (*FRAMES, *BLOCKS, *ENDS)
