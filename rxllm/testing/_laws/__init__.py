"""What every operator keeps to, checked in virtual time.

``_players`` has the source and the consumer of a run, ``_runs`` the run, ``_rules`` the laws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reactivex import Observable

from rxllm.testing._laws._rules import LAWS, Subject

__all__ = ["check_operator"]


def check_operator(
    make: Callable[[], Callable[[Observable[Any]], Observable[Any]]],
    items: Sequence[Any],
    *,
    holds: int = 0,
    timed: bool = False,
    replaces_errors: bool = False,
) -> None:
    """Check that an operator keeps the laws that all operators keep.

    It runs the operator once over the items, one by one and without pauses. That is taken as right: what the operator
    is for, a test of yours has to show. Then it runs it some hundred times more, in virtual time, and compares items by
    ``==``. An ordinary operator takes a tenth of a second. The laws:

    - *subscriptions*: The operator subscribes to its source when somebody subscribes to the result. Subscriptions know
      nothing of each other, and a second one gives the same.
    - *batches*: The items and the end are the same however the items come together, behind and in front of operators of
      ``reactivex`` and of rxllm, and for a consumer that pauses at each item.
    - *end*: When the source ends the result ends, also when there was no item.
    - *end behind items*: With a slow source and a slow consumer, completion and errors come behind all items.
    - *bound*: While a consumer holds a pause it gets nothing, and the operator takes no more than ``holds`` items.
      Behind a source that cannot be paused, an operator that holds items fails with ``BufferOverflowError`` rather than
      hold more.
    - *pause released*: A subscription that is over holds no pause: others over the same source go on.
    - *dispose*: Whenever the consumer leaves, before, within and between items, while it holds a pause and after the
      end, the source is left, and no task, timer or thread stays behind. Twice is once.
    - *exceptions*: When the consumer raises, the stream ends, the source is left, and the consumer is told. If it
      raises at the end, the caller is. When the source fails, or subscribing to it raises, the result ends with that
      error, or with one that it caused.

    ``reactivex`` itself sees to it that a consumer gets one end and nothing after it or after dispose.

    Args:
        make: Makes the operator: called for each run, within the event loop.
        items: What the source delivers, in an order that the operator can do something with: more than ``holds``, and
            three to ten are enough.
        holds: How many further items the operator may take while its consumer holds a pause: the size of its buffer. An
            operator that takes a batch whole and lets the rest wait needs one less than there are items.
        timed: Whether its items depend on when those of the source come, as if it gathers what comes in a second. Then
            items are compared only where no time passes.
        replaces_errors: Whether it may end otherwise when its source fails: it maps errors, or goes on without them.

    Raises:
        AssertionError: The operator breaks a law. The first line says which one and what happened.
        VirtualTimeError: An event loop runs in this thread already.

    Example:
        >>> import rxllm
        >>> from rxllm.flow import Operation, operate
        >>> from rxllm.testing import check_operator
        >>> class Words(Operation[str, str]):
        ...     begun = ""
        ...     def on_item(self, text):
        ...         *words, self.begun = (self.begun + text).split(" ")
        ...         return words
        ...     def on_end(self):
        ...         return [self.begun]
        >>> check_operator(lambda: operate(Words), ["a b", "c d e ", "f", "g h"])

        The same as a plain function. It emits several items without looking whether somebody pauses:

        >>> from reactivex import operators as rx_ops
        >>> def words():
        ...     return rx_ops.flat_map(lambda text: text.split(" "))
        >>> check_operator(words, ["a b", "c d e ", "f", "g h"])
        Traceback (most recent call last):
        AssertionError: bound: while the consumer held a pause at item 1, 1 more items came
          the source: ['a b'] ['c d e '] ['f'] ['g h'] completed

    See also:
        ``Marbles``, ``check_marbles``, ``leak_check``
    """
    subject = Subject.of(make, items, holds=holds, timed=timed, replaces_errors=replaces_errors)
    for law in LAWS:
        law(subject)
