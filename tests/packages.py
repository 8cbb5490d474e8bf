"""Builds the packages of a release and tries them as a new user would: ``python -m tests.packages FOLDER``.

The sdist is built from the checkout, the wheel from the sdist. Then the wheel is installed in an environment that has
nothing else, and the first program of each page has to print there what the page says; those that need more than the
library have an environment with all extras. Exits with 1 if something does not hold.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from rxllm.testing import ScriptedServer
from tests.pages import PAGES, ROOT, Program, programs_of

EXTRAS = ("cli", "otel", "redis", "rich", "testing")
"""What users may add to the library; the other extras are for those who develop it."""

NEEDS: Mapping[str, str] = {
    "log-engines": "rxllm[testing]",
    "other-sdks": "openai",
    "telemetry": "opentelemetry-sdk",
    "top": "rxllm[cli]",
}
"""What the first program of a page needs besides the library: a part of the page has to say so."""

ANSWER = "Rivers carry salt to the sea."
IN_EACH_SDIST = {"README.md", "LICENSE", "pyproject.toml", "rxllm/py.typed", "docs/index.md", "tests/conftest.py"}


class Environment:
    """A virtual environment with some packages."""

    def __init__(self, folder: Path, *packages: str) -> None:
        venv.create(folder, with_pip=True)
        self._bin = folder / ("Scripts" if os.name == "nt" else "bin")
        subprocess.run([self._bin / "python", "-m", "pip", "install", "-qq", *packages], check=True)

    def run(self, *command: str, folder: Path | None = None, base_url: str = "") -> tuple[int, str]:
        """Run a command of it in a folder, by default its own; gives the exit status, and what was printed."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTHONPATH"))}
        process = subprocess.run(
            [self._bin / command[0], *command[1:]],
            check=False,
            cwd=folder or self._bin,
            env={**own, "PYTHONIOENCODING": "utf-8", "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return process.returncode, process.stdout.replace("\r\n", "\n")

    async def first_program(self, program: Program) -> str | None:
        """What is wrong with what a program prints; ``None`` if nothing is."""
        async with ScriptedServer(ANSWER, repeat=True) as server:
            with TemporaryDirectory() as folder:
                program.write_neighbours(Path(folder))
                command = ("python", "-W", "error", "-c", program.code)
                status, printed = await asyncio.to_thread(
                    self.run, *command, folder=Path(folder), base_url=server.base_url
                )
        if status or printed != program.printed:
            return f"{program.page.relative_to(ROOT)}: exit status {status}, printed\n{printed}"
        return None


def build(folder: Path) -> tuple[Path, Path]:
    """Build the packages; gives the wheel and the sdist."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True)
    return wheel, sdist


def wrong_contents(wheel: Path, sdist: Path) -> Iterator[str]:
    """What is in the packages and should not be, or the other way round."""
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rxllm").rglob("*.py")} | {"rxllm/py.typed"}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    yield from (f"{wheel.name}: {name}" for name in sorted(packed ^ modules))
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    yield from (f"{sdist.name}: no {name}" for name in sorted(IN_EACH_SDIST - inside))


def wrong_in_the_bare(environment: Environment, version: str) -> Iterator[str]:
    """What does not hold where nothing but the library is installed."""
    status, printed = environment.run("python", "-W", "error", "-c", "import rxllm; print(rxllm.LLMClient.__name__)")
    if (status, printed) != (0, "LLMClient\n"):
        yield printed
    status, printed = environment.run("rxllm", "--version")
    if (status, printed) != (0, f"rxllm {version}\n"):
        yield f"rxllm --version: exit status {status}, printed\n{printed}"
    status, printed = environment.run("rxllm", "chat", "Hello")
    if status != 2 or "pip install 'rxllm[cli]'" not in printed or "Traceback" in printed:
        yield f"rxllm chat: exit status {status}, printed\n{printed}"


async def wrong_programs(bare: Environment, full: Environment, programs: Iterable[Program]) -> list[str]:
    """What is wrong with the programs."""
    wrong: list[str] = []
    for program in programs:
        needs = NEEDS.get(program.page.stem)
        found = await (full if needs else bare).first_program(program)
        if needs and needs not in program.page.read_text("utf-8"):
            found = f"{program.page.relative_to(ROOT)} does not say that it needs {needs}"
        wrong += [found] if found else []
    return wrong


def main() -> int:
    folder = Path(sys.argv[1])
    wheel, sdist = build(folder)
    version = wheel.name.split("-")[1]
    programs = [first for page in PAGES if (first := next(programs_of(page), None))]
    with TemporaryDirectory() as work:
        bare = Environment(Path(work) / "bare", str(wheel))
        more = [needs for needs in NEEDS.values() if not needs.startswith("rxllm")]
        full = Environment(Path(work) / "full", f"{wheel}[{','.join(EXTRAS)}]", *more)
        wrong = [*wrong_contents(wheel, sdist), *wrong_in_the_bare(bare, version)]
        wrong += asyncio.run(wrong_programs(bare, full, programs))
    sys.stdout.write("\n".join([*wrong, f"{wheel.name}, {sdist.name}: {len(programs)} programs, {len(wrong)} wrong\n"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
