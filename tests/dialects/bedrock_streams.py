"""Streams of the Converse API, for tests: as frames, and as the objects that gateways pass on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rxllm.wire import AWSFrame

Fields = dict[str, Any]

Event = tuple[str, Fields]
"""An event: its name, and what is in it."""

START: Event = ("messageStart", {"role": "assistant"})


def begin(index: int, **start: Any) -> Event:
    return "contentBlockStart", {"contentBlockIndex": index, "start": start}


def tool(index: int, call: str, name: str = "f", **more: Any) -> Event:
    return begin(index, toolUse={"toolUseId": call, "name": name, **more})


def more(index: int, **delta: Any) -> Event:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def say(index: int, text: str) -> Event:
    return more(index, text=text)


def write(index: int, text: str) -> Event:
    return more(index, toolUse={"input": text})


def think(index: int, **said: str) -> Event:
    return more(index, reasoningContent=said)


def end(index: int) -> Event:
    return "contentBlockStop", {"contentBlockIndex": index}


def stop(reason: str = "end_turn", **more: Any) -> Event:
    return "messageStop", {"stopReason": reason, **more}


def told(**more: Any) -> Event:
    usage = {"inputTokens": 3, "outputTokens": 9, "totalTokens": 12}
    return "metadata", {"usage": usage, "metrics": {"latencyMs": 5}, **more}


def frame(event: Event, *, padded: bool = True) -> AWSFrame:
    """The event in a frame, as Bedrock sends it, with padding."""
    name, fields = event
    kind = "exception" if name.endswith("Exception") else "event"
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    padding = {"p": "abcdefghij"} if padded and kind == "event" else {}
    return AWSFrame(headers, json.dumps({**fields, **padding}, separators=(",", ":")).encode())


def frames(events: Iterable[Event]) -> list[AWSFrame]:
    return [frame(event) for event in events]


def text(event: Event) -> str:
    """The event as the SDKs have it, and gateways pass it on."""
    name, fields = event
    return json.dumps({name: fields})


CITATION: Fields = {
    "title": "A",
    "sourceContent": [{"text": "It "}, {"text": "rains."}],
    "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}},
}
SERVER_TOOL = {"type": "server_tool_use"}

STREAMS: dict[str, list[Event]] = {
    "text": [START, say(0, "Hel"), say(0, "lo ✨"), end(0), stop(), told()],
    "calls": [
        START,
        say(0, "I look."),
        end(0),
        tool(1, "tooluse_1"),
        write(1, '{"a"'),
        write(1, ": 1}"),
        end(1),
        tool(2, "tooluse_2", "g"),
        end(2),
        stop("tool_use"),
        told(),
    ],
    "thinking": [
        START,
        think(0, text="Let me "),
        think(0, text="think."),
        think(0, signature="c2ln"),
        end(0),
        think(1, redactedContent="AAEC"),
        end(1),
        say(2, "Yes."),
        end(2),
        stop(),
        told(),
    ],
    "server tools": [
        START,
        tool(0, "srv_1", "search", **SERVER_TOOL),
        write(0, '{"q": '),
        write(0, '"x"}'),
        end(0),
        begin(1, toolResult={"toolUseId": "srv_1", "type": "search_result"}),
        more(1, toolResult=[{"text": "fo"}]),
        more(1, toolResult=[{"text": "und"}, {"json": {"n": 1}}]),
        end(1),
        say(2, "Found."),
        more(2, citation=CITATION),
        end(2),
        stop(),
        told(),
    ],
}
"""Healthy streams, by what is in them."""
