"""The loop that an engineer writes without a library but aiohttp, and the fold that goes with it.

It does what the protocol's documentation says, for servers that do what the protocol's documentation says.
"""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from rxllm.testing.conformance import CHUNK_TIMEOUT

__all__ = ["Fold", "hand_written"]


class Fold:
    """Chunks to a completion: text by choice, calls by index."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] | None = None

    def add(self, chunk: dict[str, Any]) -> None:
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"]:
            message = self._choice(choice["index"])["message"]
            delta = choice["delta"]
            for name in ("content", "refusal", "reasoning_content"):
                if delta.get(name):
                    message[name] += delta[name]
            fragments: list[dict[str, Any]] = delta.get("tool_calls") or []
            for fragment in fragments:
                self._add_fragment(message["tool_calls"], fragment)
            if choice.get("finish_reason"):
                self._choice(choice["index"])["finish_reason"] = choice["finish_reason"]

    def completion(self) -> dict[str, Any]:
        choices = [self._choices[index] for index in sorted(self._choices)]
        for choice in choices:
            calls = choice["message"]["tool_calls"]
            choice["message"]["tool_calls"] = [calls[index] for index in sorted(calls)]
        return {"choices": choices, "usage": self._usage}

    def _choice(self, index: int) -> dict[str, Any]:
        message = {"content": "", "refusal": "", "reasoning_content": "", "tool_calls": dict[int, Any]()}
        return self._choices.setdefault(index, {"index": index, "message": message, "finish_reason": None})

    def _add_fragment(self, calls: dict[int, dict[str, Any]], fragment: dict[str, Any]) -> None:
        call = calls.setdefault(fragment["index"], {"id": None, "function": {"name": "", "arguments": ""}})
        call["id"] = call["id"] or fragment.get("id")
        call["function"]["name"] = call["function"]["name"] or fragment["function"].get("name", "")
        call["function"]["arguments"] += fragment["function"].get("arguments", "")


async def hand_written(url: str) -> dict[str, Any]:
    fold = Fold()
    timeout = aiohttp.ClientTimeout(total=None, sock_read=CHUNK_TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        request = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "What time is it?"}],
            "stream": True,
        }
        async with session.post(url, json=request, headers={"Authorization": "Bearer none"}) as response:
            response.raise_for_status()
            buffer = b""
            async for block in response.content.iter_any():
                *events, buffer = (buffer + block).split(b"\n\n")
                for event in events:
                    data = event.removeprefix(b"data: ")
                    if data == b"[DONE]":
                        return fold.completion()
                    fold.add(json.loads(data))
    return fold.completion()
