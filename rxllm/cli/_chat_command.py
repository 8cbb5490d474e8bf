"""``rxllm chat``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from rxllm.cli._options import Debug, Style, StyleOption
from rxllm.cli._outcome import Status, finish

HELP = """Chat with a model, or ask it one question.

What comes on stdin is part of the question. In a pipe stdout gets the
answer and nothing else.

\b
  rxllm chat --host ollama --model llama3.2
  rxllm chat "Why is the sea salty?"
  git diff | rxllm chat "Write a commit message for this."
  rxllm chat --tools weather.py --store chats.db

Keys are read from the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY and
the like, each for its own provider.

"""

# Nothing is no default that is worth a line.
_whom = partial(typer.Option, show_default=False, rich_help_panel="Whom to ask")
_what = partial(typer.Option, show_default=False, rich_help_panel="What to ask")
_tool = partial(typer.Option, show_default=False, rich_help_panel="Tools")
_file = partial(typer.Option, show_default=False, rich_help_panel="Files")

Question: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="QUESTION", help="One question. Else you chat.", show_default=False)
]
Model: TypeAlias = Annotated[str | None, _whom("--model", "-m", metavar="NAME", help="The model, or set RXLLM_MODEL.")]
Host: TypeAlias = Annotated[str | None, _whom("--host", metavar="NAME", help="A known server, such as groq or ollama.")]
DialectName: TypeAlias = Annotated[
    str | None, _whom("--dialect", metavar="NAME", help="The API it speaks, or set RXLLM_DIALECT.")
]
BaseUrl: TypeAlias = Annotated[str | None, _whom("--base-url", metavar="URL", help="The address of the API.")]
KeyVariable: TypeAlias = Annotated[
    str | None, _whom("--key-variable", metavar="VARIABLE", help="The environment variable that has the key.")
]
Retries: TypeAlias = Annotated[
    int, _whom("--retries", metavar="N", min=0, help="How often to try again.", show_default=True)
]
Timeout: TypeAlias = Annotated[
    float | None, _whom("--timeout", metavar="SECONDS", help="How long the server may say nothing.")
]
System: TypeAlias = Annotated[str | None, _what("--system", "-s", metavar="TEXT", help="How the model should behave.")]
Temperature: TypeAlias = Annotated[
    float | None, _what("--temperature", metavar="NUMBER", help="How random the answer is, from 0 to 2.")
]
MaxTokens: TypeAlias = Annotated[
    int | None, _what("--max-tokens", metavar="N", help="How many tokens an answer may have.")
]
Fields: TypeAlias = Annotated[
    list[str] | None, _what("--field", metavar="NAME=VALUE", help="One more field, such as top_p=0.9.")
]
Tools: TypeAlias = Annotated[
    str | None, _tool("--tools", metavar="MODULE", help="A module, or a file.py, with functions to call.")
]
Yes: TypeAlias = Annotated[bool, _tool("--yes", "-y", metavar="", help="Run the tools without asking you.")]
Store: TypeAlias = Annotated[
    Path | None, _file("--store", metavar="FILE", help="Keep the chat: JSON lines if .jsonl, else SQLite.")
]
GoesOn: TypeAlias = Annotated[
    bool, _file("--continue", "-c", metavar="", help="Go on with the last chat of that file.")
]
Record: TypeAlias = Annotated[
    Path | None, _file("--record", metavar="FILE", help="Record what the server sends, for a bug report.")
]
ShowReasoning: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--show-reasoning", metavar="", help="In a pipe: write reasoning to stderr.", rich_help_panel="Display"
    ),
]


def chat(
    question: Question = None,
    *,
    model: Model = None,
    host: Host = None,
    dialect: DialectName = None,
    base_url: BaseUrl = None,
    key_variable: KeyVariable = None,
    retries: Retries = 2,
    timeout: Timeout = None,
    system: System = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    field: Fields = None,
    tools: Tools = None,
    yes: Yes = False,
    store: Store = None,
    goes_on: GoesOn = False,
    record: Record = None,
    style: StyleOption = Style.AUTO,
    show_reasoning: ShowReasoning = False,
    debug: Debug = False,
) -> None:
    """Chat with a model."""

    def work() -> Status:
        from rxllm.cli._asking import Wishes, run_chat  # noqa: PLC0415 - help needs none of the library
        from rxllm.cli._target import Target  # noqa: PLC0415 - the same

        target = Target(dialect, host, base_url, key_variable, retries, record)
        fields = Wishes(model, temperature, max_tokens, field or ())
        return run_chat(
            question,
            target,
            fields,
            system=system,
            tools=tools,
            yes=yes,
            store=store,
            goes_on=goes_on,
            style=style.value,
            reasoning=show_reasoning,
            silence=timeout,
            debug=debug,
        )

    finish(work, debug=debug)
