"""Diagrams in docstrings are executed, and found out when they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.models import StreamChunk
from rxllm.testing import DiagramError, check_marbles

SHIFT = 0.02


def shout(times: int = 1) -> Callable[[Observable[str]], Observable[str]]:
    return rx_ops.map(lambda text: text.upper() + "!" * times)


def twice(text: str) -> str:
    return text * 2


def documented(docstring: str) -> Callable[..., Any]:
    def operator(*arguments: Any) -> Callable[[Observable[Any]], Observable[Any]]:
        return shout(*arguments)

    operator.__doc__ = docstring if "::" in docstring else f"Shout.\n\n    ::\n{docstring}"
    return operator


TRUE = {
    "plain": """Shout.

    ::

        source  --a-b-|
                operator()
        result  --x-y-|

        a="hel" b="lo" x="HEL!" y="LO!"

    Prose goes on.
    """,
    "letters for themselves": """
        source  --a-b-|
                rx_ops.delay(SHIFT)
        result  ----a-b-|
    """,
    "several operators, on several lines": """
        source  --a-b-|
                operator(
                    2
                ) | rx_ops.take(1)
                | rx_ops.delay(0.01)
        result  ---(x|)

        a="hel"
        b="lo" x="HEL!!"
    """,
    "several sources": """
        source  --a---b-|
        other   ----c---|
                rx_ops.merge(other)
        result  --a-c-b-|
    """,
    "an observable": """
        one     --a-|
        two     -b--|
                reactivex.merge(one, two) | rx_ops.take(1)
        result  -(b|)
    """,
    "a hot source": """
        source  -a-^-b-|
                rx_ops.take(1)
        result  --(b|)
    """,
    "errors and equal signs": """
        source  --a-#
                rx_ops.map(lambda x: x == "=")
        result  --x-#

        a="=" x=True #=DecodeError("no", dialect="x =y", position=1, text="a=b c=d")
    """,
    "settings": """
        frame       1s
        source      -abc-|
                    rx_ops.map(str)
        takes       2
        subscribed  ^-----!
        result      -a-b-c
    """.replace("paused      -[-(][)\n", ""),
    "pauses": """
        source  -abc-|
                ops.buffer_with_backpressure(8)
        pauses  --[-----]
        result  -a------(bc|)
    """,
    "pauses that are checked": """
        source  -abc---|
                rx_ops.map(str)
        pauses  --[-]
        paused  --[-]
        result  -a--(bc) @70ms |
    """,
    "two diagrams": """
        source  -a-|
                rx_ops.map(str)
        result  -a-|

    And another::

        source  -b-|
                rx_ops.map(str)
        result  -b-|
    """,
}


@pytest.mark.parametrize("docstring", TRUE.values(), ids=TRUE)
def test_a_true_diagram(docstring: str) -> None:
    check_marbles(documented(docstring))


LIES = {
    "late": ("--x-y-|", "--x--y|"),
    "early": ("--x-y-|", "--x-y|"),
    "never": ("--x-y-|", "--x-y"),
    "fails": ("--x-y-|", "--x-y-#"),
    "order": ("--x-y-|", "--y-x-|"),
    "value": ('x="HEL!"', 'x="HEL"'),
    "source": ("--a-b-|", "-a--b-|"),
}


@pytest.mark.parametrize(("old", "new"), LIES.values(), ids=LIES)
def test_a_lie_is_found_out(old: str, new: str) -> None:
    with pytest.raises(AssertionError, match=r"^operator: the marbles differ from .*\nexpected  .*\nactual    "):
        check_marbles(documented(TRUE["plain"].replace(old, new)))


def test_a_lie_about_pauses_is_found_out() -> None:
    with pytest.raises(AssertionError, match="operator: the pauses differ"):
        check_marbles(documented(TRUE["pauses that are checked"].replace("paused  --[-]", "paused  --[--]")))


def test_the_second_of_two_diagrams_is_looked_at() -> None:
    with pytest.raises(AssertionError, match="operator: the marbles differ"):
        check_marbles(documented(TRUE["two diagrams"].replace("result  -b-|", "result  -b--|")))


def test_a_name_that_the_diagram_cannot_say() -> None:
    docstring = """
        source  -a-|
                rx_ops.map(given)
        result  -x-|

        a="a" x="aa"
    """
    check_marbles(documented(docstring), given=twice)
    with pytest.raises(NameError) as error:
        check_marbles(documented(docstring))
    assert error.value.__notes__ == ["in the marble diagram of operator"]


@pytest.mark.parametrize(
    "docstring", ["", "Shout.\n\n    Indented prose: how.\n", "    source  --a-|\n            operator()"]
)
def test_an_operator_without_a_diagram(docstring: str) -> None:
    with pytest.raises(AssertionError, match="operator: there is no marble diagram"):
        check_marbles(documented(docstring))


def test_a_source_without_a_result() -> None:
    with pytest.raises(AssertionError, match="operator: there is no marble diagram where there is a source"):
        check_marbles(documented(TRUE["two diagrams"].replace("result  -b-|", "results  -b-|")))


def test_two_diagrams_in_one_block() -> None:
    with pytest.raises(DiagramError, match="a second row source"):
        check_marbles(documented(TRUE["two diagrams"].replace("    And another::\n", "")))


def test_a_row_whose_name_is_misspelt() -> None:
    with pytest.raises(DiagramError, match="pausd is not a row, and no source that the call names"):
        check_marbles(documented(TRUE["letters for themselves"].replace("result", "pausd   ---\n        result")))


class Repeated:
    """An operator that is an object.

    ::

        source  -a-|
                Repeated() | twice_each()
        result  -x-|

        a="a" x="aaaa"
    """

    def __call__(self, source: Observable[str]) -> Observable[str]:
        return source.pipe(rx_ops.map(twice))


def twice_each() -> Repeated:
    return Repeated()


@pytest.mark.parametrize("operator", [Repeated, Repeated()], ids=["class", "object"])
def test_an_operator_that_is_no_function(operator: Callable[..., Any]) -> None:
    check_marbles(operator)


def test_what_is_neither_row_nor_legend() -> None:
    docstring = TRUE["plain"].replace('a="hel"', 'see a="hel"')
    with pytest.raises(ValueError, match="neither a row nor a legend: see"):
        check_marbles(documented(docstring))
    with pytest.raises(ValueError, match="neither a row nor a legend: nothing"):
        check_marbles(documented(TRUE["letters for themselves"] + "\n        nothing"))


def test_a_row_that_is_no_diagram() -> None:
    with pytest.raises(DiagramError, match="other half"):
        check_marbles(documented(TRUE["plain"].replace("--x-y-|", "--(x-y-|")))


@pytest.mark.parametrize(
    "mutation",
    [rx_ops.delay(0.01), rx_ops.take(1), rx_ops.skip(1), rx_ops.start_with("lo"), rx_ops.concat(reactivex.never())],
    ids=["delay", "take", "skip", "start_with", "concat"],
)
def test_a_mutated_operator_is_found_out(mutation: Callable[[Observable[str]], Observable[str]]) -> None:
    def content() -> Callable[[Observable[StreamChunk]], Observable[str]]:
        return lambda source: source.pipe(ops.content(), mutation)

    content.__doc__ = ops.content.__doc__
    with pytest.raises(AssertionError, match="content: the marbles differ"):
        check_marbles(content)
