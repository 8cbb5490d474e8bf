"""What fails, where another try or another server would help, or would not."""

from __future__ import annotations

from typing import Any

from rxllm.testing.conformance._case import Case, Expectation, Failure, Whole
from rxllm.testing.conformance._wire import (
    CALLED,
    DONE,
    OPENING,
    STOP,
    called,
    calls,
    case,
    delta,
    event,
    fragment,
    said,
)
from rxllm.testing.script import Answer, cut, delay, reset, status

__all__ = ["FALLBACK_CASES", "RETRYING_CASES"]

SHOWN = "the kettle is empty"
# A reset takes along what has not been read.
READING = 0.05
WAIT = 0.8
# More than anybody tries.
OFTEN = 12

GOOD = Answer((OPENING + delta(content="Ten past ") + delta(content="nine.") + STOP,))
PARIS = '{"city":"Paris"}'
PARIS_CALL = OPENING + calls(fragment(PARIS, "get_weather", index=0, id="b")) + CALLED
SAID = said("Ten past nine.")
ALONE = Whole(SAID.choices, or_failure=True)
CALLED_ONCE = called(("b", "get_weather", PARIS), or_failure=True)

TEXT = OPENING + delta(content="Ten ") + delta(content="to ")
CALL = OPENING + calls(fragment(PARIS, "get_weather", index=0, id="a"))
PART_OF_CALL = OPENING + calls(fragment('{"city"', "get_weather", index=0, id="a"))


def trouble(kind: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": SHOWN, "type": kind, "code": code}}


def refused(number: int, kind: str = "server_error", code: str | None = None, **headers: str) -> Answer:
    """A status, and in the names of headers underscores for hyphens."""
    return status(number, trouble(kind, code), headers={name.replace("_", "-"): text for name, text in headers.items()})


def retried(
    id: str, title: str, first: Answer | bytes, *then: Answer, expected: Expectation = SAID, **options: Any
) -> Case:
    """A case in which the client tries again; without further answers it must not."""
    return case(id, title, first, expected, way="retrying", then=then, **options)


def other(id: str, title: str, first: Answer | bytes, second: Answer, expected: Expectation = SAID) -> Case:
    """A case in which the client has another server."""
    return case(id, title, first, expected, way="fallback", then=(second,))


OVERLOADED = event(trouble("overloaded_error"))
QUOTA = "insufficient_quota"
BUSY = refused(503, retry_after="0")
NO_LINE = Answer((cut(),), framing="none")
TEXT_CUT = Answer((TEXT, cut()))

BROKEN_TEXT: dict[str, tuple[str, Answer]] = {
    "cut": ("FIN after some text", TEXT_CUT),
    "reset": ("RST after some text", Answer((TEXT, delay(READING), reset()))),
    "end": ("the end in good order after some text", Answer((TEXT,))),
    "error": ("an overload after some text", Answer((TEXT + OVERLOADED + DONE,))),
}
BROKEN_CALL: dict[str, tuple[str, Answer]] = {
    "call": ("FIN after a whole call", Answer((CALL, cut()))),
    "part": ("FIN in a call", Answer((PART_OF_CALL, cut()))),
}

RETRYING_CASES: tuple[Case, ...] = (
    retried("R1-503", "status 503 twice", BUSY, BUSY, GOOD),
    retried("R1-429", "status 429 for a rate limit", refused(429, "requests", "rate_limit_exceeded"), GOOD),
    retried("R1-500", "status 500 without a body, then an answer", status(500, headers={"retry-after": "0"}), GOOD),
    retried("R1-fin", "FIN before the status line, then an answer", NO_LINE, GOOD),
    retried("R1-rst", "RST before the status line, then an answer", Answer((reset(),), framing="none"), GOOD),
    retried("R1-ever", "status 503 for ever", BUSY, *[BUSY] * OFTEN, expected=Failure(SHOWN)),
    retried("R2-seconds", "Retry-After: 1", refused(429, retry_after="1"), GOOD, wait=1.0),
    retried(
        "R2-ms",
        "retry-after-ms: 800",
        refused(503, retry_after_ms=f"{WAIT * 1000:.0f}"),
        GOOD,
        wait=WAIT,
    ),
    retried(
        "R2-past",
        "Retry-After with a date that has passed",
        refused(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        GOOD,
    ),
    retried("R3-hour", "Retry-After: 3600", refused(429, retry_after="3600"), expected=Failure()),
    retried(
        "R3-years",
        "Retry-After of ten years",
        refused(503, retry_after="315360000"),
        GOOD,
        expected=ALONE,
    ),
    retried(
        "R3-date",
        "Retry-After with a date in the next century",
        refused(503, retry_after="Fri, 01 Jan 2123 00:00:00 GMT"),
        GOOD,
        expected=ALONE,
    ),
    *(
        retried(f"R4-{code}", f"status {code}, once", refused(code, kind), expected=Failure(SHOWN))
        for code, kind in ((400, "invalid_request_error"), (401, "authentication_error"), (404, "not_found_error"))
    ),
    retried("R4-quota", "status 429 for insufficient_quota", refused(429, QUOTA, QUOTA), expected=Failure(SHOWN)),
    retried(
        "R4-should",
        "status 503 with x-should-retry: false",
        refused(503, x_should_retry="false"),
        expected=Failure(SHOWN),
    ),
    retried("R5-overload", "an overload in place of the first chunk", OVERLOADED + DONE, GOOD),
    retried("R5-event", "an event named error in place of the first chunk", b"event: error\n" + OVERLOADED, GOOD),
    retried("R5-role", "an overload behind the role", OPENING + OVERLOADED, GOOD),
    retried("R5-fin", "FIN in place of the first chunk", Answer((cut(),)), GOOD),
    retried("R5-nothing", "an empty body, then an answer", Answer(()), GOOD),
    retried(
        "R5-quota",
        "insufficient_quota in place of the first chunk",
        event(trouble(QUOTA, QUOTA)) + DONE,
        expected=Failure(SHOWN),
    ),
    *(retried(f"R6-{name}", title, first, GOOD, expected=ALONE) for name, (title, first) in BROKEN_TEXT.items()),
    *(
        retried(f"R6-{name}", title, first, Answer((PARIS_CALL,)), expected=CALLED_ONCE)
        for name, (title, first) in BROKEN_CALL.items()
    ),
    retried(
        "R6-partial",
        "FIN after some text, each time: what had come",
        TEXT_CUT,
        *[TEXT_CUT] * OFTEN,
        expected=Failure(partial="Ten to "),
    ),
)

FALLBACK_CASES: tuple[Case, ...] = (
    other("R7-503", "status 503 of the first server", BUSY, GOOD),
    other("R7-quota", "insufficient_quota of the first server", refused(429, QUOTA, QUOTA), GOOD),
    other("R7-fin", "FIN of the first server before the status line", NO_LINE, GOOD),
    other("R7-overload", "an overload in place of the first server's first chunk", OVERLOADED + DONE, GOOD),
    other("R7-both", "status 503 of both servers", BUSY, BUSY, Failure(SHOWN)),
    *(
        other(f"R8-{name}", f"of the first server: {title}", first, GOOD, ALONE)
        for name, (title, first) in BROKEN_TEXT.items()
    ),
    *(
        other(f"R8-{name}", f"of the first server: {title}", first, Answer((PARIS_CALL,)), CALLED_ONCE)
        for name, (title, first) in BROKEN_CALL.items()
    ),
)
