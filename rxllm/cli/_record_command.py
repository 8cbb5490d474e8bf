"""``rxllm record``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from rxllm.cli._options import Debug
from rxllm.cli._outcome import Status, finish

HELP = """Record what a server sends, for a bug report or a test.

The file holds each read of the answer with its time, and how it ended.
What was asked is not in it, and no key: a key that the server echoes is
blotted out.
"rxllm replay" plays it, and says in which error it ends.

\b
  rxllm record https://api.openai.com/v1/chat/completions \\
      --key-variable OPENAI_API_KEY --data @request.json --out bug.jsonl
  rxllm record https://api.anthropic.com/v1/messages --data @request.json \\
      --header x-api-key=env:ANTHROPIC_API_KEY \\
      --header anthropic-version=2023-06-01 --out bug.jsonl

To record what a chat gets: rxllm chat … --record bug.jsonl
"""


class Framing(StrEnum):
    """How the body of the answer is framed."""

    SSE = "sse"
    NDJSON = "ndjson"
    AWS = "aws-event-stream"


Url: TypeAlias = Annotated[str, typer.Argument(metavar="URL", help="The full URL: http(s):// or ws(s)://.")]
Out: TypeAlias = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")]
Force: TypeAlias = Annotated[bool, typer.Option("--force", metavar="", help="Replace the file if it exists.")]
Data: TypeAlias = Annotated[
    str | None,
    typer.Option("--data", "-d", metavar="JSON", help="The body: JSON, @FILE, or @- for stdin.", show_default=False),
]
Method: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--method", "-X", metavar="METHOD", help="By default POST with a body, GET without.", show_default=False
    ),
]
HeaderTexts: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        "-H",
        metavar="NAME=VALUE",
        help="A header. env:VARIABLE stands for its value.",
        show_default=False,
    ),
]
KeyVariable: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key-variable", metavar="VARIABLE", help="A variable; its value is the bearer token.", show_default=False
    ),
]
FramingOption: TypeAlias = Annotated[
    Framing, typer.Option("--framing", metavar="NAME", help="sse, ndjson or aws-event-stream.")
]


def record(
    url: Url,
    *,
    out: Out,
    force: Force = False,
    data: Data = None,
    method: Method = None,
    header: HeaderTexts = None,
    key_variable: KeyVariable = None,
    framing: FramingOption = Framing.SSE,
    debug: Debug = False,
) -> None:
    """Record what a server sends."""

    def work() -> Status:
        from rxllm.cli._recording_request import Request, body_of, headers_of, record_to  # noqa: PLC0415 - see chat

        body = body_of(data)
        request = Request(url, body, method, headers_of(header or (), key_variable), framing.value)
        return record_to(out, request, force=force)

    finish(work, debug=debug)
