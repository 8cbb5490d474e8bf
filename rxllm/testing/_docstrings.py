r"""The marble diagram in an operator's docstring, executed.

The format is an indented block after ``::``::

    source  --a-b-c---|
            operator() | another()
    result  --x-y-z---|

    a="Hel" b="lo" x=text_chunk("Hel") #=ValueError("no")

Rules:

1. A line that begins with a word and two spaces is a row. ``result`` is what comes out; any other word is a source,
   cold, or hot if there is a ``^`` in its diagram.
2. What is indented below a source is the call: a Python expression for an operator that ``source`` is piped
   through, for several with ``|`` between them, or for an observable. Sources are there by their names.
3. The rest is the legend: letters and Python expressions. The names there, and in the call, are those of the
   operator's module, of ``rxllm``'s models, exceptions and operators (also as ``ops``), of reactivex' operators as
   ``rx_ops``, of the chunks (``text_chunk``, …), and those given to ``check_marbles``. There are also ``upper``, a
   coroutine function that works on a text for three frames, ``registry`` with that as its only tool, ``sink``, as from
   ``Marbles.sink``, and ``file``, a text file in memory.
4. Further rows say how it runs: ``subscribed  ^--!``, ``pauses  --[--]`` and ``takes  2`` tell the consumer what to
   do, as in ``Marbles.run``; ``writes  3`` is what ``sink`` takes; ``frame  1s`` is what a character takes (10 ms
   otherwise).
5. Further rows are checked: ``paused  --[--]``, when the source is paused; ``stored  --a--(bc|)``, what ``sink`` stored
   and when; ``waiting  --1-2--0``, how many items wait in the operator from then on: what the sources emitted less what
   came out (of the sink, if there is a row ``stored``).
6. Nothing drawn goes unchecked: a block with a row ``source`` has a ``result``, and the call names every other source.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from types import ModuleType
from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import exceptions, models, wire
from rxllm import operators as ops
from rxllm.testing import _chunks
from rxllm.testing._assertions import assert_marbles, assert_pauses
from rxllm.testing._diagrams import DiagramError, Mark, draw, parse
from rxllm.testing._marbles import FRAME, Marbles, MarbleSink, MarbleSource
from rxllm.testing._recordings import Event, ExpectedError, Item, Recording
from rxllm.tools import ToolRegistry

__all__ = ["Diagram", "Run", "check_marbles", "name_of", "runs_of"]

_ROW = re.compile(r"(\w\w+)\s\s+(\S.*)")
_LETTER = re.compile(r"(?:^|\s)(\S)=(?!=)")
_SETTINGS = ("frame", "paused", "pauses", "result", "stored", "subscribed", "takes", "waiting", "writes")

WORK = 3
"""Frames that ``upper`` works on a text."""


@dataclass(slots=True)
class Diagram:
    """The parts of a diagram, as text.

    Attributes:
        text: All of it.
        rows: What stands behind the words.
        call: The operator.
        legend: The letters and what they stand for.
    """

    text: str = ""
    rows: dict[str, str] = field(default_factory=dict[str, str])
    call: str = ""
    legend: str = ""


@dataclass(slots=True)
class Run:
    """What became of a diagram.

    Attributes:
        diagram: The diagram.
        legend: What its letters stand for.
        error: What ``#`` stands for.
        sources: The sources, by their names.
        recording: What the subscriber got.
        sink: What stood for ``sink``.
    """

    diagram: Diagram
    legend: dict[str, Any]
    error: ExpectedError | None
    sources: dict[str, MarbleSource[Any]]
    recording: Recording[Any]
    sink: MarbleSink

    @property
    def waiting(self) -> list[tuple[int, int]]:
        """How many items wait in the operator, from which time on."""
        out = self.sink.stored if "stored" in self.diagram.rows else self.recording
        changes = [(event.time, 1) for source in self.sources.values() for event in _items(source.emissions)]
        changes += [(event.time, -1) for event in _items(out.events)]
        depths: list[tuple[int, int]] = []
        depth = 0
        for time, group in groupby(sorted(changes), key=itemgetter(0)):
            change = sum(each for _, each in group)
            depth += change
            if change:
                depths.append((time, depth))
        return depths


def check_marbles(operator: Callable[..., Any], **names: Any) -> None:
    """Fail if a marble diagram in an operator's docstring is wrong, or if there is none.

    >>> from rxllm import operators as ops
    >>> check_marbles(ops.content)

    Args:
        operator: The function that makes the operator.
        names: Values for names in the diagram that the diagram cannot define, such as ``sink=``.

    Raises:
        AssertionError: The operator does something else; the message shows both. Or there is no diagram.
        DiagramError: A row of it is not a diagram.
        Exception: What evaluating the call or the legend raises.
    """
    try:
        for run in runs_of(operator, **names):
            _check(run)
    except AssertionError as error:
        raise AssertionError(f"{name_of(operator)}: {error}") from error
    except Exception as error:
        error.add_note(f"in the marble diagram of {name_of(operator)}")
        raise


def runs_of(operator: Callable[..., Any], **names: Any) -> Iterator[Run]:
    """Run the diagrams in an operator's docstring, one after the other.

    Args:
        operator: The function that makes the operator.
        names: Values for names in the diagrams that the diagrams cannot define.

    Raises:
        AssertionError: There is no diagram.
        DiagramError: A row of one is not a diagram.
        Exception: What evaluating the call or the legend raises.
    """
    diagrams = list(diagrams_in(inspect.getdoc(operator) or ""))
    if not diagrams:
        raise AssertionError("there is no marble diagram in the docstring")
    for diagram in diagrams:
        yield _execute(diagram, _namespace(operator), names)


def _execute(diagram: Diagram, namespace: dict[str, Any], names: dict[str, Any]) -> Run:
    rows = diagram.rows
    frame = parse(f" {rows['frame']} x", 0)[0].time / 1_000_000 if "frame" in rows else FRAME
    marbles = Marbles(frame=frame)
    sink = marbles.sink(takes=float(rows.get("writes", "0")))
    namespace = {**namespace, **_stand_ins(frame), "sink": sink, **names}
    legend = {letter: _evaluate(value, namespace) for letter, value in _entries(diagram.legend)}
    error = legend.pop("#", None)
    sources = {
        name: (marbles.hot if "^" in row else marbles.cold)(row, legend, error=error)
        for name, row in rows.items()
        if name not in _SETTINGS
    }
    _require_named(sources, rows, diagram.call)
    recording = marbles.run(
        _observable(diagram.call, {**namespace, **sources}),
        subscribed=rows.get("subscribed", "^"),
        takes=float(rows.get("takes", "0")),
        pauses=rows.get("pauses", ""),
    )
    return Run(diagram, legend, error, sources, recording, sink)


def _require_named(sources: Iterable[str], rows: Mapping[str, str], call: str) -> None:
    """Refuse a source that nothing is made of: it is a row whose name is misspelt.

    Raises:
        DiagramError: There is one.
    """
    named = {node.id for node in ast.walk(_tree(call)) if isinstance(node, ast.Name)}
    for name in sources:
        if name not in {"source", *named}:
            raise DiagramError(f"{name} is not a row, and no source that the call names", rows[name], 0)


def _stand_ins(frame: float) -> dict[str, Any]:
    """What diagrams are about and cannot say themselves."""

    async def upper(text: str) -> str:
        await asyncio.sleep(WORK * frame)
        return text.upper()

    return {"upper": upper, "registry": ToolRegistry([upper]), "file": io.StringIO()}


def _check(run: Run) -> None:
    rows = run.diagram.rows
    assert_marbles(run.recording, rows["result"], run.legend, error=run.error)
    if "stored" in rows:
        assert_marbles(run.sink.stored, rows["stored"], run.legend, error=run.error)
    if "paused" in rows:
        assert_pauses(run.sources["source"], rows["paused"])
    if "waiting" in rows:
        _assert_waiting(run.waiting, rows["waiting"], run.recording.frame)


def _assert_waiting(actual: list[tuple[int, int]], expected: str, frame: int) -> None:
    wanted = parse(expected, frame)
    for mark in wanted:
        if not mark.symbol.isdecimal():
            raise DiagramError(f"{mark.symbol!r} is not a number of items", expected, expected.index(mark.symbol))
    if actual != [(time, int(symbol)) for time, symbol in wanted]:
        drawn = draw([Mark(time, str(depth)) for time, depth in actual], frame)
        raise AssertionError(f"what waits differs\nexpected  {expected}\nactual    {drawn}")


def _items(events: Sequence[Event[Any]]) -> Iterator[Item[Any]]:
    return (event for event in events if isinstance(event, Item))


def _observable(call: str, namespace: dict[str, Any]) -> Observable[Any]:
    """What the call makes of the sources."""
    values = [_evaluate(ast.unparse(part), namespace) for part in _piped(_tree(call))]
    observable: Observable[Any] = values.pop(0) if isinstance(values[0], Observable) else namespace["source"]
    for operator in values:
        observable = operator(observable)
    return observable


def _tree(call: str) -> ast.expr:
    return ast.parse(f"({call})", mode="eval").body


def _piped(tree: ast.expr) -> Iterator[ast.expr]:
    """The expressions that stand between the ``|``."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        yield from _piped(tree.left)
        yield tree.right
    else:
        yield tree


def _evaluate(expression: str, namespace: dict[str, Any]) -> Any:
    return eval(expression, namespace)  # noqa: S307 - a docstring is code of the same author


def _namespace(operator: Callable[..., Any]) -> dict[str, Any]:
    modules: tuple[ModuleType, ...] = (exceptions, models, wire, ops, _chunks)
    public = {name: getattr(module, name) for module in modules for name in module.__all__}
    function = inspect.unwrap(operator)
    # What is not a function, as a class, has none, and is of a module.
    own: Mapping[str, Any] = getattr(function, "__globals__", None) or vars(sys.modules[function.__module__])
    # One that is made within another is not there by its name otherwise.
    itself = {operator.__name__: operator} if hasattr(operator, "__name__") else {}
    return {**public, "reactivex": reactivex, "rx_ops": rx_ops, "ops": ops, **own, **itself}


def name_of(operator: Callable[..., Any]) -> str:
    """What it is called; an object that can be called, as its class."""
    return str(getattr(operator, "__name__", type(operator).__name__))


def diagrams_in(docstring: str) -> Iterator[Diagram]:
    """The diagrams in a docstring: the indented blocks that have a row ``result``."""
    for block in re.split(r"^(?=\S)", docstring, flags=re.MULTILINE):
        lines = [line for line in block.splitlines() if line.startswith((" ", "\t"))]
        diagram = _diagram(lines)
        if "result" in diagram.rows:
            yield diagram
        elif "source" in diagram.rows:
            raise AssertionError(f"there is no marble diagram where there is a source: no row result\n{diagram.text}")


def _diagram(lines: list[str]) -> Diagram:
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    texts = [line[margin:].rstrip() for line in lines]
    diagram = Diagram("\n".join(texts))
    for text in texts:
        if row := _ROW.fullmatch(text):
            if row[1] in diagram.rows:
                raise DiagramError(f"a second row {row[1]}: a second diagram is a block of its own", text, 0)
            diagram.rows[row[1]] = row[2]
        elif text.startswith(" ") and not diagram.legend:
            diagram.call += f"{text.strip()}\n"
        else:
            diagram.legend += f" {text.strip()}"
    return diagram


def _entries(legend: str) -> Iterator[tuple[str, str]]:
    """The letters of a legend and the expressions that they stand for.

    A value ends where the next ``x=`` begins, unless that lies within it: then it is no expression yet.
    """
    starts = list(_LETTER.finditer(legend))
    if legend[: starts[0].start() if starts else None].strip():
        raise ValueError(f"neither a row nor a legend: {legend.strip()}")
    while starts:
        letter = starts.pop(0)
        while starts and not _is_expression(legend[letter.end() : starts[0].start()]):
            starts.pop(0)
        yield letter[1], legend[letter.end() : starts[0].start() if starts else None].strip()


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    return True
