"""What the vendors' clients say of what we serve, and of what pydantic-ai serves.

``RXLLM_JUDGES=FOLDER python -m tests.conformance.producers --output docs`` writes ``_generated/producers.md``. The
folder has the scripts of the judges, with what they need beside them (``npm ci``). A story is what a provider sends;
both producers ask the same provider, on a loopback port, and answer in Starlette, behind uvicorn, with their defaults.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import ascii_lowercase
from typing import Any, TypeAlias

from rxllm import LLMClient, SQLiteLog, ToolRegistry, from_log, serving
from rxllm.testing import ScriptedServer, script
from tests.scripts import printed_by

Answerer: TypeAlias = Callable[[Any], Awaitable[Any]]
"""A function from a request of Starlette to its answer."""

MODEL = "gpt-4o-mini"
SECONDS = 60
"""A judge that has not ended by then is ended."""
LONG = [f"{number} words and some more of them to have a long text, " for number in range(200)]
JUDGES = {"ui-message-stream": "ui-message-stream.mjs", "ag-ui": "ag-ui.mjs"}


@dataclass(frozen=True)
class Story:
    """What happens, and what a client is to make of it.

    Attributes:
        title: What the table calls it.
        provider: What the provider sends, answer by answer.
        text: What the client is to have.
        ui: The outcome that the judge of the UI message stream expects.
        agui: The same for AG-UI.
        arguments: More for the judge.
        stops: Whether the tool stops the answer instead of giving a result.
        protocols: Those that know of it.
        theirs: Whether pydantic-ai has it.
    """

    title: str
    provider: Sequence[Any]
    text: str
    ui: str = "finish"
    agui: str = "success"
    arguments: tuple[str, ...] = ()
    stops: bool = False
    protocols: tuple[str, ...] = tuple(JUDGES)
    theirs: bool = True

    def asked(self, protocol: str) -> list[str]:
        """The arguments of a judge."""
        outcome = self.ui if protocol == "ui-message-stream" else self.agui
        return ["--outcome", outcome, "--expect", self.text, *self.arguments]


def calling(*places: str) -> tuple[Any, ...]:
    calls = (
        script.tool_call("look", {"where": where}, id=f"call_{index}", index=index)
        for index, where in enumerate(places)
    )
    return script.answer("I look.", *calls)


STORIES = (
    Story("an answer", [script.answer("Hel", "lo")], "Hello"),
    Story(
        "reasoning, then an answer", [script.answer(script.reasoning("Hm, "), script.reasoning("so."), "Yes.")], "Yes."
    ),
    Story(
        "two tools that the server runs, then an answer",
        [calling("here", "there"), script.answer("Done.")],
        "I look.Done.",
    ),
    Story(
        "the provider reports an error in mid-answer",
        [[script.role(), "Hel", "lo", script.error("overloaded")]],
        "Hello",
        ui="error",
        agui="error",
    ),
    Story(
        "the connection to the provider is lost in mid-answer",
        [[script.role(), "Hel", "lo", script.reset()]],
        "Hello",
        ui="error",
        agui="error",
    ),
    Story(
        "the provider refuses the request (400)",
        [script.api_error(400, "no such model")],
        "",
        ui="error",
        agui="error",
    ),
    Story(
        "the application stops the answer while a tool runs",
        [calling("here")],
        "I look.",
        ui="abort",
        agui="cancelled",
        stops=True,
    ),
    Story(
        "the page is loaded again in mid-answer",
        [script.answer(*LONG)],
        "".join(LONG),
        arguments=("--resume", "--cut", "3000"),
        protocols=("ui-message-stream",),
        theirs=False,
    ),
)


@asynccontextmanager
async def ours(story: Story, protocol: Any, provider: ScriptedServer) -> AsyncGenerator[Answerer]:
    """``StreamingResponse`` in front of ``chat_with_tools``, which a log keeps."""

    async def look(where: str) -> str:
        """What is there."""
        if story.stops:
            await log.cancel("answer", "enough")
            await asyncio.Event().wait()
        return f"{where}: a chair"

    async def answer(request: Any) -> Any:
        body: dict[str, Any] = {}
        if request.method == "POST":
            body = await request.json()
            asked = {"model": MODEL, "messages": [{"role": "user", "content": "Look."}]}
            production = log.produce("answer", client.chat_with_tools(asked, ToolRegistry([look])))
            productions.append(asyncio.ensure_future(production))
            await production.claimed()
        return serving.StreamingResponse(from_log(log, "answer"), protocol=protocol, body=body)

    productions: list[asyncio.Future[Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        log = SQLiteLog(Path(folder) / "log.db")
        async with LLMClient(base_url=provider.base_url, api_key="none") as client:
            yield answer
            await asyncio.gather(*productions, return_exceptions=True)


@asynccontextmanager
async def pydantic_ai(story: Story, protocol: str, provider: ScriptedServer) -> AsyncGenerator[Answerer]:
    """``dispatch_request`` of the adapters, as the documentation of pydantic-ai has it."""
    library: Any = importlib.import_module("pydantic_ai")
    models: Any = importlib.import_module("pydantic_ai.models.openai")
    providers: Any = importlib.import_module("pydantic_ai.providers.openai")
    model = models.OpenAIChatModel(MODEL, provider=providers.OpenAIProvider(base_url=provider.base_url, api_key="none"))
    agent = library.Agent(model)
    token = library.CancellationToken()

    async def look(where: str) -> str:
        """What is there."""
        if story.stops:
            token.cancel()
            await asyncio.Event().wait()
        return f"{where}: a chair"

    agent.tool_plain(look)

    async def answer(request: Any) -> Any:
        options = {"agent": agent, "cancellation_token": token}
        if protocol == "ag-ui":
            adapter: Any = importlib.import_module("pydantic_ai.ui.ag_ui")
            return await adapter.AGUIAdapter.dispatch_request(request, **options)
        adapter = importlib.import_module("pydantic_ai.ui.vercel_ai")
        return await adapter.VercelAIAdapter.dispatch_request(request, sdk_version=7, **options)

    yield answer


PRODUCERS: dict[str, Any] = {"rxllm": ours, "pydantic-ai": pydantic_ai}


@asynccontextmanager
async def served(answer: Answerer) -> AsyncGenerator[str]:
    """The URL of a chat in Starlette; ``/ID/stream`` behind it is for a client that comes back."""
    applications: Any = importlib.import_module("starlette.applications")
    routing: Any = importlib.import_module("starlette.routing")
    uvicorn: Any = importlib.import_module("uvicorn")
    routes = [
        routing.Route("/chat", answer, methods=["POST"]),
        routing.Route("/chat/{id}/stream", answer, methods=["GET"]),
    ]
    app = applications.Starlette(routes=routes)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/chat"
        finally:
            server.should_exit = True
            await running


@dataclass(frozen=True)
class Verdict:
    """What a judge said of a story that a producer told.

    Attributes:
        story: The title of the story.
        protocol: The protocol.
        producer: Who told it.
        faults: What the judge finds wrong.
        strict: What it finds wrong with ``--strict`` only.
    """

    story: str
    protocol: str
    producer: str
    faults: tuple[str, ...]
    strict: tuple[str, ...]


async def judged(judges: Path, protocol: str, url: str, arguments: Sequence[str]) -> list[str]:
    """The faults that a judge finds."""
    node = shutil.which("node")
    if node is None:
        raise SystemExit("there is no node")
    command = (node, str(judges / JUDGES[protocol]), url, *arguments)
    said, errors = await printed_by(command, judges, seconds=SECONDS)
    if not said:
        raise SystemExit(f"the judge printed nothing: {errors[-2000:]}")
    faults: list[str] = json.loads(said)["faults"]
    return faults


async def told(judges: Path, story: Story, protocol: str, producer: str) -> Verdict:
    """Let a producer tell a story, once for the judge and once for the strict judge."""
    found: list[list[str]] = []
    for strict in ([], ["--strict"]):
        async with (
            ScriptedServer(*story.provider) as provider,
            PRODUCERS[producer](story, protocol, provider) as answer,
            served(answer) as url,
        ):
            found.append(await judged(judges, protocol, url, [*story.asked(protocol), *strict]))
    faults, all_of_them = found
    return Verdict(
        story.title, protocol, producer, tuple(faults), tuple(each for each in all_of_them if each not in faults)
    )


async def verdicts(judges: Path) -> list[Verdict]:
    return [
        await told(judges, story, protocol, producer)
        for protocol in JUDGES
        for story in STORIES
        if protocol in story.protocols
        for producer in PRODUCERS
        if producer == "rxllm" or story.theirs
    ]


def versions(judges: Path) -> str:
    """Who was compared, and by whom."""
    packages = [f"{name} {version(name)}" for name in ("rxllm", "pydantic-ai-slim", "ag-ui-protocol", "starlette")]
    theirs = (judges / "node_modules" / name / "package.json" for name in ("ai", "@ag-ui/client"))
    manifests = (json.loads(path.read_text("utf-8")) for path in theirs)
    clients = [f"{each['name']} {each['version']}" for each in manifests]
    return f"Producers: {', '.join(packages)}. Clients: {', '.join(clients)}."


def page(found: Sequence[Verdict]) -> str:
    """A table, and what the letters in it stand for."""
    faults = dict.fromkeys(fault for each in found for fault in (*each.faults, *each.strict))
    letters = dict(zip(faults, ascii_lowercase, strict=False))
    cells = {(each.protocol, each.story, each.producer): cell(each, letters) for each in found}
    rows = dict.fromkeys((each.protocol, each.story) for each in found)
    lines = [f"| protocol | what happens | {' | '.join(PRODUCERS)} |", f"|---|---|{'---|' * len(PRODUCERS)}"]
    for protocol, story in rows:
        said = " | ".join(cells.get((protocol, story, producer), "n/a") for producer in PRODUCERS)
        lines.append(f"| `{protocol}` | {story} | {said} |")
    return "\n".join([*lines, "", *(f"- **{letter}**: `{fault}`" for fault, letter in letters.items())]) + "\n"


def cell(verdict: Verdict, letters: Mapping[str, str]) -> str:
    """What the table says of a verdict."""
    if verdict.faults:
        return "**" + ", ".join(sorted(letters[each] for each in (*verdict.faults, *verdict.strict))) + "**"
    strictly = ", ".join(sorted(letters[each] for each in verdict.strict))
    return f"pass; with `--strict` **{strictly}**" if strictly else "pass"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.producers", description=__doc__)
    parser.add_argument("--output", type=Path, help="the folder that the page is written to")
    options = parser.parse_args()
    if (folder := os.environ.get("RXLLM_JUDGES")) is None:
        raise SystemExit("RXLLM_JUDGES does not lead to the folder of the judges")
    logging.disable()
    judges = Path(folder)
    text = f"{versions(judges)}\n\n{page(asyncio.run(verdicts(judges)))}"
    print(text)
    if options.output is not None:
        (options.output / "_generated" / "producers.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
