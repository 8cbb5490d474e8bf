"""The pictures of an operator: the runs of the diagrams in its docstring, drawn.

A picture shows the run and nothing else. If the diagram lies, the picture does not: ``check_marbles`` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rxllm.testing._docstrings import Run, name_of, runs_of
from rxllm.testing._marbles import MarbleSource
from rxllm.testing._recordings import Hold, Letters, Window
from rxllm.testing._svg import Band, Line, Picture, draw_svg

__all__ = ["draw_marbles"]


def draw_marbles(operator: Callable[..., Any], **names: Any) -> list[str]:
    """Draw the runs of the marble diagrams in an operator's docstring, in virtual time.

    >>> from rxllm import operators as ops
    >>> [picture] = draw_marbles(ops.content)
    >>> picture.partition(" ")[0]
    '<svg'

    A picture shows what happened: what each source emitted, and what was due but held up by a pause; what came out, and
    when; who was paused or busy; the contents of a ``sink``, if there is a row ``stored``; how many items waited, if
    there is a row ``waiting``. The pictures follow the theme of the page that shows them.

    Args:
        operator: The function that makes the operator.
        names: Values for names in the diagrams that the diagrams cannot define.

    Returns:
        An ``svg`` element for each diagram.

    Raises:
        AssertionError: There is no diagram.
        DiagramError: A row of it is not a diagram.
        Exception: What evaluating the call or the legend raises.
    """
    return [draw_svg(_picture(name_of(operator), run)) for run in runs_of(operator, **names)]


def _picture(name: str, run: Run) -> Picture:
    rows = run.diagram.rows
    results = [Line("result", run.recording.events, bands=_busy(run.recording.pauses))]
    if "stored" in rows:
        results.append(Line("stored by the sink", run.sink.stored.events))
    sources = [_source(name, source) for name, source in run.sources.items()]
    letters = Letters[Any](run.legend)
    for events in (*(line.due for line in sources), *(line.events for line in results)):
        letters.draw(events, run.recording.frame)
    return Picture(
        title=f"Marble diagram of {name}",
        text=run.diagram.text,
        frame=run.recording.frame,
        call=run.diagram.call,
        sources=sources,
        results=results,
        waiting=run.waiting if "waiting" in rows else (),
        letters=letters.used,
    )


def _source(name: str, source: MarbleSource[Any]) -> Line:
    bands = [Band(pause, "paused", f"paused by {_holders(pause, source.holds)}") for pause in _lasting(source.pauses)]
    # Of several subscriptions, what one had due another may have had to wait for.
    due = sorted(source.due, key=lambda event: event.time)
    return Line(name, source.emissions, due=due, windows=source.subscriptions, bands=bands)


def _busy(pauses: Sequence[Window]) -> list[Band]:
    return [Band(pause, "busy", "the consumer takes nothing") for pause in _lasting(pauses)]


def _lasting(windows: Sequence[Window]) -> list[Window]:
    """Without those that ended when they began, which held nothing back."""
    return [window for window in windows if window.start != window.end]


def _holders(pause: Window, holds: Sequence[Hold]) -> str:
    """Who held a source during a pause."""
    names = dict.fromkeys(
        _name(hold.holder)
        for hold in holds
        if (pause.end is None or hold.start < pause.end) and (hold.end is None or hold.end > pause.start)
    )
    return " and ".join(names)


def _name(holder: object) -> str:
    # An address means nothing to a reader, and is another one in the next build.
    return "the operator" if type(holder).__repr__ is object.__repr__ else repr(holder)
