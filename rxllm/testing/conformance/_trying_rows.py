"""The rows of the catalogue about another try, and about another server."""

from __future__ import annotations

__all__ = ["TRYING_ROWS"]

TRYING_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "R1",
        "a failure that passes",
        "Status 429, 500, 503, or a lost connection, before anything of an answer; then a whole answer.",
        "It is asked for again, and returned. What does not pass is an error in the end.",
    ),
    (
        "R2",
        "how long to wait",
        "`Retry-After` in seconds, in milliseconds, or as a date that has passed.",
        "No request comes before that.",
    ),
    (
        "R3",
        "far too long to wait",
        "`Retry-After` of an hour, of ten years, or a date in the next century.",
        "An error: nobody waits that long. An hour is meant, so that no request comes before; ten years may be a slip.",
    ),
    (
        "R4",
        "what no waiting mends",
        "Status 400, 401, 404; `insufficient_quota` with status 429; `x-should-retry: false` with 503.",
        "An error, and no other request.",
    ),
    (
        "R5",
        "a failure in place of the first chunk",
        "Status 200, and then an error, a cut or nothing in place of the answer; then a whole answer.",
        "It is asked for again, since nothing was shown; not if the error is one that no waiting mends.",
    ),
    (
        "R6",
        "a failure after text was shown",
        "An answer that breaks off after some text or a call, where another try would get a whole one.",
        "An error that has the text, or the other answer alone: never two glued together, and no call twice.",
    ),
    (
        "R7",
        "another server",
        "The first server refuses, or fails before anything of an answer; the second one answers.",
        "That answer. If the second one fails, too, an error.",
    ),
    (
        "R8",
        "another server after text was shown",
        "The first server breaks off after some text or a call; the second one answers.",
        "An error, or the other answer alone: never two glued together, and no call twice.",
    ),
)
"""Id, what is on the wire in a few words and in a sentence, and what a correct client makes of it."""
