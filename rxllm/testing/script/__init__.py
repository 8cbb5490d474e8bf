"""What the scripted chat server sends: steps, answers, and functions that make them.

Rules:

1. An answer is a sequence of steps. A step sends something, waits for something, or ends the connection.
2. Plain things are steps too: ``str`` is a chunk with a text delta, a mapping or a pydantic model is a chunk as
   it stands, ``bytes`` are bytes of the body.
3. A whole answer may be a plain thing as well: ``str`` is a realistic answer with that text, word by word;
   ``bytes`` are a recorded body; any other iterable holds steps, a generator is consumed while it is sent.
4. Steps and answers are immutable, so that one script answers many requests. A generator answers one.

Chunks have the shape of OpenAI's ``chat.completion.chunk``
(https://platform.openai.com/docs/api-reference/chat-streaming). A server of another dialect says the same in its own
events: ``ScriptedServer(…, dialect="anthropic")``. What a dialect cannot say is a ``ValueError``: it ends the answer,
and leaving the server's block raises it.

>>> from rxllm.testing import script
>>> broken = [script.text("Hel"), script.delay(0.1), "lo", script.cut()]
>>> busy = script.status(429, {"error": {"message": "slow down"}}, headers={"retry-after": "3"})
"""

from __future__ import annotations

from rxllm.testing.script._answers import (
    Answer,
    Flood,
    Fragment,
    Framing,
    Refusal,
    answer,
    api_error,
    as_answer,
    flood,
    redirect,
    status,
    words,
)
from rxllm.testing.script._named_steps import (
    as_step,
    block,
    burst,
    chunk,
    close,
    comment,
    cut,
    delay,
    delta,
    done,
    error,
    finish,
    half_close,
    keep_alive,
    notify,
    raw,
    reasoning,
    reset,
    role,
    stall,
    text,
    tool_call,
    tool_call_delta,
    usage,
    wait_for,
)
from rxllm.testing.script._renderer import Renderer
from rxllm.testing.script._renderers import DIALECTS, ScriptDialect, renderer_of
from rxllm.testing.script._steps import (
    Block,
    Burst,
    Chunk,
    Close,
    Comment,
    Cut,
    Delay,
    Event,
    Frame,
    HalfClose,
    Line,
    Notify,
    Raw,
    Reset,
    ScriptStep,
    Sent,
    Stall,
    Step,
    StepLike,
    WaitFor,
    Word,
    sent_by,
)

__all__ = [
    "DIALECTS",
    "Answer",
    "Block",
    "Burst",
    "Chunk",
    "Close",
    "Comment",
    "Cut",
    "Delay",
    "Event",
    "Flood",
    "Fragment",
    "Frame",
    "Framing",
    "HalfClose",
    "Line",
    "Notify",
    "Raw",
    "Refusal",
    "Renderer",
    "Reset",
    "ScriptDialect",
    "ScriptStep",
    "Sent",
    "Stall",
    "Step",
    "StepLike",
    "WaitFor",
    "Word",
    "answer",
    "api_error",
    "as_answer",
    "as_step",
    "block",
    "burst",
    "chunk",
    "close",
    "comment",
    "cut",
    "delay",
    "delta",
    "done",
    "error",
    "finish",
    "flood",
    "half_close",
    "keep_alive",
    "notify",
    "raw",
    "reasoning",
    "redirect",
    "renderer_of",
    "reset",
    "role",
    "sent_by",
    "stall",
    "status",
    "text",
    "tool_call",
    "tool_call_delta",
    "usage",
    "wait_for",
    "words",
]
