"""What comes from OpenAI's Responses API, and from servers that speak as it does."""

from __future__ import annotations

from functools import partial
from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Whole
from rxllm.testing.conformance._named_events import Payload, dialect_case, named
from rxllm.testing.conformance._responses_end_cases import RESPONSES_END_CASES
from rxllm.testing.conformance._responses_wire import (
    CALL,
    END,
    MESSAGE,
    USAGE,
    WHOLE,
    added,
    at,
    call,
    calls,
    created,
    done,
    message,
    response,
    said_of,
    texts,
)
from rxllm.testing.conformance._wire import DONE, called, event, said

__all__ = ["RESPONSES_CASES"]

LATE = said("It is late.")
CITY = '{"city": "Paris"}'
PARIS = called(("call_a", "get_weather", CITY))

case = partial(dialect_case, "openai-responses")


CALLED = response("completed", [call(CITY)], usage=USAGE)
TWO = called(("call_a", "get_weather", CITY), ("call_b", "get_weather", '{"city": "Oslo"}'))


def unplaced(payload: Payload) -> Payload:
    return {name: value for name, value in payload.items() if name != "output_index"}


def renamed(number: int, payload: Payload) -> Payload:
    """The event with identifiers that no other event has."""
    named_items = {"item": {**payload["item"], "id": f"x{number}"}} if "item" in payload else {}
    named_ids = {"item_id": f"y{number}"} if "item_id" in payload else {}
    return {**payload, **named_items, **named_ids}


ITEMS = (
    case("O1-text", "a text, and an end without output", named(created(), *texts(), response("completed")), LATE),
    case("O1-call", "a call, and an end without output", named(created(), *calls(CITY), response("completed")), PARIS),
    case(
        "O2-ids",
        "identifiers that differ in each event",
        named(created(), *(renamed(number, each) for number, each in enumerate(texts())), END),
        LATE,
    ),
    case("O2-place", "no output_index", named(created(), *map(unplaced, texts()), END), LATE),
    case("O2-created", "no response.created", named(*texts(), END), LATE),
    case(
        "O2-item", "text before its item", named(created(), *said_of(MESSAGE, "output_text", "It is late."), END), LATE
    ),
    case(
        "O2-names",
        "no event lines, and [DONE] at the end",
        b"".join(map(event, WHOLE)) + DONE,
        LATE,
    ),
    case("O3-end", "a text in the last event only", named(created(), END), LATE),
    case(
        "O3-item",
        "a text in its item only",
        named(created(), added(message()), done(message("It is late.")), END),
        LATE,
    ),
    case(
        "O3-done",
        "arguments in their done event only",
        named(
            created(),
            added(call("", "in_progress")),
            at("function_call_arguments.done", CALL, arguments=CITY),
            done(call(CITY)),
            CALLED,
        ),
        PARIS,
    ),
    case("O3-call", "a call in its item only", named(created(), done(call(CITY)), CALLED), PARIS),
    case(
        "O3-added",
        "a call that is whole as it begins",
        named(created(), added(call(CITY)), done(call(CITY)), CALLED),
        PARIS,
    ),
    case(
        "O4-turns",
        "two calls in turns",
        named(
            created(),
            added(call("", "in_progress")),
            added(call("", "in_progress", "fc_2", "call_b"), 1),
            at("function_call_arguments.delta", CALL, delta='{"city":'),
            at("function_call_arguments.delta", "fc_2", 1, delta='{"city": '),
            at("function_call_arguments.delta", CALL, delta=' "Paris"}'),
            at("function_call_arguments.delta", "fc_2", 1, delta='"Oslo"}'),
            done(call('{"city": "Oslo"}', id="fc_2", call_id="call_b"), 1),
            done(call(CITY)),
            response("completed", [call(CITY), call('{"city": "Oslo"}', id="fc_2", call_id="call_b")]),
        ),
        TWO,
    ),
    case(
        "O4-numbers",
        "numbers of events with gaps",
        named(*({**each, "sequence_number": 3 * number} for number, each in enumerate(WHOLE))),
        LATE,
    ),
    case(
        "O5",
        "a call that was cut and is announced as done",
        named(
            created(),
            added(call("", "in_progress")),
            at("function_call_arguments.delta", CALL, delta='{"ci'),
            at("function_call_arguments.done", CALL, arguments='{"ci'),
            done(call('{"ci', "incomplete")),
            response(
                "incomplete",
                [call('{"ci', "incomplete")],
                incomplete_details={"reason": "max_output_tokens"},
                usage=USAGE,
            ),
        ),
        Whole((ExpectedChoice(finish_reason="length"),)),
    ),
)

MCP: Payload = {"id": "mcp_1", "type": "mcp_call", "server_label": "s", "name": "look", "arguments": "", "output": None}
CODE: Payload = {
    "id": "ci_1",
    "type": "code_interpreter_call",
    "status": "completed",
    "container_id": "c",
    "code": "1 + 1",
}
SEARCH: Payload = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}
SUMMARY: Payload = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "It is dark."}]}
REASONED: Payload = {**SUMMARY, "summary": [], "content": [{"type": "reasoning_text", "text": "It is dark."}]}
REFUSED: Payload = {**message(), "content": [{"type": "refusal", "refusal": "I would rather not."}]}


def with_output(*items: Payload, **fields: Any) -> Payload:
    return response("completed", [*items, message("It is late.")], usage=USAGE, **fields)


PARTS = (
    case(
        "O6-mcp",
        "an MCP tool of the server",
        named(
            created(),
            added(MCP),
            at("mcp_call_arguments.delta", "mcp_1", delta='{"a": 1}'),
            at("mcp_call_arguments.done", "mcp_1", arguments='{"a": 1}'),
            done({**MCP, "arguments": '{"a": 1}', "output": "x"}),
            *texts(1),
            with_output({**MCP, "arguments": '{"a": 1}', "output": "x"}),
        ),
        LATE,
    ),
    case(
        "O6-code",
        "code that the server runs",
        named(
            created(),
            added({**CODE, "code": "", "status": "in_progress"}),
            at("code_interpreter_call_code.delta", "ci_1", delta="1 + 1"),
            at("code_interpreter_call_code.done", "ci_1", code="1 + 1"),
            done(CODE),
            *texts(1),
            with_output(CODE),
        ),
        LATE,
    ),
    case(
        "O6-search",
        "a search of the server, and events that are unknown",
        named(
            created(),
            added({**SEARCH, "status": "in_progress"}),
            at("web_search_call.searching", "ws_1"),
            {"type": "response.weather.report", "sky": "grey"},
            done(SEARCH),
            *texts(1),
            with_output(SEARCH),
        ),
        LATE,
    ),
    case(
        "O7-summary",
        "reasoning as a summary",
        named(
            created(),
            added({**SUMMARY, "summary": []}),
            at("reasoning_summary_part.added", "rs_1", summary_index=0, part={"type": "summary_text", "text": ""}),
            at("reasoning_summary_text.delta", "rs_1", summary_index=0, delta="It is "),
            at("reasoning_summary_text.delta", "rs_1", summary_index=0, delta="dark."),
            at("reasoning_summary_text.done", "rs_1", summary_index=0, text="It is dark."),
            at("reasoning_summary_part.done", "rs_1", summary_index=0, part=SUMMARY["summary"][0]),
            done(SUMMARY),
            *texts(1),
            with_output(SUMMARY),
        ),
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "O7-reasoning",
        "reasoning as text",
        named(
            created(),
            added({**REASONED, "content": []}),
            *said_of("rs_1", "reasoning_text", "It is ", "dark."),
            at("reasoning_text.done", "rs_1", content_index=0, text="It is dark."),
            done(REASONED),
            *texts(1),
            with_output(REASONED),
        ),
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "O7-refusal",
        "a refusal in two pieces",
        named(
            created(),
            added(message(status="in_progress")),
            *said_of(MESSAGE, "refusal", "I would ", "rather not."),
            at("refusal.done", MESSAGE, content_index=0, refusal="I would rather not."),
            done(REFUSED),
            response("completed", [REFUSED], usage=USAGE),
        ),
        said("", refusal="I would rather not."),
    ),
    case("O7-call", "a call in pieces", named(created(), *calls('{"city":', ' "Paris"}'), CALLED), PARIS),
    case(
        "O7-two",
        "text and two calls",
        named(
            created(),
            *texts(),
            *calls(CITY, index=1),
            *calls('{"city": "Oslo"}', index=2, id="fc_2", call_id="call_b"),
            response(
                "completed",
                [message("It is late."), call(CITY), call('{"city": "Oslo"}', id="fc_2", call_id="call_b")],
            ),
        ),
        Whole((ExpectedChoice(text="It is late.", tool_calls=TWO.choices[0].tool_calls, finish_reason="tool_calls"),)),
    ),
    case(
        "O7-none",
        "a call without arguments",
        named(created(), *calls("{}"), response("completed", [call("{}")])),
        called(("call_a", "get_weather", "{}")),
    ),
    case(
        "O7-padding",
        "padding in each piece",
        named(*({**each, "obfuscation": "x" * 9} if "delta" in each else each for each in WHOLE)),
        LATE,
    ),
)

RESPONSES_CASES: tuple[Case, ...] = (*ITEMS, *PARTS, *RESPONSES_END_CASES)
