"""What ``@ag-ui/client`` makes of the events of a run, and what must never be among them.

Rules:

1. It fails where the vendor's client does: at content of what was not begun, at an end with something open, at an event
   behind the last one.
2. It also fails at what that client bears: identifiers that stand for two things, fields that nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rxllm.serving import AGUI

ENDS = {"RUN_FINISHED", "RUN_ERROR"}


def events_of(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    """The events of a whole stream."""
    text = b"".join(frames).decode()
    assert text.endswith("\n\n")
    assert "\r" not in text
    blocks = text[:-2].split("\n\n")
    data = [block.removeprefix("data: ") for block in blocks]
    assert [f"data: {each}" for each in data] == blocks
    return [json.loads(each) for each in data]


@dataclass
class AGUIClient:
    """A client that reads one run.

    Attributes:
        messages: Those that it ends up with.
        ended: The last event.
        customs: The events of the application.
    """

    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ended: dict[str, Any] | None = None
    customs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    kinds: set[str] = field(default_factory=set[str])
    _texts: set[str] = field(default_factory=set[str])
    _spans: set[str] = field(default_factory=set[str])
    _calls: set[str] = field(default_factory=set[str])
    _steps: set[str] = field(default_factory=set[str])
    _count: int = 0

    @classmethod
    def read(cls, frames: Iterable[bytes]) -> AGUIClient:
        """Read a whole stream."""
        client = cls()
        for event in events_of(frames):
            client.take(event)
        assert client.ended is not None
        ids = [message["id"] for message in client.messages]
        assert len(set(ids)) == len(ids)
        return client

    @property
    def text(self) -> str:
        """What the assistant said."""
        return "".join(each.get("content", "") for each in self.messages if each["role"] == "assistant")

    @property
    def reasoning(self) -> str:
        """What it thought."""
        return "".join(each["content"] for each in self.messages if each["role"] == "reasoning")

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Its calls."""
        return [call for each in self.messages for call in each.get("toolCalls", ())]

    def take(self, event: dict[str, Any]) -> None:
        """Take the next event."""
        kind: str = event["type"]
        assert set(event) - {"type"} <= set(AGUI.sent[kind]), event
        assert None not in event.values()
        assert self.ended is None, f"{kind} behind {self.ended}"
        assert (kind == "RUN_STARTED") == (self._count == 0)
        self._count += 1
        self.kinds.add(kind)
        if kind in ENDS:
            self.ended = event
            assert kind == "RUN_ERROR" or not (self._texts | self._spans | self._calls | self._steps)
        elif kind != "RUN_STARTED":
            getattr(self, f"_{kind.lower()}")(event)

    def _step_started(self, event: dict[str, Any]) -> None:
        assert not self._steps
        self._steps.add(event["stepName"])

    def _step_finished(self, event: dict[str, Any]) -> None:
        self._steps.remove(event["stepName"])

    def _begin(self, open_ones: set[str], name: str, role: str, **fields: Any) -> None:
        assert self._steps
        assert name not in open_ones
        open_ones.add(name)
        if all(each["id"] != name for each in self.messages):
            self.messages.append({"id": name, "role": role, **fields})

    def _message(self, name: str, role: str) -> dict[str, Any]:
        (found,) = [each for each in self.messages if each["id"] == name]
        assert found["role"] == role
        return found

    def _text_message_start(self, event: dict[str, Any]) -> None:
        assert not self._texts
        assert all(each["id"] != event["messageId"] for each in self.messages)
        self._begin(self._texts, event["messageId"], event["role"], content="")

    def _text_message_content(self, event: dict[str, Any]) -> None:
        assert event["messageId"] in self._texts
        assert event["delta"]
        self._message(event["messageId"], "assistant")["content"] += event["delta"]

    def _text_message_end(self, event: dict[str, Any]) -> None:
        self._texts.remove(event["messageId"])

    def _reasoning_start(self, event: dict[str, Any]) -> None:
        assert not self._spans | self._texts
        self._spans.add(f"span {event['messageId']}")

    def _reasoning_message_start(self, event: dict[str, Any]) -> None:
        assert f"span {event['messageId']}" in self._spans
        assert event["role"] == "reasoning"
        self._begin(self._spans, event["messageId"], "reasoning", content="")

    def _reasoning_message_content(self, event: dict[str, Any]) -> None:
        assert event["messageId"] in self._spans
        assert event["delta"]
        self._message(event["messageId"], "reasoning")["content"] += event["delta"]

    def _reasoning_message_end(self, event: dict[str, Any]) -> None:
        self._spans.remove(event["messageId"])

    def _reasoning_end(self, event: dict[str, Any]) -> None:
        self._spans.remove(f"span {event['messageId']}")

    def _tool_call_start(self, event: dict[str, Any]) -> None:
        assert self._steps
        name, parent = event["toolCallId"], event["parentMessageId"]
        assert name
        assert event["toolCallName"]
        assert name not in {call["id"] for call in self.calls}
        self._calls.add(name)
        if all(each["id"] != parent for each in self.messages):
            self.messages.append({"id": parent, "role": "assistant"})
        calls = self._message(parent, "assistant").setdefault("toolCalls", [])
        calls.append({"id": name, "name": event["toolCallName"], "arguments": ""})

    def _call(self, name: str) -> dict[str, Any]:
        (found,) = [call for call in self.calls if call["id"] == name]
        return found

    def _tool_call_args(self, event: dict[str, Any]) -> None:
        assert event["toolCallId"] in self._calls
        self._call(event["toolCallId"])["arguments"] += event["delta"]

    def _tool_call_end(self, event: dict[str, Any]) -> None:
        self._calls.remove(event["toolCallId"])

    def _tool_call_result(self, event: dict[str, Any]) -> None:
        assert event["toolCallId"] not in self._calls
        owners = [
            place
            for place, each in enumerate(self.messages)
            if any(call["id"] == event["toolCallId"] for call in each.get("toolCalls", ()))
        ]
        place = owners[0] + 1
        while place < len(self.messages) and self.messages[place]["role"] == "tool":
            place += 1
        result = {"id": event["messageId"], "role": event["role"], "toolCallId": event["toolCallId"]}
        self.messages.insert(place, {**result, "content": event["content"]})

    def _activity_snapshot(self, event: dict[str, Any]) -> None:
        fields = {"type": event["activityType"], "content": event["content"]}
        self.messages.append({"id": event["messageId"], "role": "activity", **fields})

    def _activity_delta(self, event: dict[str, Any]) -> None:
        (change,) = event["patch"]
        assert (change["op"], change["path"]) == ("add", "/sources/-")
        self._message(event["messageId"], "activity")["content"]["sources"].append(change["value"])

    def _custom(self, event: dict[str, Any]) -> None:
        self.customs.append({"name": event["name"], **event["value"]})
