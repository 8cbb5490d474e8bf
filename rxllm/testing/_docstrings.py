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
   ``rx_ops``, of the chunks (``text_chunk``, …), and those given to ``check_marbles``.
4. Further rows say how it runs: ``subscribed  ^--!``, ``pauses  --[--]`` and ``takes  2`` tell the consumer what to
   do, as in ``Marbles.run``; ``frame  1s`` says what a character takes (10 ms otherwise). ``paused  --[--]`` is
   checked: when the source is paused.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import exceptions, models, wire
from rxllm import operators as ops
from rxllm.testing import _chunks
from rxllm.testing._diagrams import parse
from rxllm.testing._marbles import FRAME, Marbles
from rxllm.testing._recordings import assert_marbles, assert_pauses

__all__ = ["check_marbles"]

_ROW = re.compile(r"(\w\w+)\s\s+(\S.*)")
_LETTER = re.compile(r"(?:^|\s)(\S)=(?!=)")
_SETTINGS = ("frame", "paused", "pauses", "result", "subscribed", "takes")


@dataclass(slots=True)
class _Diagram:
    """The parts of a diagram, as text."""

    rows: dict[str, str] = field(default_factory=dict[str, str])
    call: str = ""
    legend: str = ""


def check_marbles(operator: Callable[..., Any], **names: Any) -> None:
    """Fail if a marble diagram in an operator's docstring lies, or if there is none.

    >>> from rxllm import operators as ops
    >>> check_marbles(ops.content)

    Args:
        operator: The function that makes the operator.
        names: What names in the diagram stand for that it cannot say itself, as ``sink=``.

    Raises:
        AssertionError: The diagram is not what happens; the message shows both. Or there is no diagram.
        DiagramError: A row of it is no diagram.
        Exception: What evaluating the call or the legend raises.
    """
    name = operator.__name__
    diagrams = list(_diagrams(inspect.getdoc(operator) or ""))
    if not diagrams:
        raise AssertionError(f"{name}: there is no marble diagram in the docstring")
    for diagram in diagrams:
        try:
            _check(diagram, {**_namespace(operator), **names})
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        except Exception as error:
            error.add_note(f"in the marble diagram of {name}")
            raise


def _check(diagram: _Diagram, namespace: dict[str, Any]) -> None:
    rows = diagram.rows
    legend = {letter: _evaluate(value, namespace) for letter, value in _entries(diagram.legend)}
    error = legend.pop("#", None)
    frame = parse(f" {rows['frame']} x", 0)[0].time / 1_000_000 if "frame" in rows else FRAME
    marbles = Marbles(frame=frame)
    sources = {
        name: (marbles.hot if "^" in row else marbles.cold)(row, legend, error=error)
        for name, row in rows.items()
        if name not in _SETTINGS
    }
    observable = _observable(diagram.call, {**namespace, **sources})
    recording = marbles.run(
        observable,
        subscribed=rows.get("subscribed", "^"),
        takes=float(rows.get("takes", "0")),
        pauses=rows.get("pauses", ""),
    )
    assert_marbles(recording, rows["result"], legend, error=error)
    if "paused" in rows:
        assert_pauses(sources["source"], rows["paused"])


def _observable(call: str, namespace: dict[str, Any]) -> Observable[Any]:
    """What the call makes of the sources."""
    tree = ast.parse(f"({call})", mode="eval").body
    values = [_evaluate(ast.unparse(part), namespace) for part in _piped(tree)]
    observable: Observable[Any] = values.pop(0) if isinstance(values[0], Observable) else namespace["source"]
    for operator in values:
        observable = operator(observable)
    return observable


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
    own: Mapping[str, Any] = getattr(inspect.unwrap(operator), "__globals__", {})
    return {**public, "reactivex": reactivex, "rx_ops": rx_ops, "ops": ops, **own, operator.__name__: operator}


def _diagrams(docstring: str) -> Iterator[_Diagram]:
    """The diagrams in a docstring: the indented blocks that have a row ``result``."""
    for block in re.split(r"^(?=\S)", docstring, flags=re.MULTILINE):
        lines = [line for line in block.splitlines() if line.startswith((" ", "\t"))]
        diagram = _diagram(lines)
        if "result" in diagram.rows:
            yield diagram


def _diagram(lines: list[str]) -> _Diagram:
    diagram = _Diagram()
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    for line in lines:
        text = line[margin:].rstrip()
        if row := _ROW.fullmatch(text):
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
