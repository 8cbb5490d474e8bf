"""What comes from the Gemini API, and from gateways before it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Failure, Redirected, Whole
from rxllm.testing.conformance._named_events import CHAT_BODY, Payload, dialect_case
from rxllm.testing.conformance._wire import DONE, IMPATIENT, called, event, said
from rxllm.testing.script import Answer, api_error, cut

__all__ = ["GEMINI_CASES"]

SHOWN = "the kettle is empty"
LATE = said("It is late.")
CITY = '{"city": "Paris"}'
PARIS = called((None, "get_weather", CITY))
HEAD: Payload = {"modelVersion": "scripted", "responseId": "r1"}

case = partial(dialect_case, "gemini")


def answer(*parts: Payload, reason: str | None = None, usage: Payload | None = None, **more: Any) -> Payload:
    """An event: parts of the one candidate, and why it ended."""
    candidate: Payload = {"index": 0, **more}
    if parts:
        candidate["content"] = {"parts": [*parts], "role": "model"}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], **({} if usage is None else {"usageMetadata": usage}), **HEAD}


def text(piece: str, **fields: Any) -> Payload:
    return {"text": piece, **fields}


def thought(piece: str) -> Payload:
    return {"text": piece, "thought": True}


def call(city: str = "Paris", **fields: Any) -> Payload:
    return {"functionCall": {"name": "get_weather", "args": {"city": city}, **fields}}


def pieces(*given: tuple[str, str], **more: Any) -> Payload:
    """The next pieces of a call that goes on."""
    said = [{"jsonPath": path, "stringValue": value} for path, value in given]
    return {"functionCall": {"partialArgs": said, **more}}


def events(*payloads: Payload) -> bytes:
    return b"".join(map(event, payloads))


def counted(prompt: int, completion: int) -> Whole:
    return Whole(LATE.choices, usage={"prompt_tokens": prompt, "completion_tokens": completion})


def usage(prompt: int, candidates: int, **more: int) -> Payload:
    total = prompt + candidates + sum(more.values())
    return {"promptTokenCount": prompt, "candidatesTokenCount": candidates, **more, "totalTokenCount": total}


TEXT = [answer(text("It is ")), answer(text("late."))]
END = answer(reason="STOP")
WHOLE = [*TEXT, END]
ERROR: Payload = {"error": {"code": 503, "message": SHOWN, "status": "UNAVAILABLE"}}
BARE = json.dumps(ERROR, indent=2).encode()
CODE: Payload = {"executableCode": {"language": "PYTHON", "code": "get_weather('Paris')"}}
RAN: Payload = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "rain"}}
BEGUN: Payload = {"functionCall": {"name": "get_weather", "willContinue": True}}
BOTH = called((None, "get_weather", CITY), (None, "get_weather", '{"city": "Oslo"}'))
ARRAY = json.dumps(WHOLE).encode()
JSON = "application/json"

CONTENT = (
    case("G1-whole", "text in events", events(*WHOLE), LATE),
    case("G1-crlf", "lines that end with CR LF", Answer((events(*WHOLE).replace(b"\n", b"\r\n"),), fragment=7), LATE),
    case("G1-last", "the reason beside the last text", events(TEXT[0], answer(text("late."), reason="STOP")), LATE),
    case(
        "G1-empty",
        "candidates without content, content without parts, empty texts",
        events(TEXT[0], answer(), answer(content={"role": "model"}), answer(text("")), TEXT[1], END),
        LATE,
    ),
    case(
        "G1-signature",
        "a signature on an empty text",
        events(*TEXT, answer(text("", thoughtSignature="eA==")), END),
        LATE,
    ),
    case("G1-wrapped", "each event in another object", events(*({"response": each} for each in WHOLE)), LATE),
    case(
        "G2-each",
        "a reason with each event",
        events(*(answer(text(piece), reason="STOP") for piece in ("It is ", "late."))),
        LATE,
    ),
    case(
        "G2-code",
        "a reason before the provider's code has run",
        events(answer(CODE, reason="STOP"), answer(RAN), *TEXT, END),
        LATE,
    ),
    case(
        "G2-code-call",
        "the provider's code beside a call",
        events(answer(CODE), answer(RAN), answer(call()), END),
        PARIS,
    ),
    case("G3-one", "a call", events(answer(call(id="a")), END), called(("a", "get_weather", CITY))),
    case("G3-ids", "two calls without identifiers", events(answer(call(), call("Oslo")), END), BOTH),
    case("G3-events", "two calls in two events", events(answer(call()), answer(call("Oslo")), END), BOTH),
    case(
        "G3-none",
        "a call without arguments",
        events(answer({"functionCall": {"name": "now"}}), END),
        called((None, "now", "{}")),
    ),
    case(
        "G3-text",
        "text and a call",
        events(*TEXT, answer(call()), END),
        Whole((ExpectedChoice(text="It is late.", tool_calls=PARIS.choices[0].tool_calls),)),
    ),
    case(
        "G3-pieces",
        "arguments in pieces",
        events(
            answer(BEGUN),
            answer(pieces(("$.city", "Pa"), willContinue=True)),
            answer(pieces(("$.city", "ris"), willContinue=True)),
            answer({"functionCall": {}}),
            END,
        ),
        PARIS,
    ),
    case(
        "G3-nested",
        "arguments in pieces, with a list",
        events(answer(BEGUN), answer(pieces(("$.at[0].city", "Paris"), ("$.at[1].city", "Oslo"))), END),
        called((None, "get_weather", '{"at": [{"city": "Paris"}, {"city": "Oslo"}]}')),
    ),
    case(
        "G4-text",
        "thinking and text",
        events(answer(thought("It is ")), answer(thought("dark.")), *TEXT, END),
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "G4-call",
        "thinking and a call",
        events(answer(thought("It is dark."), {**call(), "thoughtSignature": "eA=="}), END),
        called((None, "get_weather", CITY), reasoning="It is dark."),
    ),
)

ENDS = (
    case(
        "G5-usage",
        "usage in each event",
        events(answer(text("It is "), usage=usage(3, 1)), answer(text("late."), usage=usage(3, 5)), END),
        counted(3, 5),
    ),
    case(
        "G5-fallen",
        "usage that falls",
        events(answer(text("It is late."), usage=usage(3, 9)), answer(reason="STOP", usage=usage(3, 5))),
        counted(3, 5),
    ),
    case(
        "G5-thoughts",
        "thoughts beside the candidates",
        events(*TEXT, answer(reason="STOP", usage=usage(3, 2, thoughtsTokenCount=3))),
        counted(3, 5),
    ),
    *(
        case(
            f"G5-{word}",
            f"the reason {word}",
            events(*TEXT, answer(reason=word)),
            said("It is late.", finish_reason=reason),
        )
        for word, reason in (("MAX_TOKENS", "length"), ("SAFETY", "content_filter"))
    ),
    case(
        "G5-blocked",
        "a question that was blocked",
        events({"promptFeedback": {"blockReason": "SAFETY"}, **HEAD}),
        Whole((ExpectedChoice(text="", finish_reason="content_filter"),)),
    ),
    case("G6-text", "the end in a text", events(*TEXT), None),
    case("G6-call", "the end behind a call", events(answer(call())), None),
    case(
        "G6-pieces",
        "the end in a call",
        events(answer(BEGUN), answer(pieces(("$.city", "Pa"), willContinue=True)), END),
        None,
    ),
    case(
        "G6-other",
        "the end of one candidate",
        events({"candidates": [{"index": 0, "content": {"parts": [text("x")]}}, {"index": 1, "finishReason": "STOP"}]}),
        None,
    ),
    case("G6-nothing", "an empty body", b"", None),
    case(
        "G6-lost",
        "the connection lost behind a reason",
        Answer((events(answer(text("It is "), reason="STOP")), cut())),
        None,
    ),
    case("G6-array", "the end in an array", Answer((ARRAY[:-30],), content_type=JSON), None),
    case("G7-first", "an error in place of an answer", events(ERROR), Failure(shows=SHOWN)),
    case("G7-within", "an error behind text", events(*TEXT, ERROR), Failure(shows=SHOWN)),
    case(
        "G7-bare",
        "an error on lines that are no event",
        events(answer(text("It is "), reason="STOP")) + BARE + b"\n",
        Failure(shows=SHOWN),
    ),
    *(
        case(
            f"G7-{code}",
            f"the status {code}",
            api_error(code, SHOWN, headers=IMPATIENT),
            Failure(shows=SHOWN),
            may_repeat=passes,
        )
        for code, passes in ((400, False), (403, False), (429, True), (503, True))
    ),
    case("G8-array", "an array where events were due", Answer((ARRAY,), content_type=JSON), LATE),
    case("G8-chat", "chat completions instead", CHAT_BODY + DONE, None),
    case("G9", "a redirect to another origin", events(*WHOLE), Redirected()),
)

GEMINI_CASES: tuple[Case, ...] = (*CONTENT, *ENDS)
"""Each body is one of events, unless it says otherwise."""
