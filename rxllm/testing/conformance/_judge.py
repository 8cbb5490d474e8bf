"""What a client did, held against what it had to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rxllm.testing.conformance._case import ExpectedChoice, Failure, Whole
from rxllm.testing.conformance._results import CallResult, ChatResult, ChoiceResult, ResultField, read_result
from rxllm.testing.conformance._verdict import Finding

__all__ = ["judge_error", "judge_result", "message_of", "shortened"]

SHOWN_CHARACTERS = 160
# There may be as many as an index was large.
SHOWN_CALLS = 4


def judge_result(expected: Whole | Failure, result: object) -> Finding:
    """What to say of a client that returned.

    Args:
        expected: What it had to do.
        result: What it returned.
    """
    try:
        answer = read_result(result)
    except ValueError as error:
        return Finding("fail", f"the result cannot be read: {error}")
    if isinstance(expected, Failure):
        return Finding("fail", f"an error was due; it returned {described(answer)}")
    differences = list(_differences(expected, answer))
    if differences:
        return Finding("fail", "; ".join(differences))
    untold = sorted(_told_by(expected) - answer.reports)
    return Finding("not applicable", f"the client does not tell: {', '.join(untold)}") if untold else Finding("pass")


def judge_error(expected: Whole | Failure, error: BaseException) -> Finding:
    """What to say of a client that raised."""
    said = message_of(error)
    if isinstance(expected, Whole):
        return Finding("pass") if expected.or_failure else Finding("fail", f"it raised {shortened(said)}")
    if expected.shows not in said:
        return Finding("fail", f"the error does not show {expected.shows!r}: {shortened(said)}")
    return _judge_partial(expected.partial, getattr(error, "partial", None)) if expected.partial else Finding("pass")


def _judge_partial(due: str, partial: object) -> Finding:
    if partial is None:
        return Finding("not applicable", "the client does not tell: partial")
    try:
        texts = [choice.text for choice in read_result(partial).choices]
    except ValueError as error:
        return Finding("fail", f"partial cannot be read: {error}")
    return Finding("pass") if texts == [due] else Finding("fail", f"partial: expected {due!r}, got {texts!r}")


def message_of(error: BaseException) -> str:
    """What is printed of an error: its class and message, its notes, its causes and its members."""
    return " | ".join(_messages_of(error, set()))


def _messages_of(error: BaseException, seen: set[int]) -> Iterator[str]:
    # An error may be its own cause, as after ``raise error from error``.
    if id(error) in seen:
        return
    seen.add(id(error))
    yield from (f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ()))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    # Of a group.
    members: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    for each in (cause, *members):
        if each is not None:
            yield from _messages_of(each, seen)


def shortened(text: str) -> str:
    """The start of a text that may be long or have many lines.

    >>> shortened("x" * 1000)[-15:]
    '… (1000 in all)'
    """
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}… ({len(text)} in all)"


def described(answer: ChatResult) -> str:
    """A result in a line: what there is in it."""
    parts = [repr(choice.text) for choice in answer.choices]
    parts += [str(call) for choice in answer.choices for call in choice.tool_calls]
    parts += [f"finish_reason {choice.finish_reason}" for choice in answer.choices if choice.finish_reason]
    return shortened(", ".join(parts)) or "an answer without choices"


def _told_by(expected: Whole) -> set[ResultField]:
    """What a client has to tell before it can be said to pass: what the case is about."""
    usual = ExpectedChoice()
    fields: set[ResultField] = set()
    for choice in expected.choices:
        fields |= {name for name in _FIELDS if getattr(choice, name) != getattr(usual, name)}
        fields |= {"extra"} if choice.extra or any(call.extra for call in choice.tool_calls) else set[ResultField]()
    fields |= {"usage"} if expected.usage else set[ResultField]()
    fields |= {"choices"} if len(expected.choices) > 1 else set[ResultField]()
    return fields


_FIELDS: tuple[ResultField, ...] = ("text", "reasoning", "refusal", "tool_calls", "finish_reason", "logprobs")


def _differences(expected: Whole, answer: ChatResult) -> Iterator[str]:
    due, got = expected.choices, answer.choices
    if "choices" not in answer.reports:
        due, got = due[:1], got[:1]
    if [each.index for each in due] != [each.index for each in got]:
        yield f"choices: expected {len(due)}, got indexes {[each.index for each in got]}"
        return
    for left, right in zip(due, got, strict=True):
        yield from _choice_differences(left, right, answer.reports)
    if "usage" in answer.reports:
        yield from (
            f"usage.{name}: expected {count}, got {answer.usage.get(name)!r}"
            for name, count in expected.usage.items()
            if answer.usage.get(name) != count
        )


def _choice_differences(due: ExpectedChoice, got: ChoiceResult, reports: frozenset[ResultField]) -> Iterator[str]:
    for name in _FIELDS:
        left, right = getattr(due, name), getattr(got, name)
        if name == "tool_calls" and name in reports:
            yield from _call_differences(due.tool_calls, got.tool_calls, reports)
        elif name in reports and left is not None and left != right:
            yield f"{name}: expected {shortened(repr(left))}, got {shortened(repr(right))}"
    if "extra" in reports:
        yield from _extra_differences(due.extra, got.extra, "the message")


def _call_differences(
    due: tuple[CallResult, ...], got: tuple[CallResult, ...], reports: frozenset[ResultField]
) -> Iterator[str]:
    if len(due) != len(got) or not all(map(_same_call, due, got)):
        yield f"tool calls: expected {_listed(due)}, got {_listed(got)}"
        return
    if "extra" in reports:
        for left, right in zip(due, got, strict=True):
            yield from _extra_differences(left.extra, right.extra, f"call {left.id}")


def _same_call(due: CallResult, got: CallResult) -> bool:
    return due.id in {None, got.id} and due.name == got.name and _same_arguments(due.arguments, got.arguments)


def _same_arguments(due: str, got: str) -> bool:
    """Whether two texts are the same JSON, or the same text if it is none."""
    try:
        return due == got or json.loads(due) == json.loads(got)
    except ValueError:
        return False


def _listed(calls: tuple[CallResult, ...]) -> str:
    shown = ", ".join(map(str, calls[:SHOWN_CALLS])) or "none"
    return shortened(shown) if len(calls) <= SHOWN_CALLS else f"{len(calls)} calls, {shortened(shown)}"


def _extra_differences(due: Mapping[str, Any], got: Mapping[str, Any], of: str) -> Iterator[str]:
    for name, value in due.items():
        if got.get(name) != value:
            yield f"{name} of {of}: expected {value!r}, got {got.get(name)!r}"
