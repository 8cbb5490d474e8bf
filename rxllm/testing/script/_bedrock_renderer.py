"""Scripts as Amazon Bedrock's Converse API sends them, ``ConverseStream``: in frames of AWS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from rxllm.testing.script._answers import Answer, Refusal
from rxllm.testing.script._named_steps import compact
from rxllm.testing.script._pieces import Failed, unsayable
from rxllm.testing.script._renderer import EventRenderer, Part
from rxllm.testing.script._steps import Block, Burst, Chunk, Comment, Event, Frame, Raw, Stall, Step, StepLike
from rxllm.wire import AWS_FRAMES, EVENT_STREAM

__all__ = ["BedrockConverseRenderer", "frame_of"]

_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "content_filtered"}
_ERRORS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "ValidationException",
    HTTPStatus.FORBIDDEN: "AccessDeniedException",
    HTTPStatus.NOT_FOUND: "ResourceNotFoundException",
    HTTPStatus.REQUEST_TIMEOUT: "ModelTimeoutException",
    HTTPStatus.FAILED_DEPENDENCY: "ModelErrorException",
    HTTPStatus.TOO_MANY_REQUESTS: "ThrottlingException",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailableException",
}
_ERROR_TYPE = "x-amzn-errortype"
_FAILURES = {
    "server_error": "internalServerException",
    "overloaded_error": "serviceUnavailableException",
    "rate_limit_error": "throttlingException",
}
_EXCEPTION = "Exception"
_PING = Event("{}", "ping")


class BedrockConverseRenderer(EventRenderer):
    """Says the steps of a script as the Converse API does."""

    name = "bedrock-converse"
    path = "/model/scripted/converse-stream"
    base_path = ""
    request_id_header = "x-amzn-requestid"
    keep_alive = _PING

    def rendered(self, answer: Answer) -> Answer:
        """The answer; the kind of an error is in a header."""
        made = super().rendered(answer)
        if answer.refusal is not None:
            kind = answer.refusal.type or _ERRORS.get(answer.status, "InternalServerException")
            return replace(made, headers={_ERROR_TYPE: kind, **made.headers})
        return replace(made, content_type=AWS_FRAMES) if made.content_type == EVENT_STREAM else made

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:  # noqa: ARG002 - it is in a header
        """``{"message": …}``."""
        if refusal.code is not None:
            raise unsayable(self.name, f"the code {refusal.code!r} of an error")
        return {"message": refusal.message}

    def steps(self, steps: Iterable[StepLike]) -> Iterator[Step]:
        """The steps, with frames in the place of events."""
        for step in super().steps(steps):
            match step:
                case Burst(parts):
                    yield Burst(tuple(map(self._framed, parts)))
                case Stall():
                    yield replace(step, sends=frame_of(_PING))
                case Chunk() | Event() | Comment():
                    yield self._framed(step)
                case _:
                    yield step

    def _framed(
        self, step: Chunk | Event | Comment | Raw | Block | Frame
    ) -> Chunk | Event | Comment | Raw | Block | Frame:
        if isinstance(step, Comment):
            raise unsayable(self.name, "a comment")
        return frame_of(step) if isinstance(step, Event) else step

    def opened(self) -> Iterator[Event]:
        """``messageStart``."""
        yield _event("messageStart", {"role": "assistant"})

    def begun(self, part: Part) -> Iterator[Event]:
        """``contentBlockStart``, which only tools have."""
        if part.kind == "refusal":
            raise unsayable(self.name, "a refusal's text")
        if part.kind == "call":
            yield _start(part.index, {"toolUse": {"toolUseId": part.call.id, "name": part.call.name}})

    def added(self, part: Part, text: str) -> Iterator[Event]:
        """``contentBlockDelta``."""
        deltas = {"call": {"toolUse": {"input": text}}, "reasoning": {"reasoningContent": {"text": text}}}
        yield _delta(part.index, deltas.get(part.kind, {"text": text}))

    def ended(self, part: Part, *, cut: bool) -> Iterator[Event]:
        """``contentBlockStop``; reasoning that is whole has a signature."""
        if part.kind == "reasoning" and not cut:
            signature = f"signature_{self.number}_{part.index}"
            yield _delta(part.index, {"reasoningContent": {"signature": signature}})
        yield _stop(part.index)

    def block(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        """A block of the content, in deltas."""
        match block:
            case {"text": text}:
                deltas: list[dict[str, Any]] = [{"text": text}]
            case {"citationsContent": {"content": content, "citations": citations}}:
                deltas = [*({"text": each["text"]} for each in content), *({"citation": each} for each in citations)]
            case {"reasoningContent": {"reasoningText": {"text": text, **signed}}}:
                deltas = [{"reasoningContent": {"text": text}}] if text else []
                deltas += [{"reasoningContent": signed}] if signed else []
            case {"reasoningContent": _}:
                deltas = [block]
            case {"toolUse": {"input": value, **start}}:
                yield _start(index, {"toolUse": start})
                deltas = [{"toolUse": {"input": piece}} for piece in _halves(compact(value))]
            case {"toolResult": {"content": content, **start}}:
                yield _start(index, {"toolResult": start})
                deltas = [{"toolResult": [each]} for each in content]
            case {"image": {"source": source, **start}}:
                yield _start(index, {"image": start})
                deltas = [{"image": {"source": source}}]
            case _:
                raise unsayable(self.name, f"a block of {', '.join(block)}")
        for delta in deltas:
            yield _delta(index, delta)
        yield _stop(index)

    def finished(self, reason: str) -> Iterator[Event]:
        """``messageStop`` and ``metadata``. Words that chat completions do not have are taken as they are."""
        yield _event("messageStop", {"stopReason": _REASONS.get(reason, reason)})
        counts = self.counts
        usage = {
            "inputTokens": counts.prompt - counts.cached,
            "outputTokens": counts.completion,
            "totalTokens": counts.prompt + counts.completion,
        }
        cached = {"cacheReadInputTokens": counts.cached, "cacheWriteInputTokens": 0} if counts.cached else {}
        yield _event("metadata", {"usage": {**usage, **cached}, "metrics": {"latencyMs": 1}})

    def done(self) -> Iterator[Event]:
        """Nothing: the body ends."""
        yield from ()

    def failed(self, failed: Failed) -> Iterator[Event]:
        """An exception; the words that others have for some are translated."""
        if failed.code is not None:
            raise unsayable(self.name, f"the code {failed.code!r} of an error")
        kind = _FAILURES.get(failed.type, failed.type)
        if not kind.endswith(_EXCEPTION):
            raise unsayable(self.name, f"the type {failed.type!r} of an error, which ends with {_EXCEPTION}")
        yield _event(kind, {"message": failed.message})


def frame_of(event: Event) -> Frame:
    """The frame that an event is sent in: its name is its type, or what exception it is.

    Raises:
        ValueError: It has no name, or what no frame has.
    """
    if event.event is None or event.id is not None or event.retry is not None:
        raise unsayable(BedrockConverseRenderer.name, "an event without a name, or with an id or retry")
    kind = "exception" if event.event.endswith(_EXCEPTION) else "event"
    headers = {f":{kind}-type": event.event, ":content-type": "application/json", ":message-type": kind}
    return Frame(headers, event.data.encode())


def _event(name: str, payload: dict[str, Any]) -> Event:
    return Event(compact(payload), event=name)


def _start(index: int, start: dict[str, Any]) -> Event:
    return _event("contentBlockStart", {"start": start, "contentBlockIndex": index})


def _delta(index: int, delta: dict[str, Any]) -> Event:
    return _event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})


def _stop(index: int) -> Event:
    return _event("contentBlockStop", {"contentBlockIndex": index})


def _halves(text: str) -> list[str]:
    half = len(text) // 2
    return [text[:half], text[half:]]
