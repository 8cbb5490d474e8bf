"""What comes from Ollama's own API, and from proxies before it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Failure, Redirected, Whole
from rxllm.testing.conformance._named_events import CHAT_BODY, Payload, dialect_case
from rxllm.testing.conformance._wire import DONE, IMPATIENT, called, said
from rxllm.testing.script import Answer, api_error, cut

__all__ = ["OLLAMA_CASES"]

SHOWN = "the kettle is empty"
LATE = said("It is late.")
PARIS = called((None, "get_weather", '{"city": "Paris"}'))
LINES = "application/x-ndjson"

case = partial(dialect_case, "ollama")


def line(content: str = "", *, done: bool = False, **fields: Any) -> Payload:
    said = {name: fields.pop(name) for name in ("thinking", "tool_calls") if name in fields}
    head = {"model": "scripted", "created_at": "2026-01-01T00:00:00.000000001Z"}
    return {**head, "message": {"role": "assistant", "content": content, **said}, "done": done, **fields}


def end(reason: str | None = "stop", **fields: Any) -> Payload:
    return line(
        done=True, **({} if reason is None else {"done_reason": reason}), prompt_eval_count=3, eval_count=5, **fields
    )


def call(city: str = "Paris", **fields: Any) -> Payload:
    return {"function": {"name": "get_weather", "arguments": {"city": city}}, **fields}


def encoded(*payloads: Payload, line_end: str = "\n") -> bytes:
    texts = (json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in payloads)
    return "".join(f"{text}{line_end}" for text in texts).encode()


def body(data: bytes, *steps: Any, **options: Any) -> Answer:
    return Answer((data, *steps), content_type=options.pop("content_type", LINES), **options)


def lines(*payloads: Payload, **options: Any) -> Answer:
    return body(encoded(*payloads), **options)


TEXT = [line("It is "), line("late.")]
WHOLE = [*TEXT, end()]
ERROR: Payload = {"error": SHOWN}
DREARY = [line("Grüße 𝄞"), end()]


def counted(prompt: int, completion: int) -> Whole:
    return Whole(LATE.choices, usage={"prompt_tokens": prompt, "completion_tokens": completion})


def both(*tools: str | None) -> Whole:
    cities = ('{"city": "Paris"}', '{"city": "Oslo"}')
    return called(*((given, "get_weather", city) for given, city in zip(tools, cities, strict=True)))


OLLAMA_CASES: tuple[Case, ...] = (
    case("L1-whole", "text in lines", lines(*WHOLE), LATE),
    case("L1-bytes", "byte by byte", lines(*DREARY, fragment=1), said("Grüße 𝄞")),
    case("L1-crlf", "lines that end with CR LF", body(encoded(*WHOLE, line_end="\r\n"), fragment=7), LATE),
    case("L1-blank", "blank lines", body(b"\n" + encoded(*WHOLE, line_end="\n\n")), LATE),
    case("L1-end", "no last line end", body(encoded(*WHOLE).rstrip()), LATE),
    case("L1-type", "lines that are called JSON", lines(*WHOLE, content_type="application/json"), LATE),
    case("L1-unknown", "fields and lines that are unknown", lines({"status": "warm"}, *TEXT, end(mood="calm")), LATE),
    case("L1-once", "a whole answer that was not streamed", lines(line("It is late.", done=True)), LATE),
    case("L2-one", "a call", lines(line(tool_calls=[call(id="a")]), end()), PARIS),
    case(
        "L2-ids",
        "two calls without identifiers",
        lines(line(tool_calls=[call(), call("Oslo")]), end()),
        both(None, None),
    ),
    case(
        "L2-lines",
        "two calls in two lines",
        lines(line(tool_calls=[call(id="a")]), line(tool_calls=[call("Oslo", id="b")]), end()),
        both(None, None),
    ),
    case(
        "L2-index",
        "two calls at one index",
        lines(
            *(line(tool_calls=[{"function": {**call(city)["function"], "index": 0}}]) for city in ("Paris", "Oslo")),
            end(),
        ),
        both(None, None),
    ),
    case(
        "L2-none",
        "a call without arguments",
        lines(line(tool_calls=[{"function": {"name": "now", "arguments": {}}}]), end()),
        called((None, "now", "{}")),
    ),
    case(
        "L2-text",
        "text and a call",
        lines(*TEXT, line(tool_calls=[call()]), end()),
        Whole((ExpectedChoice(text="It is late.", tool_calls=PARIS.choices[0].tool_calls),)),
    ),
    case(
        "L3-text",
        "thinking and text",
        lines(line(thinking="It is "), line(thinking="dark."), *TEXT, end()),
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "L3-call",
        "thinking and a call",
        lines(line(thinking="It is dark."), line(tool_calls=[call()]), end()),
        called((None, "get_weather", '{"city": "Paris"}'), reasoning="It is dark."),
    ),
    case("L4-usage", "usage at the end", lines(*WHOLE), counted(3, 5)),
    case(
        "L4-length", "the end for its length", lines(*TEXT, end("length")), said("It is late.", finish_reason="length")
    ),
    case("L4-none", "no reason for the end", lines(*TEXT, end(None)), said("It is late.")),
    case("L5-text", "the end in a text", lines(*TEXT), None),
    case("L5-line", "the end in a line", body(encoded(*TEXT)[:-20]), None),
    case("L5-last", "the end in the last line", body(encoded(*WHOLE)[:-4]), None),
    case("L5-call", "the end behind a call", lines(line(tool_calls=[call()])), None),
    case("L5-thinking", "the end in the thinking", lines(line(thinking="It is ")), None),
    case("L5-nothing", "an empty body", body(b""), None),
    case("L5-lost", "the connection lost in a text", body(encoded(*TEXT), cut()), None),
    case("L6-first", "an error in place of an answer", lines(ERROR), Failure(shows=SHOWN)),
    case("L6-within", "an error behind text", lines(*TEXT, ERROR), Failure(shows=SHOWN)),
    case(
        "L6-bare", "an error without its line end", body(encoded(*TEXT) + encoded(ERROR).rstrip()), Failure(shows=SHOWN)
    ),
    *(
        case(
            f"L6-{code}",
            f"the status {code}",
            api_error(code, SHOWN, headers=IMPATIENT),
            Failure(shows=SHOWN),
            may_repeat=passes,
        )
        for code, passes in ((400, False), (401, False), (429, True), (503, True))
    ),
    case("L6-malformed", "a line that is malformed", body(encoded(*TEXT) + b'{"message":\n' + encoded(end())), None),
    case("L7-chat", "chat completions instead", Answer((CHAT_BODY + DONE,)), None),
    case("L7-page", "a page instead", body(b"<html>busy</html>", content_type="text/html"), None),
    case("L8", "a redirect to another origin", lines(*WHOLE), Redirected()),
)
"""Each body is one of lines of JSON, unless it says otherwise."""
