"""How answers end: in good order, too early, with an error, or not at all."""

from __future__ import annotations

from rxllm.testing.conformance._case import Case, Failure, Redirected
from rxllm.testing.conformance._no_stream_cases import NO_STREAM_CASES
from rxllm.testing.conformance._wire import (
    CALLED,
    DONE,
    IMPATIENT,
    OPENING,
    STOP,
    called,
    calls,
    case,
    chunk,
    delta,
    event,
    fragment,
    not_a_stream,
    said,
)
from rxllm.testing.script import Answer, Framing, cut, delay, reset, stall, status

__all__ = ["END_CASES", "ERROR_CASES", "NETWORK_CASES"]

SHOWN = "the kettle is empty"
PART = OPENING + delta(content="It is ")
LATE = PART + delta(content="late.")
OPEN_CALL = calls(fragment('{"city"', "get_weather", index=0, id="a"))
CLOSED_CALL = calls(fragment('{"city":"Paris"}', "get_weather", index=0, id="a"))
FINISHED = LATE + delta("stop")
# A reset takes along what has not been read.
READING = 0.05
PAUSE = 0.05
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
    case("Q35", "nothing but [DONE]", DONE),
    case("Q35-comments", "nothing but comments and [DONE]", b": ping\n\n: ping\n\n" + DONE),
    case("Q35-usage", "nothing but usage and [DONE]", chunk([], usage={"completion_tokens": 0}) + DONE),
    case("Q36-chunked", "no reason, [DONE], and no last chunk of the body", Answer((PART, DONE, cut()))),
    case("Q36-call", "a call, no reason, [DONE], and no last chunk", Answer((OPENING + CLOSED_CALL + DONE, cut()))),
    case(
        "Q36-length",
        "no reason, [DONE], and less than the Content-Length",
        Answer((PART + DONE, cut(), b"\n"), framing="length"),
    ),
    case(
        "Q36-more",
        "no reason, [DONE] and data behind it, and no last chunk",
        Answer((PART + DONE + delta(content="late."), cut())),
    ),
    case(
        "Q36-spaces",
        "no reason, [DONE] behind two spaces, and no last chunk",
        Answer((PART + DONE.replace(b" ", b"  "), cut())),
    ),
    case("Q36-reset", "no reason, [DONE], and a reset", Answer((PART + DONE, delay(READING), reset()))),
    *(
        case(f"Q37-{name}", f"the end after a finish reason of {word!r}", PART + delta(word))
        for name, word in (("null", "null"), ("none", "None"), ("empty", ""))
    ),
    case(
        "Q37-call",
        "the end after a call and a finish reason of 'null'",
        OPENING + CLOSED_CALL + delta("null"),
    ),
    case(
        "Q37-then",
        "a finish reason of 'null' in each chunk, then stop",
        delta("null", content="It is ") + delta("null", content="late.") + STOP,
        said("It is late.", finish_reason="stop"),
    ),
    *(
        case(f"Q38-{word.partition('_')[0]}", f"a finish reason of {word}", LATE + delta(word) + DONE)
        for word in ("abort", "network_error", "insufficient_system_resource", "error")
    ),
    *(
        case(f"Q38-{name}", f"a finish reason of {word}", LATE + delta(word) + DONE, said("It is late."))
        for name, word in (("max", "max_tokens"), ("turn", "end_turn"), ("unknown", "tired"))
    ),
    case(
        "Q39",
        "a finish reason, and then the rest of the arguments",
        OPENING + OPEN_CALL + delta("tool_calls") + calls(fragment(':"Paris"}', index=0)) + DONE,
        PARIS,
    ),
    case(
        "Q39-cut",
        "FIN behind the finish reason and before the rest of the arguments",
        Answer((OPENING + OPEN_CALL + delta("tool_calls"), cut())),
    ),
    case(
        "Q63-usage",
        "FIN behind the finish and the usage",
        Answer((FINISHED + chunk([], usage={"completion_tokens": 5}), cut())),
        said("It is late."),
    ),
    case(
        "Q63-call",
        "FIN behind a call and its finish",
        Answer((OPENING + CLOSED_CALL + delta("tool_calls"), cut())),
        PARIS,
    ),
    case(
        "Q63-length",
        "less than the Content-Length, behind the finish",
        Answer((FINISHED, cut(), DONE), framing="length"),
        said("It is late."),
    ),
    case("Q63-reset", "RST behind the finish", Answer((FINISHED, delay(READING), reset())), said("It is late.")),
    case("Q63-silence", "silence behind the finish", Answer((FINISHED, stall())), said("It is late.")),
    case(
        "Q63-pings",
        "keep-alives without end behind the finish",
        Answer((FINISHED, stall(keep_alive=PAUSE))),
        said("It is late."),
    ),
)


ERROR_LINE = b'error: {"code":500,"message":"' + SHOWN.encode() + b'","type":"server_error"}\n\n'
ERRORS: dict[str, tuple[str, bytes]] = {
    "Q40-object": ("an error object", event({"error": {"message": SHOWN, "type": "server_error", "code": 500}})),
    "Q40-string": ("an error that is a string", event({"error": SHOWN})),
    "Q41": ("an event named error", b'event: error\ndata: {"message":"' + SHOWN.encode() + b'"}\n\n'),
    "Q42": (
        "type: error, overloaded",
        event({"type": "error", "error": {"type": "overloaded_error", "message": SHOWN}}),
    ),
    # Seen of llama.cpp.
    "Q45-done": ("a line error: and [DONE]", ERROR_LINE + DONE),
    "Q45-end": ("a line error: and the end", ERROR_LINE),
}
HTML = b"<html><body>" + SHOWN.encode() + b"</body></html>"
FOREIGN: dict[str, tuple[str, Answer]] = {
    "Q43-json": (
        "a JSON error with status 200",
        not_a_stream(b'{"error":{"message":"' + SHOWN.encode() + b'"}}', "application/json"),
    ),
    "Q43-html": ("a page of HTML with status 200", not_a_stream(HTML, "text/html")),
    "Q46": (
        "a JSON error under text/event-stream",
        not_a_stream(b'{"error":{"message":"' + SHOWN.encode() + b'"}}', "text/event-stream"),
    ),
    "Q46-lines": (
        "a JSON error on several lines under text/event-stream",
        not_a_stream(b'{\n  "error": {\n    "message": "' + SHOWN.encode() + b'"\n  }\n}\n', "text/event-stream"),
    ),
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
    *NO_STREAM_CASES,
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

NETWORK_CASES: tuple[Case, ...] = (
    case("N1-chunked", "FIN in a chunked body", [cut_at(position) for position in CUTS]),
    case("N1-close", "FIN in a body that ends with the connection", [cut_at(position, "close") for position in CUTS]),
    case(
        "N1-finished",
        "FIN in a chunked body between the finish and [DONE]",
        Answer((FINISHED, cut())),
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
