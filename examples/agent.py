"""A small agent: it lists, reads and writes files of a temporary folder, and asks before it writes.

The display shows what the model says and each call with its result; at the end stands what was written. Only
``write_file`` needs a yes: yours on a terminal, else that of a rule. No path leads out of the folder.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from _endpoint import Endpoint, endpoint
from _running import stoppable
from reactivex import operators as rx_ops

import rxllm
from rxllm import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ChatCompleted,
    ChatEvent,
    ChatRequest,
    Message,
    Refused,
    ToolCall,
    ToolRegistry,
)
from rxllm import operators as ops
from rxllm.harmless import harmless, printable
from rxllm.testing import Script, script

TASK = "Read my notes and write what is left to do into todo.md."
NOTES = {
    "monday.txt": "Booked the train to Lisbon. Still no hotel.\n",
    "tuesday.txt": "Hotel found: Casa Azul. Passport runs out in May!\n",
}
TODO = "- [ ] renew the passport, it runs out in May\n- [ ] pay for the Casa Azul\n"
MOST_CHARACTERS = 20_000

# What the scripted server sends: four turns, three with calls.
TURNS: list[Script] = [
    script.answer(*script.words("I look at what is there."), script.tool_call("list_files", {}, id="call_1")),
    script.answer(
        *script.words("Two notes. I read both."),
        script.tool_call("read_file", {"path": "monday.txt"}, id="call_2", index=0),
        script.tool_call("read_file", {"path": "tuesday.txt"}, id="call_3", index=1),
    ),
    script.answer(
        *script.words("The hotel is found, the passport is not renewed."),
        script.tool_call("write_file", {"path": "todo.md", "text": TODO}, id="call_4"),
    ),
    script.answer(*script.words("Done: two things are left, and the passport is the urgent one.")),
]


class Folder:
    """A folder, and the tools that see nothing but this.

    Args:
        root: Where it is.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.tools = ToolRegistry([self.list_files, self.read_file, self.write_file])

    def list_files(self) -> list[str]:
        """The files of the folder."""
        return sorted(str(path.relative_to(self._root)) for path in self._root.rglob("*") if path.is_file())

    def read_file(self, path: str) -> str:
        """The text of a file."""
        with self._inside(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_CHARACTERS)

    def write_file(self, path: str, text: str) -> str:
        """Write a text file, in the place of an older one."""
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"a file has at most {MOST_CHARACTERS} characters")
        self._inside(path).write_text(text, encoding="utf-8")
        return f"{len(text)} characters written"

    def _inside(self, path: str) -> Path:
        """The place of a file; links and ``..`` are followed before it is looked at."""
        place = (self._root / path).resolve()
        if not place.is_relative_to(self._root) or place == self._root:
            raise PermissionError(f"{path} is not in the folder")
        if place.exists() and not place.is_file():
            raise PermissionError(f"{path} is no file")
        return place


def needs_a_yes(call: ToolCall) -> bool:
    """Whether somebody is asked before a call runs."""
    return call.function.name == "write_file"


async def approve(call: ToolCall) -> Approved | Refused:
    """Ask before anything is written. The display has shown the call by now, and leaves the row below it to us."""
    if not needs_a_yes(call):
        return Approved()
    if sys.stdin.isatty():
        forget_what_was_typed()
        print("  [y/N] ", end="", flush=True)
        answer = (await line_of_terminal()).strip().lower()
    else:
        answer = "yes" if str(call.function.parsed.get("path")).endswith(".md") else "no"
        print(f"  {answer}: by the rule only .md may be written", flush=True)
    return Approved() if answer in {"y", "yes"} else Refused(reason="The user said no.")


def forget_what_was_typed() -> None:
    """What somebody typed before the question is no answer to it."""
    with suppress(ImportError):  # Windows
        termios = import_module("termios")
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


async def line_of_terminal() -> str:
    """A line that somebody types; Ctrl-C need not wait for it."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def tell(line: str) -> None:
        if not typed.done():
            typed.set_result(line)

    def read() -> None:
        line = os.read(sys.stdin.fileno(), 1024).decode(errors="replace")
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, line)

    threading.Thread(target=read, daemon=True).start()
    return await typed


def is_shown(event: ChatEvent) -> bool:
    """All but the questions that nobody is asked."""
    return not isinstance(event, ApprovalRequested | ApprovalGiven) or needs_a_yes(event.call)


async def main(server: Endpoint) -> None:
    """Let the agent work until it wants no more tools."""
    with tempfile.TemporaryDirectory(prefix="rxllm-") as name:
        folder = Folder(Path(name))
        for path, text in NOTES.items():
            folder.write_file(path, text)
        print(f"you    {TASK}\n")
        request = ChatRequest(
            model=server.model,
            messages=[Message.system("You work on the files of one folder, with the tools."), Message.user(TASK)],
            max_tokens=500,
        )
        async with server.connect(*TURNS) as client:
            chat = client.chat_with_tools(request, folder.tools, approve=approve)
            last = await chat.pipe(rx_ops.filter(is_shown), ops.tee_to_display(end=""))
        if isinstance(last, ChatCompleted):
            print(f"\n{last.round} turns, {len(last.messages)} messages")
        for path in folder.list_files():
            if path not in NOTES:
                print(f"\n{harmless(path)}\n{printable(folder.read_file(path))}", end="")


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
