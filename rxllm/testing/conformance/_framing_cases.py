"""Server-sent events, time, and leaving."""

from __future__ import annotations

from rxllm.testing.conformance._case import Case, Failure, Leaves
from rxllm.testing.conformance._wire import DONE, OPENING, STOP, calls, case, chunk, delta, fragment, said
from rxllm.testing.script import Answer, Raw, StepLike, comment, delay, stall

__all__ = ["FRAMING_CASES", "LEAVING_CASES", "TIME_CASES"]

# No placeholder comes first: a client that loses the first event is seen to.
START = delta(role="assistant", content="It is ")
TEXT = START + delta(content="late.")
WHOLE = TEXT + STOP
LATE = said("It is late.")
JSON = delta(content="late.").removeprefix(b"data: ").removesuffix(b"\n\n")
SPLIT = JSON.index(b',"choices"') + 1
# U+0085, U+2028 and U+2029 end lines for str.splitlines, not for the standard.
SEPARATED = "It\u2028is\u2029not\u0085late."
WIDE = "Zoë: 日本 🌊"
LARGE = "x" * 3_000_000
REPAIRED = b"data: : OPENROUTER PROCESSING\n\n"


def with_line_end(line_end: bytes) -> bytes:
    return WHOLE.replace(b"\n", line_end)


def after_cr(data: bytes) -> list[int]:
    return [position for position in range(1, len(data)) if data[position - 1 : position + 1] == b"\r\n"]


CRLF = with_line_end(b"\r\n")

FRAMING_CASES: tuple[Case, ...] = (
    case(
        "Q50-comments",
        "comments between and within events",
        b": OPENROUTER PROCESSING\n\n" + START + b":\n: ping\n\n" + delta(content="late.") + b": ping\n" + STOP,
        LATE,
    ),
    case(
        "Q50-mangled",
        "a comment that a proxy made data of",
        REPAIRED + START + REPAIRED + delta(content="late.") + STOP,
        LATE,
    ),
    case("Q51-retry", "retry alone", b"retry: 3000\n\n" + WHOLE, LATE),
    case("Q51-id", "id and a comment", START + b"id: 7\n: comment\n\n" + delta(content="late.") + STOP, LATE),
    case("Q52", "a byte order mark", b"\xef\xbb\xbf" + WHOLE, LATE),
    case("Q52-split", "a byte order mark in three reads", Answer((b"\xef\xbb\xbf" + WHOLE,), fragment=[1, 2]), LATE),
    case("Q53-crlf", "CR LF", CRLF, LATE),
    case("Q53-crlf-split", "CR LF, split between two reads each time", Answer((CRLF,), fragment=after_cr(CRLF)), LATE),
    case("Q53-cr", "lone CR", with_line_end(b"\r"), LATE),
    case(
        "Q53-unicode", "U+0085, U+2028 and U+2029 in a text", OPENING + delta(content=SEPARATED) + STOP, said(SEPARATED)
    ),
    case("Q54", "an event of 3 MB", OPENING + delta(content=LARGE) + STOP, said(LARGE)),
    case("Q55-no-space", "no space after the colon", WHOLE.replace(b"data: ", b"data:"), LATE),
    case("Q55-spaces", "three spaces after the colon", TEXT.replace(b"data: ", b"data:   ") + STOP, LATE),
    case("Q55-empty", "data without a value", START + b"data:\n\ndata\n\n" + delta(content="late.") + STOP, LATE),
    case(
        "Q56",
        "multi-byte characters, byte by byte",
        Answer((OPENING + delta(content=WIDE) + STOP,), fragment=1),
        said(WIDE),
    ),
    case("Q57", "retry: -5 and retry: 1_000", b"retry: -5\nretry: 1_000\n" + WHOLE, LATE),
    case("Q58", "a clean end, without [DONE]", TEXT + delta("stop"), LATE),
    case(
        "S1",
        "a chunk's JSON on two lines",
        START + b"data: " + JSON[:SPLIT] + b"\ndata: " + JSON[SPLIT:] + b"\n\n" + STOP,
        LATE,
    ),
    case("S2", "fields named Data, ' data' and mood", b"Data: x\n data: y\nmood: calm\n" + WHOLE, LATE),
    case(
        "S3",
        "a byte that is no UTF-8",
        START + delta(content="l?te.").replace(b"?", b"\xff") + STOP,
        said("It is l\ufffdte."),
    ),
    case("S4-id", "an id with a NUL", b"id: a\x00b\n" + WHOLE, LATE),
    case(
        "S4-comment",
        "a comment between the lines of an event",
        b"data: " + JSON[:SPLIT] + b"\n: hm\ndata: " + JSON[SPLIT:] + b"\n\n" + STOP,
        said("late."),
    ),
    case("S4-message", "event: message", b"event: message\n" + WHOLE, LATE),
)

# Not one event behind the other, but with waits: short ones, so that the suite stays quick.
PAUSE = 0.02


def slowly(*steps: StepLike) -> list[StepLike]:
    return [each for step in steps for each in (step, delay(PAUSE))]


def endless(step: StepLike) -> list[StepLike]:
    # A client gives up long before.
    return slowly(*[step] * 3000)


PINGS = endless(comment("OPENROUTER PROCESSING"))


TIME_CASES: tuple[Case, ...] = (
    case("T1", "[DONE], and then silence", Answer((WHOLE, stall())), LATE),
    case(
        "T2",
        "twenty keep-alives",
        Answer((START, *slowly(*[comment("ping")] * 20), delta(content="late.") + STOP)),
        LATE,
    ),
    case("T3-gap", "silence in the middle", Answer((START, stall())), Failure(), silent=True),
    case("T3-first", "silence after the headers", Answer((stall(),)), Failure(), silent=True),
    case("T4-gap", "keep-alives without end in the middle", Answer((START, *PINGS, STOP)), Failure(), silent=True),
    case("T4-first", "keep-alives without end, and nothing else", Answer((*PINGS, DONE)), Failure(), silent=True),
    *(
        case(
            f"Q66-{name}",
            f"{what} without end in the middle",
            Answer((START, *endless(beat), STOP)),
            Failure(),
            silent=True,
        )
        for name, what, beat in (
            ("content", "empty texts", delta(content="")),
            ("delta", "empty deltas", delta()),
            ("choices", "chunks without choices", chunk([])),
            ("call", "empty pieces of a call", calls(fragment("", index=0))),
        )
    ),
    case(
        "Q66-first",
        "empty deltas without end, and nothing else",
        Answer((*endless(OPENING), STOP)),
        Failure(),
        silent=True,
    ),
)

LEAVING_CASES: tuple[Case, ...] = (
    case("Q60", "cancelled while it waits for a chunk", Answer((START,)), Leaves()),
    case(
        "Q61",
        "cancelled while a chunk arrives",
        Answer((START, delay(PAUSE), delta(content="late."))),
        Leaves(tuple(range(12))),
    ),
    case("Q62-headers", "cancelled while it waits for the first chunk", Answer((Raw(b": \n"),)), Leaves()),
    case("Q62-status", "cancelled while it waits for the status line", Answer((), framing="none"), Leaves()),
)
