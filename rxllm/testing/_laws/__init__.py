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
    """Check that an operator keeps the laws of all operators.

    First the operator runs once over the items, one by one and without pauses. That result is taken as right: you have
    to test what the operator computes. Then it runs some hundred times more, in virtual time, and the items are
    compared by ``==``. An ordinary operator takes a tenth of a second. The laws:

    - *subscriptions*: The operator subscribes to its source when its result is subscribed to. Subscriptions are
      independent, and a second one gives the same items.
    - *batches*: The items and the end are the same for all ways to split the items into batches, before and after
      operators of ``reactivex`` and of rxllm, and for a consumer that pauses at each item.
    - *end*: When the source ends, the result ends, also if there was no item.
    - *end behind items*: With a slow source and a slow consumer, completion and errors come after all items.
    - *bound*: While a consumer holds a pause, it gets nothing, and the operator takes no more than ``holds`` items.
      After a source that cannot be paused, an operator that holds items fails with ``BufferOverflowError`` instead of
      holding more.
    - *pause released*: A subscription that is over holds no pause: other subscriptions to the same source go on.
    - *dispose*: Whenever the consumer leaves (before, within and between items, while it holds a pause, and after the
      end), the source is left, and no task, timer or thread remains. To dispose twice does the same as once.
    - *exceptions*: When the consumer raises, the stream ends, the source is left, and the consumer gets the error. If
      it raises at the end, the caller gets the error. When the source fails, or subscribing to it raises, the result
      ends with that error, or with an error caused by it.

    ``reactivex`` itself ensures that a consumer gets one end, and nothing after the end or after dispose.

    Args:
        make: Makes the operator. It is called for each run, within the event loop.
        items: The items of the source, in an order that makes sense for the operator: more than ``holds``; three to ten
            are enough.
        holds: How many more items the operator may take while its consumer holds a pause: the size of its buffer. For
            an operator that takes whole batches, this is one less than the number of items.
        timed: Whether the result depends on the times of the items, as in an operator that gathers the items of a
            second. Then items are compared only where no time passes.
        replaces_errors: Whether the operator may end in another way when its source fails, because it maps or catches
            errors.

    Raises:
        AssertionError: The operator breaks a law. The first line of the message says which law, and what happened.
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
