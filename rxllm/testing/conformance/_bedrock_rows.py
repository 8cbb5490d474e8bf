"""The rows of the catalogue about Bedrock's Converse API."""

from __future__ import annotations

__all__ = ["BEDROCK_ROWS"]

BEDROCK_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "B1",
        "frames",
        "Frames cut anywhere, or many in one read; padding; events, blocks and deltas of unknown types.",
        "Each frame once. What is unknown is passed over.",
    ),
    (
        "B2",
        "frames that are wrong",
        "A wrong checksum, of the lengths or of the frame; lengths that contradict each other; malformed headers.",
        "An error, and nothing of that frame in an answer.",
    ),
    (
        "B3",
        "blocks",
        "Texts without a beginning, a gap between indexes, a block that never stops.",
        "Each text once, in the order of its events.",
    ),
    (
        "B4",
        "calls",
        "Calls with their input in pieces, or without any; two calls.",
        "Each call once. No input is `{}`.",
    ),
    (
        "B5",
        "the server's own tools",
        "A `toolUse` of the type `server_tool_use`, and its result.",
        "They are no calls: nobody is to run them.",
    ),
    (
        "B6",
        "reasoning",
        "Reasoning with a signature, or redacted; then text and calls.",
        "The reasoning apart from the text.",
    ),
    (
        "B7",
        "usage and end",
        "Each `stopReason`; usage behind it, tokens of the cache beside the others; no `metadata` at all.",
        "The answer is whole, and the whole prompt is the sum.",
    ),
    (
        "B8",
        "cut",
        "The end of the body in a text, in a call, behind a block, within a frame; a message within another.",
        "An error: only `messageStop` says that the answer is whole.",
    ),
    (
        "B9",
        "errors",
        "An exception or an error as a frame, in place of an answer or within it; a status of 400 or more.",
        "An error, with the server's message.",
    ),
    (
        "B10",
        "another protocol's stream",
        "Chat completions where frames were due, or frames of another operation.",
        "An error, and no empty answer.",
    ),
)
"""Id, what is on the wire in a few words and in a sentence, and what a correct client makes of it."""
