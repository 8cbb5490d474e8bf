"""How an operator is written: what it does with an item, an error, the end and dispose, and nothing else.

Rules:

1. ``operate`` makes the operator, and each subscription has an ``Operation`` of its own.
2. What an item becomes is returned. It is emitted from outside of the operation, so an exception of a consumer is never
   taken for one of the operation.
3. No item is taken while somebody pauses the producer, nor after the operation was left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

from reactivex import Observable, abc

from rxllm.exceptions import attach_gathered
from rxllm.flow._batches import Receiver
from rxllm.flow._control import FlowControl, current
from rxllm.flow._fan_out import FanOut
from rxllm.flow._sources_above import listening
from rxllm.flow._stopping import stopping
from rxllm.flow._stream import Stream, subscribe_to
from rxllm.flow._watching import watched, watcher

A = TypeVar("A")
B = TypeVar("B")
A_contra = TypeVar("A_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)
P = ParamSpec("P")


_NOTHING: Mapping[str, str] = {}


class Operation(Receiver[A], Generic[A, B]):
    """One subscription of an operator: a subclass says what an item becomes.

    It may also say what comes before the end or an error, and what to release. Batches, pauses and the order of items
    and end are taken care of.

    Args:
        out: What the operator emits to. ``on_item`` and the like need not use it; it is for items from a queue, a task
            or a timer. It has the clock for timers.

    Attributes:
        out: The same.
        called: The name of the operator, for the error about an item of a wrong class.
        takes: The classes of the items that it takes, for the same error; nothing is checked before. A class may say
            in ``made_by`` which operator makes its items, and in ``made_of`` what to do with items of other classes, by
            their names.
        hears_of_sources: Whether ``on_source`` is called.
        works_with: What tells it from others of its kind, a sink or a function, for whoever looks at it.
    """

    called: str = "an operator"
    works_with: object = None
    takes: tuple[type, ...] = (object,)
    hears_of_sources: bool = False

    def __init__(self, out: FanOut[B]) -> None:
        self.out = out

    def on_item(self, item: A, /) -> Iterable[B]:
        """Say what an item becomes: any number of items, as a list, a tuple or a generator. By default, itself.

        An exception fails the stream, behind what a generator gave before it.
        """
        return [cast("B", item)]

    def on_failure(self, error: Exception, /) -> Iterable[B]:
        """Say what comes before an error, of the source or of this operation. Raise another one to replace it."""
        del error
        return ()

    def on_end(self) -> Iterable[B]:
        """Say what comes before the end."""
        return ()

    def on_dispose(self) -> None:
        """Release what is held: the subscription is over, in whatever way. Called in the thread that disposes."""

    def on_source(self, flow: FlowControl, /) -> None:
        """Hear of a source of ours that starts above: it may bring nothing for long."""

    def finish(self, error: Exception | None = None) -> None:
        """End behind what is returned now, and take no more items; from within ``on_item``. ``on_end`` is not asked."""
        self._final = (error,)

    # From here on: the observer that the source sees. Only an operator that is to be fast overrides ``on_batch``.

    _final: tuple[Exception | None] | None = None
    _disposed = False

    def on_next(self, value: A) -> None:
        if self.out.ended:
            return
        self.out.producer = current()
        try:
            found: Any = self.on_item(value)
        except Exception as error:
            self.on_error(self.explained(error, (value,)))
            return
        if found:
            if found.__class__ is list:
                self.out.expand(found)
            else:
                self._give(found)
        if self._final is not None:
            self._end_early(self._final)

    def on_batch(self, items: Sequence[A]) -> int:
        out, process = self.out, self.on_item
        if out.ended:
            return 0
        out.producer = flow = current()
        count = 0
        for count, item in enumerate(items, 1):  # noqa: B007 - it is returned
            try:
                found: Any = process(item)
            except Exception as error:
                self.on_error(self.explained(error, (item,)))
                break
            if found:
                if found.__class__ is list:
                    out.expand(found)
                else:
                    self._give(found)
            if self._left or self._final is not None or (flow is not None and flow.paused):
                break
        if self._final is not None:
            self._end_early(self._final)
        return count

    def emit_together(self, found: Iterable[B], items: Sequence[A] = ()) -> None:
        """Emit what the items of a batch became, all at once: for an ``on_batch`` of your own that is to be fast.

        What is more than the consumer takes waits here.

        Args:
            found: What they became.
            items: The items, for the error about one of a class that the operator does not take.
        """
        self.out.producer = current()
        self._give(found, items)
        if self._final is not None:
            self._end_early(self._final)

    def explained(self, error: Exception, items: Iterable[object]) -> Exception:
        """The error, or one that says which of the items is of a class that the operator does not take."""
        stranger = next((item for item in items if not isinstance(item, self.takes)), None)
        if stranger is None:
            return error
        failure = self._refusal(stranger)
        if failure.args == error.args:
            return error
        failure.__cause__ = error
        return failure

    def require(self, item: object) -> None:
        """Check that an item is of a class that the operator takes, where others would do without an error.

        Raises:
            TypeError: It is not, and what to do about it.
        """
        if not isinstance(item, self.takes):
            raise self._refusal(item)

    def _refusal(self, stranger: object) -> TypeError:
        names = " or ".join(each.__name__ for each in self.takes)
        advice = f": {found}" if (found := self._advice(type(stranger))) else ""
        return TypeError(f"{self.called}() takes {names} and got {type(stranger).__name__}{advice}")

    def _advice(self, kind: type) -> str:
        """What to do about items of a class that is not taken. The classes say what makes them, and of what."""
        maker = getattr(kind, "made_by", None)
        if maker == self.called:
            return f"that has been done already, leave this {maker}() out"
        for taken in self.takes:
            if advice := getattr(taken, "made_of", _NOTHING).get(kind.__name__):
                return str(advice)
        return "" if maker is None else f"put it before {maker}()"

    def on_error(self, error: Exception) -> None:
        if self.out.ended:
            return
        found: Sequence[B] = ()
        try:
            found, failure = _gathered(self.on_failure(error))
            error = failure or error
        except Exception as replaced:
            error = replaced
        self.out.end(error, found)
        del error  # whose traceback may keep this frame: a circle for the garbage collector

    def on_completed(self) -> None:
        if self.out.ended:
            return
        try:
            found, failure = _gathered(self.on_end())
        except Exception as error:
            self.on_error(error)
            return
        if failure is None:
            self.out.end(None, found)
            return
        self.out.emit(found)
        self.on_error(failure)

    def dispose(self) -> None:
        self.leave()
        if not self._disposed:
            self._disposed = True
            self.out.dispose()
            self.on_dispose()

    def _end_early(self, final: tuple[Exception | None]) -> None:
        # An error keeps its traceback, and that what raised it: a circle for the garbage collector.
        self._final = None
        self.out.end(*final, early=True)

    def _give(self, found: Any, items: Sequence[A] = ()) -> None:
        """Emit what an item became, or all of a batch, up to an error."""
        gathered, failure = _gathered(found)
        if gathered:
            self.out.expand(gathered)
        if failure is not None:
            self.on_error(self.explained(failure, items))


class Folder(Protocol[A_contra, B_co]):
    """A fold without Rx, for ``Fold``."""

    def add(self, item: A_contra, /) -> Iterable[B_co]:
        """Take an item; give what it makes known."""
        ...

    def close(self) -> Iterable[B_co]:
        """Take note of the end; give what that makes known."""
        ...

    def partial(self) -> object:
        """What there is so far, for ``error.gathered``."""
        ...


class Fold(Operation[A, B]):
    """An operation that leaves everything to a fold.

    Args:
        out: The way out.
        make: Makes the fold.
        called: What the operator is called, for errors.
        takes: The classes of the items that it takes, for errors.
    """

    def __init__(
        self,
        out: FanOut[B],
        make: Callable[[], Folder[A, B]],
        *,
        called: str = "an operator",
        takes: tuple[type, ...] = (object,),
    ) -> None:
        super().__init__(out)
        self._fold = make()
        self.called = called
        self.takes = takes

    def on_item(self, item: A, /) -> Iterable[B]:
        return self._fold.add(item)

    def on_end(self) -> Iterable[B]:
        # What was stopped is not whole: nothing of that can be told.
        return () if stopping() else self._fold.close()

    def on_failure(self, error: Exception, /) -> Iterable[B]:
        return attach_gathered(error, self._fold.partial)


def _gathered(found: Iterable[B]) -> tuple[Sequence[B], Exception | None]:
    """What is found, up to an error."""
    if type(found) in {list, tuple}:
        return cast("Sequence[B]", found), None
    gathered: list[B] = []
    try:
        gathered.extend(found)
    except Exception as error:
        return gathered, error
    return gathered, None


def operate(
    make: Callable[Concatenate[FanOut[B], P], Operation[A, B]], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Observable[A]], Stream[B]]:
    """Make an operator of what it does in one subscription.

    Args:
        make: Makes the operation, a subclass of ``Operation`` as a rule: called for each subscription with the way out
            and the arguments.
        *args: More arguments of ``make``.
        **kwargs: The same, by name.

    Returns:
        A function from one observable to a ``Stream``, for ``pipe``.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm.flow import Operation, operate
        >>> class Shout(Operation[str, str]):
        ...     def on_item(self, item):
        ...         return [item.upper()]
        >>> rxllm.run(reactivex.of("hello").pipe(operate(Shout)))
        'HELLO'
    """
    return lambda source: Stream(_begin, source, make, args, kwargs)


def _begin(  # noqa: PLR0917 - a stream passes them on
    observer: abc.ObserverBase[B],
    scheduler: abc.SchedulerBase | None,
    source: Observable[A],
    make: Callable[..., Operation[A, B]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> abc.DisposableBase:
    who = watcher()
    if who is None:
        return _connect(source, make(FanOut(observer, scheduler), *args, **kwargs), scheduler)
    operation = make(FanOut(who.overheard(observer), scheduler), *args, **kwargs)
    with watched(who, operation):
        return _connect(source, operation, scheduler)


def _connect(
    source: Observable[A], operation: Operation[A, B], scheduler: abc.SchedulerBase | None
) -> abc.DisposableBase:
    if not operation.hears_of_sources:
        return subscribe_to(source, operation, scheduler)
    with listening(operation):
        return subscribe_to(source, operation, scheduler)
