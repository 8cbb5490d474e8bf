from __future__ import annotations

from typing import Any

import pytest

import rxllm.models
from rxllm.exceptions import ToolCallError
from rxllm.models import (
    ChatCompletion,
    ChatRequest,
    CompletionChoice,
    FinishReason,
    FunctionCall,
    IncompleteToolCall,
    Message,
    Role,
    ToolCall,
    Usage,
)


def test_arguments_are_parsed() -> None:
    assert FunctionCall(name="w", arguments='{"city": "Paris"}').parsed == {"city": "Paris"}
    assert FunctionCall(name="w").parsed == {}
    assert FunctionCall(name="w", arguments=r'{"a": "\ud800", "b": 1, "b": 2}').parsed == {"a": "\ufffd", "b": 2}


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "5", "null", '"a"', "{}{}", '{"a":' * 9999, "9" * 9999])
def test_arguments_that_are_no_object(arguments: str) -> None:
    with pytest.raises(ToolCallError, match="the arguments of 'w' are not a JSON object") as caught:
        _ = FunctionCall(name="w", arguments=arguments).parsed
    assert (caught.value.text, caught.value.choice) == (arguments, None)


def test_an_incomplete_call_cannot_be_taken_for_an_executable_one() -> None:
    call: object = IncompleteToolCall(index=0, id="a", name="w", arguments="{}")
    assert not issubclass(IncompleteToolCall, ToolCall)
    assert not hasattr(call, "function")
    assert not hasattr(call, "parsed")


def test_the_text_of_a_message() -> None:
    assert Message(content="a").text == "a"
    assert Message().text == ""
    assert Message(content=[{"type": "text", "text": "a"}, {"type": "image_url"}, {"text": "b"}]).text == "ab"


def test_a_message_of_a_server_that_answers_at_once() -> None:
    message = Message.model_validate({"role": "assistant", "content": None, "tool_calls": None, "x": 1})
    assert message.tool_calls == []
    assert message.model_extra == {"x": 1}


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Message(role="user", content="a"), {"role": "user", "content": "a"}),
        (Message(role="critic", content="a", name="n"), {"role": "critic", "content": "a", "name": "n"}),
        (Message(role=Role.TOOL, content="", tool_call_id="a"), {"role": "tool", "content": "", "tool_call_id": "a"}),
        (Message(), {"role": "assistant", "content": ""}),
        (Message(refusal="no"), {"role": "assistant", "refusal": "no"}),
        (
            Message(role="user", content=[{"type": "text", "text": "a"}]),
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
        ),
        (
            Message.model_validate({"content": "a", "annotations": [], "content_parts": [1], "reasoning_details": [2]}),
            {"role": "assistant", "content": "a", "reasoning_details": [2]},
        ),
        (
            Message(content="", function_call=FunctionCall(name="w")),
            {"role": "assistant", "content": None, "function_call": {"name": "w", "arguments": "{}"}},
        ),
        (Message(audio={"id": "i", "data": "AA"}), {"role": "assistant", "audio": {"id": "i"}}),
        (
            Message.model_validate(
                {
                    "content": "a",
                    "role_original": False,
                    "reasoning_joined": "b",
                    "function_call": {"name": "w", "x": 1, "arguments_original": []},
                    "tool_calls": [
                        {"id": "a", "index_original": "?", "function": {"name": "w", "arguments_original": []}}
                    ],
                }
            ),
            {
                "role": "assistant",
                "content": "a",
                "function_call": {"name": "w", "arguments": "{}", "x": 1},
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "w", "arguments": "{}"}}],
            },
        ),
        (Message(audio={"data": "AA"}), {"role": "assistant", "audio": {"data": "AA"}}),
    ],
)
def test_what_is_sent_of_a_message(message: Message, wire: dict[str, Any]) -> None:
    assert message.to_wire() == wire


def test_what_is_sent_of_a_request() -> None:
    request = ChatRequest.model_validate(
        {
            "model": "m",
            "messages": [Message(role="user", content="a"), {"role": "user", "content": "b", "x": None}],
            "temperature": 0,
            "seed": None,
            "top_k": 5,
            "extra": None,
        }
    )
    assert request.to_wire() == {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b", "x": None}],
        "temperature": 0,
        "top_k": 5,
        "extra": None,
    }


def test_the_message_of_a_completion_is_that_of_choice_0() -> None:
    choices = [CompletionChoice(index=index, message=Message(content=str(index))) for index in (1, 0)]
    assert ChatCompletion(choices=choices).content == "0"
    assert ChatCompletion().message == Message(content="")


def test_a_completion_survives_a_round_trip() -> None:
    completion = ChatCompletion(
        id="c",
        choices=[
            CompletionChoice(
                message=Message(content="a", tool_calls=[ToolCall(id="a", function=FunctionCall(name="w"))]),
                finish_reason=FinishReason.STOP,
                incomplete_tool_calls=[IncompleteToolCall(id="b")],
            )
        ],
        usage=Usage(total_tokens=1),
        complete=False,
    )
    assert ChatCompletion.model_validate(completion.model_dump()) == completion
    assert ChatCompletion.model_validate_json(completion.model_dump_json()) == completion


def test_all() -> None:
    assert all(hasattr(rxllm.models, name) for name in rxllm.models.__all__)
    assert rxllm.models.__all__ == sorted(rxllm.models.__all__)
