"""Writes one UI message stream: see ``_ui_message_stream``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from rxllm.exceptions import LimitExceededError, RestartError
from rxllm.models import OpenFinishReason, Usage, ending_of, loads, total_of
from rxllm.serving import _told as told
from rxllm.serving import _ui_parts as parts
from rxllm.serving._event_stream import data
from rxllm.serving._narrated_writer import NarratedWriter
from rxllm.serving._narrator import Narrator
from rxllm.serving._protocol import ServedEnd
from rxllm.serving._tool_failures import told_failure
from rxllm.serving._ui_parts import UIPart

_DONE = b"data: [DONE]\n\n"
_CUT = "The call was cut off."
_NO_JSON = "The input of the call is not JSON."
_REASONS: Mapping[str, str] = {
    "completed": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "truncated": "error",
}
_CALLS = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
_TEXTS: Mapping[str, tuple[type[Any], type[Any], type[Any]]] = {
    "text": (parts.TextStart, parts.TextDelta, parts.TextEnd),
    "reasoning": (parts.ReasoningStart, parts.ReasoningDelta, parts.ReasoningEnd),
}


class UIWriter(NarratedWriter):
    """Writes one answer.

    Args:
        message_id: The identifier of the message, if it has one.
        metadata: What it is given as its metadata.
        is_dynamic: Says whether the client does not know a tool.
        usage: Whether tokens are told.
    """

    def __init__(
        self,
        message_id: str | None,
        metadata: Mapping[str, Any] | None,
        is_dynamic: Callable[[str], bool],
        *,
        usage: bool,
    ) -> None:
        super().__init__(Narrator(), self._tellers())
        self._start = parts.Start(message_id, metadata)
        self._is_dynamic = is_dynamic
        self._tells_usage = usage
        self._usages: list[Usage | None] = []
        self._is_stopped = False
        self._goes_again = False
        self._dynamic: set[str] = set()
        self._useless: set[str] = set()
        self._asked: set[str] = set()
        self._denied: set[str] = set()

    def begin(self) -> bytes:
        """The part ``start``."""
        return data(self._start)

    def end(self, end: ServedEnd, /) -> bytes:
        """The parts at the end, and ``[DONE]``."""
        self.over = True
        frames = [self._unsent]
        if end.error is not None:
            self._tell(self._narrator.cut(), frames)
            frames.append(data(parts.Error(end.error.message)))
        elif end.kind == "stopped" or self._narrator.stopped:
            self._is_stopped = True
            self._tell(self._narrator.cut(), frames)
            frames.append(data(parts.Abort(end.reason)))
        else:
            self._tell(self._narrator.close(), frames)
            frames.append(data(parts.Finish(_reason_of(self._narrator.reason), self._metadata())))
        return b"".join([*frames, _DONE])

    def _metadata(self) -> dict[str, Any] | None:
        usage = total_of(self._usages) if self._tells_usage else None
        if usage is None:
            return None
        counts = {
            "inputTokens": usage.prompt_tokens,
            "outputTokens": usage.completion_tokens,
            "totalTokens": usage.total_tokens,
        }
        return {"usage": {name: count for name, count in counts.items() if count is not None}}

    # Steps.

    def _step_start(self, _: told.StepStart) -> Iterable[UIPart]:
        """The part ``start-step``; after ``reset-step`` the client has it."""
        goes_again, self._goes_again = self._goes_again, False
        return [] if goes_again else [parts.StartStep()]

    def _step_end(self, end: told.StepEnd) -> Iterable[UIPart]:
        self._usages.append(end.usage)
        return [parts.FinishStep()]

    def _restart(self, restart: told.Restart) -> Iterable[UIPart]:
        if restart.takes_all:
            raise RestartError("a UI message stream")
        self._goes_again = True
        return [parts.ResetStep()]

    # Calls.

    def _input_start(self, start: told.InputStart) -> Iterable[UIPart]:
        if self._is_dynamic(start.name):
            self._dynamic.add(start.id)
        return [parts.ToolInputStart(start.id, start.name, *self._flags(start))]

    def _input_ready(self, ready: told.InputReady) -> Iterable[UIPart]:
        flags = self._flags(ready)
        value, fault = _input_of(ready)
        if fault is None:
            return [parts.ToolInputAvailable(ready.id, ready.name, value, *flags)]
        self._useless.add(ready.id)
        if self._is_stopped or self._narrator.stopped:
            return []
        return [parts.ToolInputError(ready.id, ready.name, value, fault, *flags)]

    def _approval(self, approval: told.Approval) -> Iterable[UIPart]:
        approval_id = f"{approval.id}-approval"
        request = parts.ToolApprovalRequest(approval_id, approval.id)
        if approval.approved is None:
            self._asked.add(approval.id)
            return [request]
        if not approval.approved:
            self._denied.add(approval.id)
        response = parts.ToolApprovalResponse(approval_id, approval.approved, approval.reason)
        # The client knows no decision about a question that it does not know.
        return [response] if approval.id in self._asked else [request, response]

    def _output(self, output: told.Output) -> Iterable[UIPart]:
        if output.id in self._useless:
            return []
        if output.refused and output.id in self._denied:
            return [parts.ToolOutputDenied(output.id)]
        flags = self._flags(output)
        if output.error is not None:
            return [parts.ToolOutputError(output.id, told_failure(output.error), *flags)]
        return [parts.ToolOutputAvailable(output.id, _value_of(output.content), *flags)]

    def _flags(self, of: told.InputStart | told.InputReady | told.Output) -> tuple[bool | None, bool | None]:
        """Whether the provider runs it, and whether the client does not know it."""
        return of.by_server or None, of.id in self._dynamic or None

    # What else there is.

    def _source(self, source: told.Source) -> Iterable[UIPart]:
        if source.url is not None:
            return [parts.SourceUrl(source.id, source.url, source.title)]
        media_type, title = source.media_type or "text/plain", source.title or source.filename or ""
        return [parts.SourceDocument(source.id, media_type, title, source.filename)]

    @staticmethod
    @cache
    def _tellers() -> Mapping[type, Callable[[UIWriter, Any], Iterable[UIPart]]]:
        """How each class is told. The functions are no answer's own: methods that it kept would be a cycle."""
        return {
            told.StepStart: UIWriter._step_start,
            told.StepEnd: UIWriter._step_end,
            told.Restart: UIWriter._restart,
            told.TextStart: lambda _, each: [_TEXTS[each.kind][0](each.id)],
            told.TextPiece: lambda _, each: [_TEXTS[each.kind][1](each.id, each.text)],
            told.TextEnd: lambda _, each: [_TEXTS[each.kind][2](each.id)],
            told.InputStart: UIWriter._input_start,
            told.InputPiece: lambda _, each: [parts.ToolInputDelta(each.id, each.text)],
            told.InputReady: UIWriter._input_ready,
            told.Approval: UIWriter._approval,
            told.Output: UIWriter._output,
            told.Source: UIWriter._source,
            told.Picture: lambda _, each: [parts.File(each.url, each.media_type)],
        }


def _reason_of(reason: OpenFinishReason | None) -> str | None:
    """Why an answer ended, in the client's words."""
    if reason is None:
        return None
    if reason.strip().lower().replace("-", "_") in _CALLS:
        return "tool-calls"
    return _REASONS.get(ending_of(reason), "other")


def _input_of(ready: told.InputReady) -> tuple[Any, str | None]:
    """An input as JSON, or its text and what is wrong with it."""
    if not ready.whole:
        return ready.text, _CUT
    if ready.is_text:
        return ready.text, None
    if not ready.text.strip():
        return {}, None
    try:
        return loads(ready.text), None
    except (LimitExceededError, ValueError):
        # What a provider runs by itself may be a program.
        return ready.text, None if ready.by_server else _NO_JSON


def _value_of(content: object) -> Any:
    """What a tool came to: an object or an array as such, everything else as the text that the model gets."""
    if isinstance(content, str) and content.lstrip()[:1] in {"{", "["}:
        try:
            return loads(content)
        except (LimitExceededError, ValueError):
            return content
    return content
