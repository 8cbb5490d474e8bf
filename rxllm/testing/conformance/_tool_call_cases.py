"""Tool calls, as servers send them in pieces."""

from __future__ import annotations

from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Whole
from rxllm.testing.conformance._results import CallResult
from rxllm.testing.conformance._wire import CALLED, OPENING, STOP, called, calls, case, fragment

__all__ = ["TOOL_CALL_CASES"]

FIRST = ("a", "get_weather", '{"city":"Paris"}')
SECOND = ("b", "get_weather", '{"city":"Rome"}')
PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'
NAME = "get_weather"
# Servers were seen to send 4000000000. A client that fills a list up to it would take the suite down with it.
HUGE = 1_000_000
PLACEHOLDERS: tuple[tuple[str, str, Any], ...] = (
    ("text", "`{}` as a text", "{}"),
    ("object", "`{}` as an object", {}),
    ("null", "`null` as a text", "null"),
)


def sent(*chunks: bytes, end: bytes = CALLED) -> bytes:
    return OPENING + b"".join(chunks) + end


def pieces(arguments: str, index: int = 0) -> tuple[bytes, bytes]:
    """Arguments in two chunks that say nothing else."""
    return calls(fragment(arguments[:9], index=index)), calls(fragment(arguments[9:], index=index))


TOOL_CALL_CASES: tuple[Case, ...] = (
    case(
        "Q1",
        "two calls without an index",
        sent(calls(fragment(PARIS, NAME, id="a")), calls(fragment(ROME, NAME, id="b"))),
        called(FIRST, SECOND),
    ),
    case(
        "Q1-pieces",
        "a call without an index, in pieces",
        sent(calls(fragment('{"city"', NAME, id="a")), calls(fragment(':"Par')), calls(fragment('is"}'))),
        called(FIRST),
    ),
    case(
        "Q2",
        "index 0 again with a new id",
        sent(calls(fragment(PARIS, NAME, index=0, id="a")), calls(fragment(ROME, NAME, index=0, id="b"))),
        called(FIRST, SECOND),
    ),
    case(
        "Q2-one-chunk",
        "index 0 for both calls of a chunk",
        sent(calls(fragment(PARIS, NAME, index=0, id="a"), fragment(ROME, NAME, index=0, id="b"))),
        called(FIRST, SECOND),
    ),
    case(
        "Q3",
        "index 0 again without ids",
        sent(calls(fragment(PARIS, NAME, index=0)), calls(fragment(ROME, NAME, index=0))),
        called((None, NAME, PARIS), (None, NAME, ROME)),
    ),
    case(
        "Q4",
        "id and name in each of three fragments",
        sent(*(calls(fragment(piece, NAME, index=0, id="a")) for piece in ('{"city"', ":", '"Paris"}'))),
        called(FIRST),
    ),
    case(
        "Q5",
        "continuations with a blank id and name",
        sent(
            calls(fragment('{"city"', NAME, index=0, id="a")),
            calls({"index": 0, "id": "", "function": {"name": "", "arguments": ':"Paris"}'}}),
        ),
        called(FIRST),
    ),
    case(
        "Q6-object",
        "arguments as an object",
        sent(calls(fragment({"city": "Paris"}, NAME, index=0, id="a"))),
        called(FIRST),
    ),
    case(
        "Q6-null",
        "arguments that are null",
        sent(calls({"index": 0, "id": "a", "type": "function", "function": {"name": NAME, "arguments": None}})),
        called(("a", NAME, "{}")),
    ),
    case(
        "Q6-never", "never any arguments", sent(calls(fragment(None, NAME, index=0, id="a"))), called(("a", NAME, "{}"))
    ),
    case(
        "Q7-reversed",
        "index 1, then index 0",
        sent(calls(fragment(ROME, NAME, index=1, id="b")), calls(fragment(PARIS, NAME, index=0, id="a"))),
        called(FIRST, SECOND),
    ),
    case("Q7-from-1", "indexes that begin at 1", sent(calls(fragment(PARIS, NAME, index=1, id="a"))), called(FIRST)),
    case(
        "Q8",
        "index 0 twice in one chunk",
        sent(
            calls(fragment("", NAME, index=0, id="a"), fragment('{"city"', index=0)),
            calls(fragment(':"Paris"}', index=0)),
        ),
        called(FIRST),
    ),
    case(
        "Q9",
        "fragments of two calls in turns",
        sent(
            calls(fragment("", NAME, index=0, id="a")),
            calls(fragment("", NAME, index=1, id="b")),
            calls(fragment('{"city"', index=0)),
            calls(fragment('{"city"', index=1)),
            calls(fragment(':"Paris"}', index=0)),
            calls(fragment(':"Rome"}', index=1)),
        ),
        called(FIRST, SECOND),
    ),
    case(
        "Q10-late-name",
        "the name after the arguments",
        sent(
            calls(fragment('{"city"', index=0, id="a")),
            calls(fragment(':"Paris"}', index=0)),
            calls(fragment(None, NAME, index=0)),
        ),
        called(FIRST),
    ),
    case(
        "Q10-new-id",
        "another id in the middle of a call",
        sent(calls(fragment('{"city"', NAME, index=0, id="a")), calls(fragment(':"Paris"}', index=0, id="x"))),
        called(FIRST),
    ),
    case(
        "Q11",
        "two objects in one call's arguments",
        sent(calls(fragment(PARIS + ROME, NAME, index=0, id="a"))),
        called(("a", NAME, PARIS + ROME), or_failure=True),
    ),
    case(
        "Q12",
        "finish_reason stop after a call",
        sent(calls(fragment(PARIS, NAME, index=0, id="a")), end=STOP),
        called(FIRST),
    ),
    case(
        "Q13",
        "a signature on the first fragment only",
        sent(
            calls(fragment("", NAME, index=0, id="a", extra_content={"google": {"thought_signature": "c2lnbmVk"}})),
            calls(fragment(PARIS, index=0)),
        ),
        Whole(
            (
                ExpectedChoice(
                    tool_calls=(
                        CallResult(NAME, PARIS, "a", {"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}),
                    )
                ),
            )
        ),
    ),
    case("Q14", "index 1000000", sent(calls(fragment(PARIS, NAME, index=HUGE, id="a"))), called(FIRST)),
    *(
        case(
            f"Q15-{name}",
            f"{title} before the arguments",
            sent(calls(fragment(placeholder, NAME, index=0, id="a")), *pieces(PARIS)),
            called(FIRST),
        )
        for name, title, placeholder in PLACEHOLDERS
    ),
    *(
        case(
            f"Q16-{name}",
            f"all of the arguments again, {title}",
            sent(
                calls(fragment("", NAME, index=0, id="a")),
                *pieces(PARIS),
                calls(fragment(again, NAME, index=0, id="a")),
            ),
            called(FIRST),
        )
        for name, title, again in (
            ("text", "as they were", PARIS),
            ("format", "with other white space", '{ "city": "Paris" }'),
            ("object", "as an object", {"city": "Paris"}),
        )
    ),
    case("Q17", "`null` as a text", sent(calls(fragment("null", NAME, index=0, id="a"))), called(("a", NAME, "{}"))),
    case(
        "Q18",
        "another id and the name with each of three pieces",
        sent(
            *(
                calls(fragment(piece, NAME, index=0, id=identifier))
                for identifier, piece in (("a", '{"city"'), ("b", ':"Par'), ("c", 'is"}'))
            )
        ),
        called(FIRST),
    ),
    case(
        "Q18-empty",
        "the same, and the first piece is empty",
        sent(
            *(
                calls(fragment(piece, NAME, index=0, id=identifier))
                for identifier, piece in (("a", ""), ("b", '{"city":"Par'), ("c", 'is"}'))
            )
        ),
        called(FIRST),
    ),
    case(
        "Q19",
        "one id for the calls at two indexes",
        sent(calls(fragment(PARIS, NAME, index=0, id="a")), calls(fragment(ROME, NAME, index=1, id="a"))),
        called(FIRST, (None, NAME, ROME)),
    ),
    case(
        "Q19-pieces",
        "the same, in pieces",
        sent(
            calls(fragment("", NAME, index=0, id="a")),
            *pieces(PARIS),
            calls(fragment("", NAME, index=1, id="a")),
            *pieces(ROME, index=1),
        ),
        called(FIRST, (None, NAME, ROME)),
    ),
)
