"""What servers and networks really do, and what a correct client makes of it.

Rows with a Q are dialects of OpenAI's protocol, seen in the field; rows with an S are rules of the WHATWG standard for
server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html); rows with an N are the network
and HTTP; rows with a T are about time; rows with an R are about another try; rows with an A are Anthropic's
Messages API, rows with an O OpenAI's Responses API. Numbers are stable: a row that goes leaves a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

from rxllm.testing.conformance._bedrock_rows import BEDROCK_ROWS
from rxllm.testing.conformance._dialect_rows import (
    ANTHROPIC_ROWS,
    COHERE_ROWS,
    GEMINI_ROWS,
    OLLAMA_ROWS,
    RESPONSES_ROWS,
)
from rxllm.testing.conformance._trying_rows import TRYING_ROWS

__all__ = ["QUIRKS", "Quirk"]


@dataclass(frozen=True, slots=True)
class Quirk:
    """One row of the catalogue.

    Attributes:
        id: The row, as ``Q7``.
        area: What it is about, as ``"tool calls"``.
        name: What is on the wire, in a few words.
        wire: What is on the wire.
        rule: What a correct client makes of it.
    """

    id: str
    area: str
    name: str
    wire: str
    rule: str


_ROWS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "tool calls": (
        ("Q1", "no index", "Fragments of tool calls without an index.", "A new id with a name starts a call."),
        ("Q2", "index again, new id", "An index that is used again with a new id.", "Two calls."),
        (
            "Q3",
            "index again, no ids",
            "An index that is used again without ids, each time with a name and whole arguments.",
            "Two calls.",
        ),
        (
            "Q4",
            "id and name repeated",
            "Id and name repeated in each fragment.",
            "They are kept once, not concatenated.",
        ),
        ("Q5", "blank id and name", "Continuations with an empty id and an empty name.", "Blank means absent."),
        (
            "Q6",
            "odd arguments",
            "Arguments as a JSON object, as null, or never any.",
            "JSON text; `{}` where there is nothing.",
        ),
        (
            "Q7",
            "odd order of indexes",
            "Indexes in reverse order, or beginning at 1.",
            "The calls in order of their index.",
        ),
        ("Q8", "index twice in a chunk", "The same index twice in one chunk.", "One call."),
        ("Q9", "calls in turns", "Fragments of two calls in turns.", "Each goes to its own call."),
        (
            "Q10",
            "late name, new id",
            "A name after the arguments; an id that changes within a call.",
            "One call, with its first id.",
        ),
        (
            "Q11",
            "glued arguments",
            "Two JSON objects glued together in one call's arguments.",
            "An error or the text as it came.",
        ),
        ("Q12", "stop after a call", "`finish_reason: stop` although there are calls.", "The calls count."),
        ("Q13", "provider's data", "A provider's own data on a call's first fragment.", "It is kept with the call."),
        ("Q14", "huge index", "A huge index.", "One call; nothing is allocated by index."),
        (
            "Q15",
            "placeholder first",
            "`{}` as a text or an object, or `null` as a text, and then the arguments.",
            "One call, with the arguments.",
        ),
        (
            "Q16",
            "arguments again",
            "All of a call's arguments once more under its id, when they have come.",
            "One call; they count once.",
        ),
        ("Q17", "`null` as arguments", "`null` as the text of a call's arguments.", "`{}`."),
        (
            "Q18",
            "an id for each piece",
            "A new id and the name with each piece of a call, at one index.",
            "One call, with its first id.",
        ),
        ("Q19", "one id for two calls", "Two different calls under one id.", "Two calls."),
    ),
    "content": (
        (
            "Q20",
            "missing parts",
            "Chunks without choices, choices without a delta, deltas that are null.",
            "Nothing is raised or lost.",
        ),
        (
            "Q21",
            "odd usage",
            "Usage before, with or after the finish; in every chunk; and then null.",
            "The last real value counts.",
        ),
        (
            "Q22",
            "reasoning",
            "Reasoning in one of several fields, or as content parts.",
            "It can be read, apart from the text.",
        ),
        (
            "Q23",
            "placeholders",
            "Placeholders: `refusal: false`, an empty role, an empty first chunk.",
            "They are absent.",
        ),
        ("Q24", "several choices", "Several choices in turns.", "They are kept apart."),
        (
            "Q25",
            "repeated text",
            "A piece of text that begins with all of the text before.",
            "It is appended: models repeat themselves.",
        ),
        ("Q26", "unknown fields", "Fields that the protocol does not know.", "They are kept."),
        ("Q27", "refusals, logprobs", "Refusals and log probabilities in pieces.", "They are put together."),
        ("Q28", "legacy completions", "The older API: `choices[].text` and no delta.", "It is read as text."),
        (
            "Q29",
            "split usage",
            "Usage in two chunks: one part first, the other at the end, with a zero or null for what was said.",
            "A later zero or null replaces nothing.",
        ),
        (
            "Q59",
            "strange events",
            "Between the chunks: named events of a gateway, `{}`, objects without choices, `DONE` without brackets.",
            "They are passed over.",
        ),
    ),
    "ends": (
        (
            "Q30",
            "cut in good order",
            "The body ends in good order, and no choice has finished.",
            "An error: the answer is cut.",
        ),
        ("Q31", "no `[DONE]`", "Every choice has finished, and there is no `[DONE]`.", "The answer is whole."),
        ("Q32", "`[DONE]` and more", "`[DONE]` twice, or data after it.", "What follows is ignored."),
        (
            "Q33",
            "no last blank line",
            "The last event lacks its blank line.",
            "It is discarded, so it cannot finish an answer.",
        ),
        (
            "Q34",
            "no finish reason",
            "`[DONE]` without any finish reason, and the body ends in good order.",
            "The answer is whole: `[DONE]` says so.",
        ),
        ("Q35", "`[DONE]` alone", "`[DONE]` without any chunk before it.", "An error: there is no answer."),
        (
            "Q36",
            "no reason, and cut",
            "`[DONE]` without any finish reason, and the body does not end in good order.",
            "An error: the answer is cut, as if another request had killed it.",
        ),
        (
            "Q37",
            "`null` as a text",
            'A finish reason of `"null"`, `"None"` or `""`.',
            "It is none: the answer has not finished.",
        ),
        (
            "Q38",
            "unlisted reasons",
            "Finish reasons that the protocol does not list.",
            "Words of failure are an error; others end the answer.",
        ),
        (
            "Q39",
            "reason too early",
            "The finish reason comes before the last of a call's arguments.",
            "The answer goes on until the arguments are whole.",
        ),
        (
            "Q63",
            "no end after the finish",
            "Every choice has finished; then the connection is lost, silent, or brings only keep-alives.",
            "The answer is whole, after a short wait.",
        ),
    ),
    "errors": (
        ("Q40", "error object", "An error object as an event.", "An error, with the server's message."),
        ("Q41", "event named error", "An event named `error`.", "An error, with the server's message."),
        (
            "Q42",
            "`type: error`",
            "`type: error` with an error object, after status 200.",
            "An error, with the server's message.",
        ),
        ("Q43", "no event stream", "Status 200 and a body that is no event stream.", "An error that shows what came."),
        ("Q44", "malformed JSON", "An event with malformed JSON.", "An error that shows the text."),
        ("Q45", "a line `error:`", "A line `error: {…}`, with or without `[DONE]` behind it.", "That error."),
        ("Q46", "JSON as events", "A JSON error under `text/event-stream`.", "That error."),
        ("Q47", "no stream", "A whole JSON completion, although a stream was asked for.", "It is the answer."),
        (
            "Q48",
            "other media types",
            "A stream under `text/plain`, or under two media types at once.",
            "It is read: the first bytes decide.",
        ),
        ("Q49", "other protocols", "A stream of another protocol.", "An error, and no empty answer."),
    ),
    "framing": (
        ("Q50", "comments", "Comments as keep-alives, also mangled into data by a proxy.", "They are not data."),
        ("Q51", "retry or id alone", "Events with `retry` or `id` and no data.", "They are no events."),
        ("Q52", "byte order mark", "A byte order mark.", "It is skipped."),
        (
            "Q53",
            "line ends",
            "CR LF split between two reads, lone CR, line separators of Unicode.",
            "CR, LF and CR LF end lines.",
        ),
        ("Q54", "event of 3 MB", "An event of 3 MB.", "It arrives."),
        (
            "Q55",
            "odd data lines",
            "`data` without the space, with several, with no colon, with no value.",
            "As the standard has it.",
        ),
        ("Q56", "split characters", "A character split between two reads.", "It stays whole."),
        ("Q57", "odd retry", "`retry: -5` and `retry: 1_000`.", "They are ignored: digits only."),
        ("Q58", "clean end", "A clean end of the body.", "It is the end; the request is never posted again."),
        ("S1", "data on two lines", "Data on several lines.", "The lines are joined by a line feed."),
        ("S2", "unknown lines", "Fields of other names, also `Data` and ` data`.", "They are ignored."),
        ("S3", "no UTF-8", "Bytes that are no UTF-8.", "They are replaced by U+FFFD."),
        (
            "S4",
            "odd fields",
            "An id with a NUL, an event name, a comment amid an event.",
            "The event is what its data says.",
        ),
    ),
    "leaving": (
        (
            "Q60",
            "cancelled in a wait",
            "The client's task is cancelled while it waits.",
            "It ends, and the server sees it leave at once.",
        ),
        ("Q61", "cancelled at a chunk", "The client's task is cancelled while a chunk arrives.", "It ends, always."),
        (
            "Q62",
            "cancelled at the start",
            "The client's task is cancelled before the first event.",
            "It ends, and the connection with it.",
        ),
    ),
    "network": (
        (
            "N1",
            "FIN",
            "The connection is closed (FIN) in the middle of the body.",
            "An error, at whichever byte, unless every choice has finished.",
        ),
        ("N2", "RST", "The connection is reset (RST).", "An error."),
        ("N3", "short body", "A body shorter than its Content-Length.", "An error, unless `[DONE]` came."),
        ("N4", "status of 400 or more", "A status of 400 or more.", "An error, with the server's message."),
        ("N5", "redirect", "A redirect to another origin.", "Credentials are not sent along."),
        ("N6", "no status line", "The connection is closed before the status line.", "An error."),
        ("N7", "one byte a write", "The body cut into single bytes, or sent in one write.", "The same answer."),
    ),
    "time": (
        ("T1", "open end", "`[DONE]`, and the body is not ended.", "The client returns."),
        ("T2", "keep-alives", "Keep-alives between chunks.", "They are waited through."),
        ("T3", "silence", "Silence.", "A client with a time-out ends with an error."),
        (
            "T4",
            "only keep-alives",
            "Keep-alives for ever and never a chunk.",
            "They are no progress: the time-out holds.",
        ),
        (
            "Q66",
            "only empty chunks",
            "Chunks for ever that say nothing: empty deltas, no choices.",
            "They are no progress: the time-out holds.",
        ),
    ),
    "another try": TRYING_ROWS,
    "anthropic": ANTHROPIC_ROWS,
    "openai-responses": RESPONSES_ROWS,
    "gemini": GEMINI_ROWS,
    "cohere": COHERE_ROWS,
    "ollama": OLLAMA_ROWS,
    "bedrock-converse": BEDROCK_ROWS,
}

QUIRKS: dict[str, Quirk] = {row: Quirk(row, area, *words) for area, rows in _ROWS.items() for row, *words in rows}
"""The catalogue, by id, in order."""
