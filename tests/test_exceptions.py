"""Errors go where exceptions go: through pickles, to another process, and through copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from rxllm import exceptions
from rxllm.exceptions import RxllmError

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301 - pickled here
    "copy": copy.copy,
}

# What the constructors ask for besides the message.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "APIResponseError": {"status": 200, "content_type": "text/html", "body": "<html>", "request_id": "req-1"},
    "APIStatusError": {"status": 429, "body": "{}", "request_id": "req-1", "retry_after": 1.5},
    "ApprovalError": {"name": "add", "call_id": "call-1"},
    "BufferOverflowError": {"size": 8},
    "ChunkTimeoutError": {"seconds": 10.0, "chunks": 3},
    "DecodeError": {"dialect": "openai-chat", "position": 3, "text": "{"},
    "LimitExceededError": {"limit": "max_event_bytes", "maximum": 10},
    "MissingExtraError": {"extra": "rich"},
    "MixedAnswersError": {"partials": ("first", "second")},
    "RepairError": {"kind": "name", "position": 1, "before": "a", "after": "b"},
    "UnsupportedRequestError": {"dialect": "anthropic", "field": "seed"},
    "ToolExecutionError": {"kind": "unknown_tool", "name": "add", "call_id": "call-1"},
}

FIRST: dict[str, Any] = {"ChunkTimeoutError": "gap", "DeadlineExceededError": 5.0}
"""What is not the message."""


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", [name for name in exceptions.__all__ if name.endswith("Error")])
def test_an_error_comes_back_as_it_was(name: str, way: Callable[[Any], Any]) -> None:
    kind: Any = getattr(exceptions, name)
    error: RxllmError = kind(FIRST.get(name, "no"), **ARGUMENTS.get(name, {}))
    error.gathered = ["so", "far"]
    error.add_note("on a Monday")

    again = way(error)

    assert type(again) is kind
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
