"""What is asked for is sent as it was given."""

from __future__ import annotations

from typing import Any

from rxllm.models import ChatRequest, Message


def test_a_dictionary_stays_one_whatever_is_in_it() -> None:
    """It may be in the words of a provider: an item of the Responses API has no role."""
    given: list[dict[str, Any]] = [
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"by": "parrot"},
        {},
        {"role": "user", "content": "Hi"},
    ]
    request = ChatRequest(model="m", messages=given)
    assert list(request.messages) == given
    assert request.to_wire()["messages"] == given
    message = Message.user("Hi")
    assert list(ChatRequest(model="m", messages=[message]).messages) == [message]
