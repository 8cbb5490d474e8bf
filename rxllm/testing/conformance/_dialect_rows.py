"""The rows of the catalogue about other dialects than chat completions."""

from __future__ import annotations

__all__ = ["ANTHROPIC_ROWS", "COHERE_ROWS", "GEMINI_ROWS", "OLLAMA_ROWS", "RESPONSES_ROWS"]

ANTHROPIC_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "A1",
        "events by their type",
        "No `event:` lines; `[DONE]` at the end; pings, and events, blocks and deltas of unknown types.",
        "The type in the data counts. What is unknown is passed over.",
    ),
    (
        "A2",
        "a message within a message",
        "A second `message_start` before `message_stop`.",
        "An error: the two are not one answer. The same one twice counts once.",
    ),
    (
        "A3",
        "content in the beginning",
        "`message_start` has content and a `stop_reason` already; a block begins with text in it.",
        "It counts, in order.",
    ),
    (
        "A4",
        "blocks that lack an end",
        "A delta for a block that never began; a block that never stops before `message_stop`.",
        "The text of the message.",
    ),
    (
        "A5",
        "calls",
        "A call without input, with an empty delta, or with its input in the beginning; two calls.",
        "Each call once. No input is `{}`.",
    ),
    (
        "A6",
        "the server's own tools",
        "`server_tool_use` and `mcp_tool_use` with input, and their results, also of an earlier message.",
        "They are no calls: nobody is to run them.",
    ),
    (
        "A7",
        "thinking",
        "Thinking with a signature, or redacted; then text and calls.",
        "The thinking apart from the text.",
    ),
    (
        "A8",
        "usage",
        "Usage at the start and in `message_delta`, cumulative; tokens of the cache beside the others.",
        "The last value of each field; the whole prompt is the sum.",
    ),
    (
        "A9",
        "how it ended",
        "Each `stop_reason`, `message_stop` missing behind one, the model changing in between.",
        "The answer is whole.",
    ),
    (
        "A10",
        "cut",
        "The end of the body in a text, in a call, behind a block, before any `stop_reason`; `message_stop` alone.",
        "An error: the answer is cut.",
    ),
    (
        "A11",
        "errors",
        "An event with an error, in place of an answer or within it; a status of 400 or more.",
        "An error, with the server's message.",
    ),
    (
        "A12",
        "another protocol's stream",
        "Chat completions, or events of the Responses API, where Anthropic's were due.",
        "An error, and no empty answer.",
    ),
    ("A13", "redirect", "A redirect to another origin.", "The key, in whichever header, is not sent along."),
)
"""Id, what is on the wire in a few words and in a sentence, and what a correct client makes of it."""

RESPONSES_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "O1",
        "an end without output",
        "`response.completed` with an empty `output`, after items that had come.",
        "The items that came.",
    ),
    (
        "O2",
        "items told apart by a guess",
        "Identifiers that differ in each event; no `output_index`; no `response.created`; text before its item.",
        "The place counts, else the identifier, else the item that is open.",
    ),
    (
        "O3",
        "what comes only once",
        "Text or arguments only in `….done`, in the item, or in `response.completed`.",
        "They are not lost, and not doubled where they came before.",
    ),
    (
        "O4",
        "items in turns",
        "Several items open at once; numbers of events that are missing or have gaps.",
        "Each piece goes to its item.",
    ),
    (
        "O5",
        "a call that was cut",
        "A call with the status `incomplete`, in a response that is incomplete.",
        "It is no call to run; the answer ended for its length.",
    ),
    (
        "O6",
        "the server's own tools",
        "Arguments of MCP calls, code, and searches of the server.",
        "They are no calls: nobody is to run them.",
    ),
    (
        "O7",
        "reasoning, refusals, calls",
        "Reasoning as a summary or as text, a refusal, calls with and without arguments, padding.",
        "Each in its place.",
    ),
    (
        "O8",
        "how it ended",
        "`response.incomplete`, for its length or by a filter; usage at the end.",
        "The answer is whole, and says why it ended.",
    ),
    (
        "O9",
        "cut",
        "The end of the body in a text, in a call, behind an item; `[DONE]` in the place of the last event.",
        "An error: only the last event says that the answer is whole.",
    ),
    (
        "O10",
        "errors",
        "An error flat, nested, behind text, or in `response.failed`; a status of 400 or more, in several forms.",
        "An error, with the server's message.",
    ),
    (
        "O11",
        "another protocol's stream",
        "Chat completions, or events of Anthropic's, where those of the Responses API were due.",
        "An error, and no empty answer.",
    ),
)
"""As above."""

GEMINI_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "G1",
        "whole responses",
        "Events that are each a response; empty candidates and texts, a signature on one; events in another object.",
        "The text of the answer.",
    ),
    (
        "G2",
        "a reason that ends nothing",
        "`finishReason` with each event, or before the provider's code has run; that code beside calls.",
        "The answer goes on to the end of the body. Code of the provider is no call.",
    ),
    (
        "G3",
        "calls",
        "Calls without identifiers, without arguments, in one event or several; arguments in pieces, by their paths.",
        "Each call once, under an identifier of its own. No arguments are `{}`.",
    ),
    ("G4", "thinking", "Parts that are thoughts, then text or calls.", "The thinking apart from the text."),
    (
        "G5",
        "how it ended",
        "Usage in each event, also falling, thoughts beside it; each kind of reason; a question that was blocked.",
        "The answer is whole, and says why it ended and what it cost.",
    ),
    (
        "G6",
        "cut",
        "The end of the body before a reason, in a call, or where one candidate lacks its reason; a connection lost.",
        "An error: the answer is cut.",
    ),
    (
        "G7",
        "errors",
        "An error as an event, or on bare lines behind a reason; a status of 400 or more.",
        "An error, with the server's message.",
    ),
    (
        "G8",
        "another body",
        "An array of responses, as without `alt=sse`; chat completions.",
        "The array is read, anything else is an error.",
    ),
    ("G9", "redirect", "A redirect to another origin.", "The key is not sent along."),
)
"""As above."""

OLLAMA_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "L1",
        "lines of JSON",
        "Any fragmentation, CR LF, blank lines, no last line end, another media type, unknown fields and lines.",
        "The text of the answer.",
    ),
    (
        "L2",
        "whole calls",
        "Calls whose arguments are an object: without identifiers, at one index, in one line or several.",
        "Each call once, under an identifier of its own.",
    ),
    ("L3", "thinking", "Thinking, then text or calls.", "The thinking apart from the text."),
    (
        "L4",
        "how it ended",
        "Counts of tokens in the last line; `done_reason` absent or `length`.",
        "The answer is whole, and says why it ended and what it cost.",
    ),
    (
        "L5",
        "cut",
        "The end of the body in a text, in a line, in the last line, behind a call; an empty body.",
        "An error: only a line that is `done` says that the answer is whole.",
    ),
    (
        "L6",
        "errors",
        "A line with `error`, in place of an answer or behind text; a malformed line; a status of 400 or more.",
        "An error, with the server's message.",
    ),
    (
        "L7",
        "another protocol's stream",
        "Chat completions, or a page, where lines of Ollama's were due.",
        "An error, and no empty answer.",
    ),
    ("L8", "redirect", "A redirect to another origin.", "The key is not sent along."),
)
"""As above."""

COHERE_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "C1",
        "events by their type",
        "With and without `event:` lines and `[DONE]`; unknown events and fields; two beginnings; any fragmentation.",
        "The type in the data counts. What is unknown is passed over.",
    ),
    (
        "C2",
        "texts that lack an end",
        "A text without beginning or end, with its first words in its beginning, or in two contents.",
        "The text of the message.",
    ),
    (
        "C3",
        "plans and thinking",
        "`tool-plan-delta` before calls; thinking, then text or calls.",
        "Both are reasoning, apart from the text.",
    ),
    (
        "C4",
        "calls",
        "One call, two, without arguments, and with arguments that alternate.",
        "Each call once. No arguments are `{}`.",
    ),
    ("C5", "citations", "Citations within a text and behind it.", "The text is whole."),
    (
        "C6",
        "how it ended",
        "Usage with what is billed beside it; each `finish_reason`.",
        "The answer is whole, and says why it ended and how many tokens it took.",
    ),
    (
        "C7",
        "cut",
        "The end of the body anywhere before `message-end`; another message within a message.",
        "An error: only `message-end` says that the answer is whole.",
    ),
    (
        "C8",
        "errors",
        "`message-end` with or for an error; an object with a message; a malformed event; a status of 400 or more.",
        "An error, with the server's message.",
    ),
    (
        "C9",
        "another protocol's stream",
        "Chat completions, Cohere's older API, or a page, where events of the Chat API were due.",
        "An error, and no empty answer.",
    ),
    ("C10", "redirect", "A redirect to another origin.", "The key is not sent along."),
)
"""As above."""
