"""Calls of tools have spans of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import reactivex
from opentelemetry.trace import SpanKind

import rxllm
from rxllm import Refused, ToolCall, ToolRegistry
from rxllm import operators as ops
from rxllm.exceptions import ApprovalError, ToolExecutionError
from tests.telemetry.told import Told, ending, facts, telling


def weather(city: str) -> str:
    """The weather in a city."""
    if city == "nowhere":
        raise LookupError(city)
    return f"rain in {city}"


REGISTRY = ToolRegistry([weather])


def call(arguments: str, name: str = "weather") -> ToolCall:
    return ToolCall(id="c", function=rxllm.FunctionCall(name=name, arguments=arguments))


def run(calls: ToolCall, told: Told, **options: Any) -> Any:
    return rxllm.run(reactivex.of(calls).pipe(ops.run_tools(REGISTRY, telemetry=told.telemetry, **options)))


def test_a_call(told: Told) -> None:
    assert run(call('{"city": "Oslo"}'), told).content == "rain in Oslo"
    span = told.span("execute_tool weather")
    assert span.kind is SpanKind.INTERNAL
    assert facts(span) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c",
        "rxllm.ending": "whole",
    }


def test_what_was_said_if_it_is_asked_for() -> None:
    with telling(capture_content=True) as told:
        run(call('{"city": "Oslo"}'), told)
        found = facts(told.span("execute_tool weather"))
    assert json.loads(found["gen_ai.tool.call.arguments"]) == {"city": "Oslo"}
    assert found["gen_ai.tool.call.result"] == "rain in Oslo"


@pytest.mark.parametrize(
    ("arguments", "name", "kind"),
    [
        ('{"city": "nowhere"}', "weather", "LookupError"),
        ("{}", "weather", "invalid_arguments"),
        ("{}", "tides", "unknown_tool"),
    ],
)
@pytest.mark.parametrize("raises", [False, True])
def test_a_call_that_fails(arguments: str, name: str, kind: str, raises: bool, told: Told) -> None:
    if raises:
        with pytest.raises(ToolExecutionError):
            run(call(arguments, name), told, on_error="raise")
    else:
        run(call(arguments, name), told)
    span = told.span(f"execute_tool {name}")
    assert ending(span) == ("failed", True, kind)
    assert "nowhere" not in span.to_json()
    assert [event.name for event in span.events] == ["exception"] * raises


def test_a_call_that_is_refused_is_no_failure(told: Told) -> None:
    async def refuse(_: ToolCall) -> Refused:
        return Refused(reason="no")

    run(call('{"city": "Oslo"}'), told, approve=refuse)
    assert ending(told.span("execute_tool weather")) == ("whole", False, None)


def test_whoever_is_to_approve_fails(told: Told) -> None:
    async def fail(_: ToolCall) -> bool:
        raise OSError

    with pytest.raises(ApprovalError):
        run(call('{"city": "Oslo"}'), told, approve=fail)
    assert ending(told.span("execute_tool weather")) == ("failed", True, "ApprovalError")


def test_by_default_nobody_is_told() -> None:
    rxllm.run(reactivex.of(call('{"city": "Oslo"}')).pipe(ops.run_tools(REGISTRY, telemetry=False)))
