"""What comes from Anthropic's Messages API, and from servers that speak as it does."""

from __future__ import annotations

from functools import partial
from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Failure, Redirected, Whole
from rxllm.testing.conformance._named_events import CHAT_BODY, Payload, dialect_case, named
from rxllm.testing.conformance._wire import DONE, IMPATIENT, called, event, said
from rxllm.testing.script import Answer, api_error, cut

__all__ = ["ANTHROPIC_CASES"]

SHOWN = "the kettle is empty"
USAGE: Payload = {"input_tokens": 3, "output_tokens": 1}
LATE = said("It is late.")
CITY = '{"city": "Paris"}'
PARIS = called(("toolu_a", "get_weather", CITY))

case = partial(dialect_case, "anthropic")


def start(content: list[Payload] | None = None, reason: str | None = None, **fields: Any) -> Payload:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": content or [],
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return {"type": "message_start", "message": {**message, **fields}}


def begin(index: int, kind: str, **fields: Any) -> Payload:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def delta(index: int, kind: str, **fields: Any) -> Payload:
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", **fields}}


def stop(index: int) -> Payload:
    return {"type": "content_block_stop", "index": index}


def text(index: int, *pieces: str) -> list[Payload]:
    deltas = [delta(index, "text", text=piece) for piece in pieces]
    return [begin(index, "text", text=""), *deltas, stop(index)]


def thinking(index: int, *pieces: str) -> list[Payload]:
    deltas = [delta(index, "thinking", thinking=piece) for piece in pieces]
    signed = delta(index, "signature", signature="c2ln")
    return [begin(index, "thinking", thinking="", signature=""), *deltas, signed, stop(index)]


def call(
    index: int, *pieces: str, id: str = "toolu_a", name: str = "get_weather", kind: str = "tool_use"
) -> list[Payload]:
    deltas = [delta(index, "input_json", partial_json=piece) for piece in pieces]
    return [begin(index, kind, id=id, name=name, input={}), *deltas, stop(index)]


def ended(reason: str | None = "end_turn", **usage: int | None) -> Payload:
    counts = usage or {"output_tokens": 5}
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counts}


def refusal(status: int) -> Answer:
    return api_error(status, SHOWN, headers=IMPATIENT)


STOP: Payload = {"type": "message_stop"}
TEXT = text(0, "It is ", "late.")
END = [ended(), STOP]
CALLED = [ended("tool_use"), STOP]
WHOLE = [start(), *TEXT, *END]
UNKNOWN = [
    {"type": "ping"},
    {"type": "weather_report", "sky": "grey"},
    delta(0, "mood", mood="calm"),
    begin(1, "poem", lines=["x"]),
    delta(1, "rhyme", rhyme="y"),
    stop(1),
]
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": SHOWN}, "request_id": "req_1"}
SEARCH = call(0, '{"query":', ' "time"}', id="srvtoolu_a", name="web_search", kind="server_tool_use")
SEARCHED = [begin(1, "web_search_tool_result", tool_use_id="srvtoolu_a", content=[]), stop(1)]
RESULT_OF_EARLIER = [begin(0, "web_search_tool_result", tool_use_id="srvtoolu_z", content=[]), stop(0)]
MCP = call(0, '{"a": 1}', id="mcptoolu_a", name="look", kind="mcp_tool_use")
RESPONSES = named({"type": "response.created", "response": {"id": "r", "object": "response", "status": "in_progress"}})

BEGINNINGS = (
    case("A1-names", "no event lines", b"".join(map(event, WHOLE)), LATE),
    case("A1-done", "[DONE] at the end", named(*WHOLE) + DONE, LATE),
    case("A1-unknown", "pings and what is unknown", named(start(), *TEXT[:2], *UNKNOWN, *TEXT[2:], *END), LATE),
    case("A1-crlf", "lines that end with CR LF", Answer((named(*WHOLE).replace(b"\n", b"\r\n"),), fragment=7), LATE),
    case("A2-other", "another message within", named(start(), *TEXT[:2], start(id="msg_2"), *TEXT, *END), Failure()),
    case("A2-same", "the beginning twice", named(start(), start(), *TEXT, *END), LATE),
    case(
        "A3-whole",
        "a message that is whole in its beginning",
        named(start([{"type": "text", "text": "It is late."}], "end_turn"), *END),
        LATE,
    ),
    case(
        "A3-call",
        "a call in the beginning, and text behind it",
        named(
            start(
                [{"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Paris"}}], "tool_use"
            ),
            *text(1, "It is late."),
            *END,
        ),
        Whole((ExpectedChoice(text="It is late.", tool_calls=PARIS.choices[0].tool_calls),)),
    ),
    case(
        "A3-block",
        "a block that begins with text in it",
        named(start(), begin(0, "text", text="It is "), delta(0, "text", text="late."), stop(0), *END),
        LATE,
    ),
    case("A4-start", "deltas of a block that never began", named(start(), *TEXT[1:], *END), LATE),
    case("A4-stop", "a block that never stops", named(start(), *TEXT[:-1], *END), LATE),
)

PARTS = (
    case("A5-one", "a call in pieces", named(start(), *call(0, "", '{"city":', ' "Paris"}'), *CALLED), PARIS),
    case(
        "A5-none", "a call without input", named(start(), *call(0), *CALLED), called(("toolu_a", "get_weather", "{}"))
    ),
    case(
        "A5-empty",
        "a call with an empty piece of input",
        named(start(), *call(0, ""), *CALLED),
        called(("toolu_a", "get_weather", "{}")),
    ),
    case(
        "A5-whole",
        "a call whose input is in its beginning",
        named(
            start(), begin(0, "tool_use", id="toolu_a", name="get_weather", input={"city": "Paris"}), stop(0), *CALLED
        ),
        PARIS,
    ),
    case(
        "A5-two",
        "text and two calls",
        named(start(), *TEXT, *call(1, CITY), *call(2, '{"city": "Oslo"}', id="toolu_b"), *CALLED),
        Whole(
            (
                ExpectedChoice(
                    text="It is late.",
                    tool_calls=called(("toolu_a", "get_weather", CITY), ("toolu_b", "get_weather", '{"city": "Oslo"}'))
                    .choices[0]
                    .tool_calls,
                    finish_reason="tool_calls",
                ),
            )
        ),
    ),
    case(
        "A6-search", "a search of the server", named(start(), *SEARCH, *SEARCHED, *text(2, "It is late."), *END), LATE
    ),
    case("A6-mcp", "an MCP tool of the server", named(start(), *MCP, *text(1, "It is late."), *END), LATE),
    case(
        "A6-earlier",
        "a result for a search of an earlier message",
        named(start(), *RESULT_OF_EARLIER, *text(1, "It is late."), *END),
        LATE,
    ),
    case(
        "A6-beside",
        "a search of the server beside a call",
        named(start(), *SEARCH, *SEARCHED, *call(2, CITY), *CALLED),
        PARIS,
    ),
    case(
        "A7-text",
        "thinking and text",
        named(start(), *thinking(0, "It is ", "dark."), *text(1, "It is late."), *END),
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "A7-call",
        "thinking and a call",
        named(start(), *thinking(0, "It is ", "dark."), *call(1, CITY), *CALLED),
        called(("toolu_a", "get_weather", CITY), reasoning="It is dark."),
    ),
    case(
        "A7-redacted",
        "redacted thinking",
        named(start(), begin(0, "redacted_thinking", data="eA=="), stop(0), *text(1, "It is late."), *END),
        LATE,
    ),
)


def counted(prompt: int, completion: int) -> Whole:
    return Whole(LATE.choices, usage={"prompt_tokens": prompt, "completion_tokens": completion})


CACHED = {"input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1}

ENDS = (
    case("A8-once", "usage at both ends", named(*WHOLE), counted(3, 5)),
    case("A8-cached", "tokens of the cache", named(start(usage=CACHED), *TEXT, *END), counted(123, 5)),
    case(
        "A8-grown",
        "usage that grows",
        named(
            start(),
            *TEXT,
            ended(None, input_tokens=9, output_tokens=2),
            ended(output_tokens=7, input_tokens=None),
            STOP,
        ),
        counted(9, 7),
    ),
    *(
        case(
            f"A9-{word}",
            f"the stop reason {word}",
            named(start(), *TEXT, ended(word), STOP),
            said("It is late.", finish_reason=reason),
        )
        for word, reason in (
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("refusal", "content_filter"),
        )
    ),
    case("A9-no-stop", "no message_stop behind the stop reason", named(start(), *TEXT, ended()), LATE),
    case(
        "A9-fallback",
        "another model in between",
        named(
            start(),
            begin(0, "fallback", **{"from": {"model": "scripted"}, "to": {"model": "other"}}),
            stop(0),
            *text(1, "It is late."),
            *END,
        ),
        LATE,
    ),
    case("A10-text", "the end in a text", named(start(), *TEXT[:2]), None),
    case("A10-call", "the end in a call", named(start(), *call(0, '{"city":')[:2]), None),
    case("A10-block", "the end behind a block", named(start(), *TEXT), None),
    case("A10-closed", "the end behind a call that is whole", named(start(), *call(0, CITY)), None),
    case("A10-start", "the end behind the beginning", named(start()), None),
    case("A10-ping", "nothing but pings", named({"type": "ping"}, {"type": "ping"}), None),
    case("A10-stop", "message_stop and nothing else", named(STOP), None),
    case("A10-lost", "the connection lost in a text", Answer((named(start(), *TEXT[:2]), cut())), None),
    case("A11-first", "an error in place of an answer", named(ERROR), Failure(shows=SHOWN)),
    case("A11-within", "an error behind text", named(start(), *TEXT[:2], ERROR), Failure(shows=SHOWN)),
    case("A11-bare", "an error without an event line", event(start()) + event(ERROR), Failure(shows=SHOWN)),
    *(
        case(f"A11-{code}", f"the status {code}", refusal(code), Failure(shows=SHOWN), may_repeat=passes)
        for code, passes in ((400, False), (401, False), (429, True), (529, True))
    ),
    case("A12-chat", "chat completions instead", CHAT_BODY + DONE, None),
    case("A12-responses", "events of the Responses API instead", RESPONSES, None),
    case("A13", "a redirect to another origin", named(*WHOLE), Redirected()),
)

ANTHROPIC_CASES: tuple[Case, ...] = (*BEGINNINGS, *PARTS, *ENDS)
