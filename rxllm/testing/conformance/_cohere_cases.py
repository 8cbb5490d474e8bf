"""What comes from Cohere's Chat API, and from proxies before it."""

from __future__ import annotations

from functools import partial
from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Failure, Redirected, Whole
from rxllm.testing.conformance._named_events import CHAT_BODY, Payload, dialect_case, named
from rxllm.testing.conformance._wire import DONE, IMPATIENT, called, event, not_a_stream, said
from rxllm.testing.script import Answer, api_error, cut

__all__ = ["COHERE_CASES"]

SHOWN = "the kettle is empty"
LATE = said("It is late.")
PARIS = ("a", "get_weather", '{"city": "Paris"}')
OSLO = ("b", "get_weather", '{"city": "Oslo"}')

case = partial(dialect_case, "cohere")


def piece_of(kind: str, index: int | None = None, **message: Any) -> Payload:
    said = {"delta": {"message": message}} if message else {}
    return {"type": kind, **({} if index is None else {"index": index}), **said}


def content(index: int, kind: str, *pieces: str) -> list[Payload]:
    """The events of a text or of what was thought."""
    return [
        piece_of("content-start", index, content={"type": kind, kind: ""}),
        *(piece_of("content-delta", index, content={kind: piece}) for piece in pieces),
        piece_of("content-end", index),
    ]


def call(index: int, given: tuple[str, str, str]) -> list[Payload]:
    """The events of a call, its arguments in pieces of seven characters."""
    call_id, name, text = given
    begun = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    return [
        piece_of("tool-call-start", index, tool_calls=begun),
        *(piece_of("tool-call-delta", index, tool_calls={"function": {"arguments": piece}}) for piece in pieces),
        piece_of("tool-call-end", index),
    ]


def end(reason: str = "COMPLETE", **fields: Any) -> Payload:
    usage = {
        "billed_units": {"input_tokens": 1, "output_tokens": 4},
        "tokens": {"input_tokens": 3, "output_tokens": 5},
        "cached_tokens": 2,
    }
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": usage, **fields}}


def bare(*payloads: Payload) -> bytes:
    """Events without names."""
    return b"".join(map(event, payloads))


def thought(given: Whole, reasoning: str) -> Whole:
    (choice,) = given.choices
    return Whole((ExpectedChoice(text=choice.text, reasoning=reasoning, tool_calls=choice.tool_calls),))


START = piece_of("message-start", role="assistant", content=[], tool_plan="", tool_calls=[], citations=[])
START["id"] = "m1"
TEXT = [START, *content(0, "text", "It is ", "late.")]
WHOLE = [*TEXT, end()]
PLAN = [START, piece_of("tool-plan-delta", tool_plan="I "), piece_of("tool-plan-delta", tool_plan="look.")]
CALLED = [START, *call(0, PARIS), end("TOOL_CALL")]
CITATION = {"start": 0, "end": 2, "text": "It", "sources": [{"type": "document", "id": "1"}], "content_index": 0}
CITED = [piece_of("citation-start", 0, citations=CITATION), piece_of("citation-end", 0)]
FAILED = end("ERROR", error=SHOWN)
UNKNOWN: list[Payload] = [
    {"type": "debug", "prompt": "x"},
    {"type": "mood-start", "delta": {"message": {"mood": "calm"}}},
]
COUNTED = Whole(LATE.choices, usage={"prompt_tokens": 3, "completion_tokens": 5})


COHERE_CASES: tuple[Case, ...] = (
    case("C1-whole", "text in events", named(*WHOLE), LATE),
    case("C1-done", "`[DONE]` at the end", named(*WHOLE) + DONE, LATE),
    case("C1-names", "no names of events", bare(*WHOLE), LATE),
    case(
        "C1-bytes",
        "byte by byte",
        Answer((named(START, *content(0, "text", "Grüße 𝄞"), end()),), fragment=1),
        said("Grüße 𝄞"),
    ),
    case("C1-unknown", "events and fields that are unknown", named(*TEXT, *UNKNOWN, end(mood="calm")), LATE),
    case("C1-twice", "the same beginning twice", named(START, *WHOLE), LATE),
    case("C2-start", "no beginnings", named(*(each for each in WHOLE if "start" not in each["type"])), LATE),
    case("C2-end", "a text that never ends before the message does", named(*TEXT[:-1], end()), LATE),
    case(
        "C2-first",
        "a text with its first words in its beginning",
        named(START, piece_of("content-start", 0, content={"type": "text", "text": "It is "}), TEXT[3], end()),
        LATE,
    ),
    case("C2-two", "two texts", named(START, *content(0, "text", "It is "), *content(1, "text", "late."), end()), LATE),
    case("C3-plan", "a plan and a call", named(*PLAN, *CALLED[1:]), thought(called(PARIS), "I look.")),
    case(
        "C3-thinking",
        "thinking and text",
        named(START, *content(0, "thinking", "It is ", "dark."), *content(1, "text", "It is ", "late."), end()),
        thought(LATE, "It is dark."),
    ),
    case(
        "C3-call",
        "thinking and a call",
        named(START, *content(0, "thinking", "It is dark."), *CALLED[1:]),
        thought(called(PARIS), "It is dark."),
    ),
    case("C4-one", "a call", named(*CALLED), called(PARIS)),
    case("C4-two", "two calls", named(*CALLED[:-1], *call(1, OSLO), end("TOOL_CALL")), called(PARIS, OSLO)),
    case(
        "C4-none",
        "a call without arguments",
        named(START, *call(0, ("c", "now", "")), end("TOOL_CALL")),
        called(("c", "now", "{}")),
    ),
    case(
        "C4-mixed",
        "two calls whose arguments alternate",
        named(
            START,
            *(each for pair in zip(call(0, PARIS), call(1, OSLO), strict=False) for each in pair),
            piece_of("tool-call-end", 0),
            end("TOOL_CALL"),
        ),
        called(PARIS, OSLO),
    ),
    case("C5-within", "a citation within a text", named(*TEXT[:-1], *CITED, TEXT[-1], end()), LATE),
    case("C5-behind", "a citation behind its text", named(*TEXT, *CITED, end()), LATE),
    case("C6-usage", "usage at the end", named(*WHOLE), COUNTED),
    case(
        "C6-length",
        "the end for its length",
        named(*TEXT, end("MAX_TOKENS")),
        said("It is late.", finish_reason="length"),
    ),
    case(
        "C6-stop", "the end for a word", named(*TEXT, end("STOP_SEQUENCE")), said("It is late.", finish_reason="stop")
    ),
    case("C7-text", "the end in a text", named(*TEXT[:3]), None),
    case("C7-content", "the end behind a text", named(*TEXT), None),
    case("C7-done", "`[DONE]` behind a text", named(*TEXT) + DONE, None),
    case("C7-call", "the end in a call", named(*CALLED[:3]), None),
    case("C7-called", "the end behind a call", named(*CALLED[:-1]), None),
    case("C7-plan", "the end in a plan", named(*PLAN), None),
    case("C7-last", "the end in the last event", named(*WHOLE)[:-4], None),
    case("C7-nothing", "an empty body", b"", None),
    case("C7-lost", "the connection lost in a text", Answer((named(*TEXT), cut())), None),
    case("C7-two", "a message within a message", named(*TEXT, {**START, "id": "m2"}, *WHOLE[1:]), None),
    case("C8-error", "`message-end` with an error", named(*TEXT, FAILED), Failure(shows=SHOWN)),
    case("C8-first", "`message-end` with an error, in place of an answer", named(START, FAILED), Failure(shows=SHOWN)),
    case("C8-word", "the end for an error", named(*TEXT, end("ERROR")), None),
    case("C8-time", "the end for a time-out", named(*TEXT, end("TIMEOUT")), None),
    case(
        "C8-message", "an object with a message, and no more", bare({"id": "1", "message": SHOWN}), Failure(shows=SHOWN)
    ),
    *(
        case(
            f"C8-{code}",
            f"the status {code}",
            api_error(code, SHOWN, headers=IMPATIENT),
            Failure(shows=SHOWN),
            may_repeat=passes,
        )
        for code, passes in ((400, False), (401, False), (429, True), (503, True))
    ),
    case("C8-malformed", "an event that is malformed", named(*TEXT) + b'data: {"type":\n\n' + named(end()), None),
    case("C9-chat", "chat completions instead", CHAT_BODY + DONE, None),
    case(
        "C9-older",
        "the older API instead",
        bare(
            {"event_type": "text-generation", "text": "It is late."}, {"event_type": "stream-end", "is_finished": True}
        ),
        None,
    ),
    case("C9-page", "a page instead", not_a_stream(b"<html>busy</html>", "text/html"), None),
    case("C10", "a redirect to another origin", named(*WHOLE), Redirected()),
)
"""Each body is one of events, unless it says otherwise."""
