"""How answers end: in good order, too early, with an error, or not at all."""

from __future__ import annotations

from rxllm.testing.conformance._case import Case, Failure, Redirected
from rxllm.testing.conformance._wire import (
    CALLED,
    DONE,
    OPENING,
    STOP,
    called,
    calls,
    case,
    chunk,
    delta,
    event,
    fragment,
    said,
)
from rxllm.testing.script import Answer, Framing, cut, reset, status

__all__ = ["END_CASES", "ERROR_CASES", "NETWORK_CASES"]

SHOWN = "the kettle is empty"
PART = OPENING + delta(content="It is ")
LATE = PART + delta(content="late.")
OPEN_CALL = calls(fragment('{"city"', "get_weather", index=0, id="a"))
CLOSED_CALL = calls(fragment('{"city":"Paris"}', "get_weather", index=0, id="a"))
PARIS = called(("a", "get_weather", '{"city":"Paris"}'))

END_CASES: tuple[Case, ...] = (
    case("Q30-text", "the end in the middle of a text", PART),
    case("Q30-call", "the end in the middle of a call", OPENING + OPEN_CALL),
    case("Q30-closed-call", "the end after a call whose arguments parse, not finished", OPENING + CLOSED_CALL),
    case(
        "Q30-one-of-two",
        "the end when one of two choices has finished",
        LATE + delta(None, 1, content="x") + delta("stop"),
    ),
    case("Q30-nothing", "an empty body", Answer(())),
    case("Q31", "no [DONE]", LATE + delta("stop"), said("It is late.", finish_reason="stop")),
    case(
        "Q31-usage",
        "no [DONE], usage last",
        LATE + delta("stop") + chunk([], usage={"completion_tokens": 5}),
        said("It is late."),
    ),
    case("Q32-twice", "[DONE] twice", LATE + STOP + DONE, said("It is late.")),
    case("Q32-more", "data after [DONE]", LATE + STOP + delta(content=" Go home."), said("It is late.")),
    case("Q33-finish", "the finish lacks its blank line", LATE + delta("stop")[:-2]),
    case("Q33-done", "[DONE] lacks its blank line, all has finished", LATE + STOP[:-1], said("It is late.")),
    case("Q34-text", "[DONE] without a finish reason", LATE + DONE, said("It is late.")),
    case("Q34-call", "[DONE] after a call without a finish reason", OPENING + CLOSED_CALL + DONE, PARIS),
    case("Q35-done", "[DONE] alone", DONE),
    case("Q35-usage", "[DONE] after usage alone", chunk([], usage={"completion_tokens": 0}) + DONE),
    case("Q36-text", "[DONE] without a finish reason in a chunked body that is cut", Answer((LATE, DONE, cut()))),
    case("Q36-call", "the same after a call", Answer((OPENING + CLOSED_CALL, DONE, cut()))),
    case("Q37", "a finish reason that is the text null, and the end", PART + delta("null", content="late.")),
    *(case(f"Q38-{word}", f"finish reason {word}", LATE + delta(word) + DONE) for word in ("abort", "network_error")),
    case(
        "Q39",
        "the finish before the last arguments",
        OPENING + OPEN_CALL + delta("tool_calls") + calls(fragment(':"Paris"}', index=0)) + DONE,
        PARIS,
    ),
)


def not_a_stream(body: bytes, content_type: str) -> Answer:
    return Answer((body,), content_type=content_type, framing="length")


ERRORS: dict[str, tuple[str, bytes]] = {
    "Q40-object": ("an error object", event({"error": {"message": SHOWN, "type": "server_error", "code": 500}})),
    "Q40-string": ("an error that is a string", event({"error": SHOWN})),
    "Q41": ("an event named error", b'event: error\ndata: {"message":"' + SHOWN.encode() + b'"}\n\n'),
    "Q42": (
        "type: error, overloaded",
        event({"type": "error", "error": {"type": "overloaded_error", "message": SHOWN}}),
    ),
}
HTML = b"<html><body>" + SHOWN.encode() + b"</body></html>"
FOREIGN: dict[str, tuple[str, Answer]] = {
    "Q43-json": (
        "a JSON error with status 200",
        not_a_stream(b'{"error":{"message":"' + SHOWN.encode() + b'"}}', "application/json"),
    ),
    "Q43-html": ("a page of HTML with status 200", not_a_stream(HTML, "text/html")),
}
BROKEN = b'data: {"choices": [the kettle is empty\n\n'

# That an error is raised, and that it says what came, are two things, and two cases.
ERROR_CASES: tuple[Case, ...] = (
    *(case(row, title, PART + body) for row, (title, body) in ERRORS.items()),
    *(
        case(f"{row}-shown", f"{title}: its message", PART + body, Failure(SHOWN))
        for row, (title, body) in ERRORS.items()
    ),
    *(case(row, title, answer) for row, (title, answer) in FOREIGN.items()),
    *(case(f"{row}-shown", f"{title}: what came", answer, Failure(SHOWN)) for row, (title, answer) in FOREIGN.items()),
    case("Q44", "malformed JSON in one event", LATE + BROKEN + STOP),
    case("Q44-shown", "malformed JSON: the text", LATE + BROKEN + STOP, Failure(SHOWN)),
)

CALLING = PART + OPEN_CALL + calls(fragment(':"Paris"}', index=0))
CUT_BODY = CALLING + CALLED
CUTS = range(0, len(CALLING), 29)
LAST_CALL = called(("a", "get_weather", '{"city":"Paris"}'), text="It is ")


def cut_at(position: int, framing: Framing = "chunked") -> Answer:
    # With a Content-Length, what lies behind the cut is counted, too.
    return Answer((CUT_BODY[:position], cut(), CUT_BODY[position:]), framing=framing)


TROUBLE = {"error": {"message": SHOWN, "type": "invalid_request_error", "code": None}}
# No error that a client may answer with a wait of its own and another try.
REFUSED = {400: "400", 401: "401", 404: "404"}
IMPATIENT = {"retry-after": "0", "retry-after-ms": "1"}

NETWORK_CASES: tuple[Case, ...] = (
    case("N1-chunked", "FIN in a chunked body", [cut_at(position) for position in CUTS]),
    case("N1-close", "FIN in a body that ends with the connection", [cut_at(position, "close") for position in CUTS]),
    case(
        "N1-finished",
        "FIN in a chunked body between the finish and [DONE]",
        Answer((LATE, delta("stop"), cut())),
        said("It is late."),
    ),
    case("N2", "RST after some chunks", Answer((CALLING, reset()))),
    case("N2-first", "RST after the headers", Answer((reset(),), framing="chunked"), may_repeat=True),
    case("N3", "FIN in a body with a Content-Length", [cut_at(position, "length") for position in CUTS]),
    case(
        "N3-done",
        "a body shorter than its Content-Length, with [DONE]",
        Answer((LATE + STOP, cut(), b"\n"), framing="length"),
        said("It is late."),
    ),
    *(case(f"N4-{code}", f"status {code}", status(code, TROUBLE)) for code in REFUSED),
    case("N4-shown", "status 400: its message", status(400, TROUBLE), Failure(SHOWN)),
    case("N4-429", "status 429", status(429, TROUBLE, headers=IMPATIENT), may_repeat=True),
    case("N4-500", "status 500 without a body", status(500, headers=IMPATIENT), may_repeat=True),
    case("N4-stream", "status 400 whose body is a whole answer", Answer((LATE + STOP,), status=400)),
    case("N5", "a redirect to another origin", Answer((LATE + STOP,)), Redirected()),
    case("N6", "FIN before the status line", Answer((cut(),), framing="none"), may_repeat=True),
    case("N7-bytes", "byte by byte", Answer((PART + CLOSED_CALL + CALLED,), fragment=1), LAST_CALL),
    case("N7-one-write", "in one write", PART + CLOSED_CALL + CALLED, LAST_CALL),
)
