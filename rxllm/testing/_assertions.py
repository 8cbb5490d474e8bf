"""Whether a run went as a diagram says.

Rules:

1. Events are compared one by one, at exact times. Items compare by ``==``. Errors compare by type, by ``args``, and by
   each attribute that the expected one has; an exception type expects that type, whatever it says.
2. A failure shows both diagrams, one above the other, a mark below where they part, and what their letters mean.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from rxllm.testing._diagrams import columns, span
from rxllm.testing._events import events_of, meanings_of, windows_of
from rxllm.testing._recordings import Event, ExpectedError, Failed, Hold, Letters, Recording, Window, draw_windows

__all__ = ["assert_marbles", "assert_pauses", "assert_subscriptions"]

T = TypeVar("T")


def assert_marbles(
    actual: Recording[Any],
    expected: str,
    legend: Mapping[str, Any] | None = None,
    /,
    *,
    error: ExpectedError | None = None,
    **letters: Any,
) -> None:
    """Fail unless a run went as the diagram shows.

    >>> from rxllm.testing import Completed, Item, Recording
    >>> recording = Recording(10_000, [Item(20_000, "Hel"), Completed(30_000)])
    >>> assert_marbles(recording, "--a|", a="Hel")

    Args:
        actual: What happened.
        expected: The diagram of what should have happened, in frames of the recording.
        legend: What the letters mean.
        error: The error that ``#`` stands for: an error with the same type, arguments and attributes, or a type.
        letters: More of the legend.

    Raises:
        AssertionError: The run went another way; the message shows both diagrams.
    """
    meanings = meanings_of(legend, letters)
    wanted = events_of(expected, actual.frame, meanings, error)
    if len(wanted) == len(actual.events) and all(map(_same, wanted, actual.events)):
        return
    names = Letters[Any](meanings)
    diagrams = [names.draw(events, actual.frame) for events in (wanted, actual.events)]
    meaning = names.legend(names.used)
    for who, events in (("expected", wanted), ("actual", actual.events)):
        meaning += [f"# {who} = {_describe(event.error)}" for event in events if isinstance(event, Failed)]
    place = _first_difference(wanted, actual.events, _same)
    time = min(events[place].time for events in (wanted, actual.events) if place < len(events))
    message = f"the marbles differ from {span(time)} on"
    raise AssertionError(_above_each_other(message, actual.frame, diagrams, place, meaning))


def _first_difference(wanted: Sequence[T], actual: Sequence[T], same: Callable[[T, T], bool]) -> int:
    """The number of the first event that is not the same in both, or that one of them does not have."""
    pairs = enumerate(zip(wanted, actual, strict=False))
    return next((number for number, pair in pairs if not same(*pair)), min(len(wanted), len(actual)))


def _same(wanted: Event[Any], actual: Event[Any]) -> bool:
    if isinstance(wanted, Failed) and isinstance(actual, Failed):
        return wanted.time == actual.time and _same_error(wanted.error, actual.error)
    return wanted == actual


def _same_error(wanted: ExpectedError, actual: ExpectedError) -> bool:
    if isinstance(wanted, type):
        return type(actual) is wanted
    return (
        type(wanted) is type(actual)
        and wanted.args == actual.args
        and all(name in vars(actual) and vars(actual)[name] == value for name, value in vars(wanted).items())
    )


def _describe(error: ExpectedError) -> str:
    attributes = "" if isinstance(error, type) else "".join(f", {k}={v!r}" for k, v in vars(error).items())
    return repr(error) + attributes


def _above_each_other(
    message: str, frame: int, diagrams: Sequence[str], difference: int, below: Sequence[str] = ()
) -> str:
    """Two diagrams, with a mark below the first column in which their events differ."""
    rows = [f"{name:<10}{diagram or '(none)'}" for name, diagram in zip(("expected", "actual"), diagrams, strict=True)]
    places = [columns(diagram) for diagram in diagrams]
    column = min(columns_of_one[difference] for columns_of_one in places if difference < len(columns_of_one))
    mark = f"{'':<10}{'':{column}}^"
    return "\n".join([f"{message} (a frame is {span(frame)})", *rows, mark, *(f"  {line}" for line in below)])


class _Observed(Protocol):
    """What has windows: a marble source."""

    @property
    def frame(self) -> int:
        """Microseconds a frame."""
        ...

    @property
    def subscriptions(self) -> Sequence[Window]:
        """When it was subscribed to."""
        ...

    @property
    def pauses(self) -> Sequence[Window]:
        """When it was paused."""
        ...

    @property
    def holds(self) -> Sequence[Hold]:
        """Who held it paused, and when."""
        ...


def assert_subscriptions(source: _Observed, *expected: str) -> None:
    """Fail unless a source was subscribed to as the diagrams show, one diagram for each subscription: ``--^---!``.

    Args:
        source: A source of ``Marbles``.
        expected: The expected subscriptions, in order; ``^--`` without ``!`` is one that is never disposed.

    Raises:
        AssertionError: It was not; the message shows both.
    """
    wanted = [window for diagram in expected for window in windows_of(diagram, source.frame, "^", "!")]
    if not _same_windows(wanted, source.subscriptions):
        frame = source.frame
        drawn = [
            f"\n{'':<10}".join(draw_windows([window], frame, "^", "!") for window in windows) or "(none)"
            for windows in (wanted, source.subscriptions)
        ]
        rows = [f"{name:<10}{diagram}" for name, diagram in zip(("expected", "actual"), drawn, strict=True)]
        raise AssertionError("\n".join([f"the subscriptions differ (a frame is {span(frame)})", *rows]))


def assert_pauses(source: _Observed, expected: str, *, by: object = None) -> None:
    """Fail unless a source was paused as a diagram says: ``--[---]-[-]``.

    Args:
        source: A source of ``Marbles``.
        expected: When it should have been; a ``[`` without ``]`` for a pause that never ended.
        by: Look only at the pauses of one holder: the holder itself, or its name, as ``"tee_to"`` or
            ``"the consumer of the run"``. Without it, the source is paused while anybody holds it.

    Raises:
        AssertionError: It was not; the message shows both, and who held a pause when.
    """
    frame = source.frame
    wanted = windows_of(expected, frame, "[", "]")
    windows = source.pauses if by is None else _union([hold for hold in source.holds if _is(hold.holder, by)])
    # A pause that ended when it began held nothing back.
    actual = [window for window in windows if window.start != window.end]
    if _same_windows(wanted, actual):
        return
    whose = "" if by is None else f" of {by if isinstance(by, str) else repr(by)}"
    raise AssertionError(
        _above_each_other(
            f"the pauses{whose} differ",
            frame,
            [draw_windows(windows, frame, "[", "]") for windows in (wanted, actual)],
            _first_difference(_edges(wanted), _edges(actual), operator.eq),
            _holders(source.holds, frame),
        )
    )


def _is(holder: object, wanted: object) -> bool:
    return holder is wanted or (isinstance(wanted, str) and (wanted == holder or wanted == repr(holder)))


def _union(windows: Sequence[Window]) -> list[Window]:
    """When any of the windows was open: several holders may have one name."""
    union: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start):
        last = union[-1] if union else None
        if last is None or (last.end is not None and last.end <= window.start):
            union.append(Window(window.start, window.end))
        elif last.end is not None:
            last.end = None if window.end is None else max(last.end, window.end)
    return union


def _edges(windows: Sequence[Window]) -> list[int]:
    return [edge for window in windows for edge in (window.start, window.end) if edge is not None]


def _holders(holds: Sequence[Hold], frame: int) -> list[str]:
    """A line for each holder: when it held, and who it is."""
    by_holder: dict[int, list[Hold]] = {}
    for hold in holds:
        by_holder.setdefault(id(hold.holder), []).append(hold)
    return [f"{draw_windows(held, frame, '[', ']')} held by {held[0].holder!r}" for held in by_holder.values()]


def _same_windows(wanted: Sequence[Window], actual: Sequence[Window]) -> bool:
    return [(window.start, window.end) for window in wanted] == [(window.start, window.end) for window in actual]
