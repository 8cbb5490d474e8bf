"""What of an answer goes back with the next request."""

from __future__ import annotations

from typing import Any

import pytest

from rxllm.dialects import Endpoint, OpenAIChat
from rxllm.models import ChatRequest, Message

HERE = Endpoint(base_url="http://localhost/v1")


def sent(dialect: OpenAIChat, *messages: Message | dict[str, Any]) -> list[dict[str, Any]]:
    return list(dialect.http_request(ChatRequest(model="m", messages=list(messages)), HERE).body["messages"])


QUESTION = {"role": "user", "content": "q", "reasoning": "kept"}
THOUGHT = Message.model_validate(
    {
        "content": "a",
        "reasoning_content": "b",
        "reasoning_details": [{"text": "c"}],
        "x": 1,
        "y": 2,
        "tool_calls": [
            {"id": "1", "extra_content": {"z": 1}, "function": {"name": "f", "x": 1}},
            {"id": "2", "type": "custom", "custom": {"name": "g", "input": "i"}, "function": {"name": "g"}},
        ],
    }
)
RESULT = Message(role="tool", tool_call_id="1", content="r")
REASONING = {"reasoning_content": "b", "reasoning_details": [{"text": "c"}]}
EXTRAS = {"x": 1, "y": 2}
CUSTOM = {"id": "2", "type": "custom", "custom": {"name": "g", "input": "i"}}
CALLS = [
    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}", "x": 1}, "extra_content": {"z": 1}},
    CUSTOM,
]
BARE_CALLS = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}, CUSTOM]
SAID = {"role": "assistant", "content": "a"}


def test_by_default_all_of_an_answer_goes_back() -> None:
    assert sent(OpenAIChat(), QUESTION, THOUGHT, RESULT)[:2] == [
        QUESTION,
        {**SAID, **REASONING, **EXTRAS, "tool_calls": CALLS},
    ]


@pytest.mark.parametrize(
    ("when", "former", "present"), [("always", True, True), ("tool_rounds", False, True), ("never", False, False)]
)
def test_when_reasoning_goes_back(when: Any, *, former: bool, present: bool) -> None:
    dialect = OpenAIChat(send_reasoning=when)
    first, before, _, second, after, _ = sent(dialect, QUESTION, THOUGHT, RESULT, QUESTION, THOUGHT, RESULT)
    assert first == second == QUESTION
    assert before == {**SAID, **(REASONING if former else {}), **EXTRAS, "tool_calls": CALLS}
    assert after == {**SAID, **(REASONING if present else {}), **EXTRAS, "tool_calls": CALLS}


@pytest.mark.parametrize(
    ("extras", "kept", "calls"),
    [
        (True, EXTRAS, CALLS),
        (False, {}, BARE_CALLS),
        ({"y"}, {"y": 2}, BARE_CALLS),
        (["x", "extra_content"], {"x": 1}, CALLS),
    ],
)
def test_which_extras_go_back(extras: Any, kept: dict[str, Any], calls: list[Any]) -> None:
    (message,) = sent(OpenAIChat(send_extras=extras), THOUGHT)
    assert message == {**SAID, **REASONING, **kept, "tool_calls": calls}
    assert sent(OpenAIChat(send_extras=extras), RESULT, SAID) == [RESULT.to_wire(), SAID]


def test_a_word_that_says_no_time_for_reasoning() -> None:
    word: Any = "sometimes"
    with pytest.raises(ValueError, match="send_reasoning must be one of"):
        OpenAIChat(send_reasoning=word)
