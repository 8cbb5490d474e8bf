"""What ``useChat`` makes of a UI message stream, and what must never be in one.

Rules:

1. It throws where the AI SDK's client does: at a delta of a text that was not begun, at an output of an unknown call.
2. It also fails at what that client bears: parts that begin twice or never end, something behind the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rxllm.serving import UIMessageStream

DONE = "[DONE]"
READY = {"tool-input-available", "tool-input-error"}


def parts_of(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    """The parts of a whole stream."""
    text = b"".join(frames).decode()
    assert text.endswith("\n\n")
    blocks = text[:-2].split("\n\n")
    data = [block.removeprefix("data: ") for block in blocks]
    assert [f"data: {each}" for each in data] == blocks
    assert data.pop() == DONE
    return [json.loads(each) for each in data]


@dataclass
class UIClient:
    """A client that reads one stream.

    Attributes:
        parts: What the message has.
        ended: The part that ended the stream.
    """

    parts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ended: dict[str, Any] | None = None
    _open: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    _had: set[str] = field(default_factory=set[str])
    _count: int = 0

    @classmethod
    def read(cls, frames: Iterable[bytes]) -> UIClient:
        """Read a whole stream."""
        client = cls()
        for part in parts_of(frames):
            client.take(part)
        assert client.ended is not None
        assert not client._open
        return client

    def take(self, part: dict[str, Any]) -> None:
        """Take the next part."""
        kind: str = part["type"]
        assert set(part) - {"type"} <= set(UIMessageStream.sent[kind]), part
        assert self.ended is None, f"{kind} behind {self.ended}"
        assert (kind == "start") == (self._count == 0)
        self._count += 1
        if kind in {"finish", "abort", "error"}:
            self.ended = part
        elif kind == "start-step":
            assert not self._open
            self.parts.append({"type": "step-start"})
        elif kind == "finish-step":
            assert not self._open
            assert all(each["state"] != "input-streaming" for each in self._of_step() if "state" in each)
        elif kind == "reset-step":
            del self.parts[len(self.parts) - len(self._of_step()) :]
            self._open.clear()
        elif kind.startswith(("text-", "reasoning-")):
            text, what = kind.split("-")
            self._text(text, what, part)
        elif kind.startswith("tool-"):
            self._tool(kind, part)
        elif kind != "start":
            assert self.parts
            self.parts.append(part)

    def texts(self, kind: str = "text") -> str:
        """All that it says."""
        return "".join(each["text"] for each in self.parts if each["type"] == kind)

    def calls(self) -> list[dict[str, Any]]:
        """The calls."""
        return [each for each in self.parts if "toolCallId" in each]

    def _of_step(self) -> list[dict[str, Any]]:
        start = max((place for place, each in enumerate(self.parts) if each["type"] == "step-start"), default=-1)
        assert start >= 0, "a part outside of a step"
        return self.parts[start + 1 :]

    def _text(self, kind: str, what: str, part: dict[str, Any]) -> None:
        name = part["id"]
        if what == "start":
            assert not self._open, "two texts at once"
            assert name not in self._had
            self._had.add(name)
            self._of_step()
            self._open[name] = {"type": kind, "text": ""}
            self.parts.append(self._open[name])
        elif what == "delta":
            assert part["delta"]
            self._open[name]["text"] += part["delta"]
        else:
            self._open.pop(name)

    def _tool(self, kind: str, part: dict[str, Any]) -> None:
        if kind == "tool-input-start":
            assert part["toolCallId"]
            assert part["toolCallId"] not in {each["toolCallId"] for each in self.calls()}
            self._of_step()
            kept = {key: value for key, value in part.items() if key != "type"}
            named = "dynamic-tool" if part.get("dynamic") else f"tool-{part['toolName']}"
            self.parts.append({**kept, "type": named, "state": "input-streaming", "raw": ""})
            return
        call = self._call(part)
        if "toolCallId" in part and "dynamic" in UIMessageStream.sent[kind]:
            assert (call.get("providerExecuted"), call.get("dynamic")) == (
                part.get("providerExecuted"),
                part.get("dynamic"),
            )
        if kind == "tool-input-delta":
            assert call["state"] == "input-streaming"
            assert part["inputTextDelta"]
            call["raw"] += part["inputTextDelta"]
        elif kind in READY:
            assert call["state"] == "input-streaming"
            # Which may have come in fragments.
            call["toolName"] = part["toolName"]
            call["state"] = "input-available" if kind == "tool-input-available" else "output-error"
            call |= {key: part[key] for key in ("input", "errorText") if key in part}
        else:
            assert call["state"] != "input-streaming"
            self._outcome(kind, call, part)

    def _outcome(self, kind: str, call: dict[str, Any], part: dict[str, Any]) -> None:
        call["state"] = {
            "tool-approval-request": "approval-requested",
            "tool-approval-response": "approval-responded",
            "tool-output-available": "output-available",
            "tool-output-error": "output-error",
            "tool-output-denied": "output-denied",
        }[kind]
        if kind.startswith("tool-approval"):
            call.setdefault("approval", {}).update({key: part[key] for key in part.keys() - {"type", "toolCallId"}})
        elif kind == "tool-output-denied":
            assert call["approval"]["approved"] is False
        else:
            call |= {key: part[key] for key in ("output", "errorText") if key in part}

    def _call(self, part: dict[str, Any]) -> dict[str, Any]:
        for call in self.calls():
            known = call["toolCallId"] if "toolCallId" in part else call.get("approval", {}).get("approvalId")
            if known == part.get("toolCallId", part.get("approvalId")):
                return call
        raise AssertionError(f"there is no such call: {part}")
