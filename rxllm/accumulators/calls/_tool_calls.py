"""Which call a fragment belongs to.

Servers number the calls of a choice wrongly, twice or not at all. A fragment is placed by these rules:

1. An identifier or a name that is blank is absent.
2. A known identifier goes to its call; unless it comes with another name, or at another index with a name and with
   arguments that do not go on with those of the call: then the server gives several calls one identifier.
3. A new identifier together with a name starts a call, even at an index in use; unless the call there still lacks
   both, or lacks the identifier and has the same name: then it is that call's. So it is if the call there has the same
   name, and its arguments are open or have not begun: then the server gives each piece an identifier of its own.
4. An index without an identifier continues the call that is open there, unless that call's arguments have
   structurally closed and a name arrives: that starts a new one. If it is the same name without arguments, only the
   arguments that follow tell: until then it is a repetition. So are the same arguments, if the call has an
   identifier.
5. With neither, the fragment goes to the only call whose arguments are structurally open, or to the last one if those
   may be a placeholder. If there are several, that is an ambiguity, and an error. A name that is not the open call's
   starts a call if no arguments are under way.
6. Two names before any arguments are one that came in pieces, unless both came in one chunk: then they are two calls.

Nothing is allocated by index.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.calls._call_state import CallState
from rxllm.accumulators.calls._fragments import is_another, name_to_come, text_of_arguments, with_custom_as_function
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.accumulators.calls._settled_arguments import says_nothing
from rxllm.exceptions import LimitExceededError, ToolCallError, excerpt
from rxllm.models import ToolCallDelta

MAX_TOOL_CALLS = 1024
"""How many calls a choice may have by default."""

# As many are known again; a server that gives each piece another may send any number.
_IDS_PER_CALL = 4


@dataclass(slots=True, eq=False)
class ToolCallFold:
    """The calls of one choice.

    Args:
        choice: The index of the choice.
        log: Where repairs are noted.
        max_tool_calls: How many calls there may be.
        answer: What is known of the answer that it is in: see ``answer_of``.

    Attributes:
        added: How many characters the last fragment added, with all that it said of its call.
        calls: The calls, in the order in which they began.
        last: The call that the last fragment went to.
        piece: The arguments of the last fragment.
    """

    choice: int
    log: RepairLog
    max_tool_calls: int
    answer: tuple[object, ...]
    added: int = 0
    calls: list[GrowingCall] = field(default_factory=list[GrowingCall])
    last: GrowingCall | None = None
    piece: str = ""
    _by_id: dict[str, GrowingCall] = field(default_factory=dict[str, GrowingCall])
    _by_index: dict[int, GrowingCall] = field(default_factory=dict[int, GrowingCall])
    # By an index that is not in use: the name that came there without arguments, and the call that has its identifier.
    _announced: dict[int, tuple[GrowingCall, str]] = field(default_factory=dict[int, tuple[GrowingCall, str]])
    _next_index: int = 0
    # Those whose arguments have not closed, and some that have.
    _open: dict[GrowingCall, None] = field(default_factory=dict[GrowingCall, None])
    # The calls that changed since their states were asked for, but for the last.
    _touched: set[GrowingCall] = field(default_factory=set[GrowingCall])
    _states: list[CallState] = field(default_factory=list[CallState])
    _ranks: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, fragment: ToolCallDelta) -> GrowingCall | None:
        """Place a fragment.

        Args:
            fragment: One element of ``delta.tool_calls``.

        Returns:
            The call that it went to; ``None`` if it said nothing and belongs to none.

        Raises:
            ToolCallError: It fits nowhere, or comes for a call that was given away.
            LimitExceededError: There are too many calls.
        """
        # Nearly all fragments are a piece of the arguments of the call at their index, and say nothing else.
        function = fragment.function
        if (
            function is not None
            and fragment.id is None
            and function.name is None
            and not fragment.type
            and fragment.extra_content is fragment.custom is fragment.extra is function.extra is None
        ):
            call = self._by_index.get(fragment.index)  # type: ignore[arg-type]  # None is not an index
            arguments = function.arguments
            if call is not None and type(arguments) is str and not call.named_again and not call.emitted:
                if call is not self.last:
                    self._touch(call)
                if arguments:
                    call.text.fragments.append(arguments)
                self.piece = arguments
                self.added = len(arguments)
                return call
        return self._add(fragment)

    def _add(self, fragment: ToolCallDelta) -> GrowingCall | None:
        """Place a fragment of whatever kind: see ``add``."""
        if fragment.function is None and fragment.custom is not None:
            fragment = with_custom_as_function(fragment, fragment.custom)
        function = fragment.function
        name = "" if function is None else self._unless_blank("name", function.name)
        call_id = self._unless_blank("id", fragment.id)
        arguments = "" if function is None else text_of_arguments(function.arguments, self.choice, self.log)
        self.added = 0
        call = self._place(fragment.index, call_id, name, arguments)
        self._touch(call)
        if call is None:
            self.log.add("empty-fragment-ignored", self.choice, fragment.index, None)
            return None
        self.added = call.describe(call_id, name, fragment, self.log)
        if call_id and len(self._by_id) < _IDS_PER_CALL * self.max_tool_calls:
            self._by_id.setdefault(call_id, call)
        call.add(arguments, self.log)
        self.piece = arguments
        self.added += len(arguments)
        return call

    def _touch(self, call: GrowingCall | None) -> None:
        """Note which call changes: the last one may go on changing without a word."""
        if self.last is not None:
            self._touched.add(self.last)
        self.last = call
        if call is not None:
            self._open[call] = None

    def states(self) -> tuple[CallState, ...]:
        """The calls as they are now, in order of their index; costs what changed since the last time."""
        if len(self._states) != len(self.calls):
            ordered = self.ordered()
            self._states = [call.state for call in ordered]
            self._ranks = {call.serial: rank for rank, call in enumerate(ordered)}
        else:
            if self.last is not None:
                self._touched.add(self.last)
            for call in self._touched:
                self._states[self._ranks[call.serial]] = call.state
        self._touched.clear()
        return tuple(self._states)

    def ordered(self) -> list[GrowingCall]:
        """The calls in order of their index."""
        return sorted(self.calls, key=lambda call: call.index)

    def left(self) -> list[GrowingCall]:
        """Those that were not given away."""
        return [call for call in self.ordered() if not call.emitted]

    def _unless_blank(self, field: str, value: str | None) -> str:
        if value is None:
            return ""
        if not value.strip():
            self.log.add("blank-ignored", (self.choice, field), value, None)
            return ""
        return value

    def _place(self, index: int | None, call_id: str, name: str, arguments: str) -> GrowingCall | None:
        known = self._by_id.get(call_id)
        if known is not None:
            return self._place_by_id(known, index, name, arguments)
        if index is None:
            if call_id and name:
                return self._begin(None)
            return self._place_by_openness(call_id, name, arguments)
        there = self._by_index.get(index)
        if there is None:
            return self._begin_there(index, call_id, name, arguments)
        if self._is_renamed(there, call_id, name, arguments):
            there.renamed = True
        elif is_another(there, call_id, name, arguments) or self._is_beside(there, call_id, name):
            return self._begin(index, "" if name else name_to_come(there))
        return self._noted(there, name, arguments)

    def _begin_there(self, index: int, call_id: str, name: str, arguments: str) -> GrowingCall | None:
        """Begin a call at an index that is not in use, if a fragment says anything."""
        if index in self._announced and arguments.strip() and not (call_id or name):
            first, name = self._announced.pop(index)
            second = self._begin_second(first, index, name)
            second.id = first.id
            return second
        # Some servers end a list of calls with an empty element.
        return self._begin(index) if call_id or name or arguments.strip() else None

    def _is_renamed(self, there: GrowingCall, call_id: str, name: str, arguments: str) -> bool:
        """Whether a fragment with a new identifier and a name goes on with the call at its index: see rule 3."""
        if not (call_id and there.id) or name != there.name:
            return False
        if there.opened and arguments.strip():
            return there.takes(arguments)
        if there.opened or there.is_blank:
            return there.began != self.log.position
        return there.renamed and not arguments.strip()

    def _is_beside(self, there: GrowingCall, call_id: str, name: str) -> bool:
        """Whether a name is another than that of a call without arguments, and came in the same chunk."""
        return (
            there.began == self.log.position
            and not (call_id or there.id or there.text.fragments)
            and bool(name and there.name)
            and name != there.name
        )

    def _noted(self, call: GrowingCall, name: str, arguments: str) -> GrowingCall:
        """Note that a name was repeated after the arguments had closed: arguments that follow are another call's."""
        if name and name == call.name and not arguments.strip() and call.closed:
            call.named_again = True
        return call

    def _place_by_id(self, known: GrowingCall, index: int | None, name: str, arguments: str) -> GrowingCall:
        there = None if index is None else self._by_index.get(index)
        call = there if there is not None and there.id == known.id else known
        if index is None or index == call.index:
            is_second = name not in ("", call.name) and call.closed and bool(call.name and arguments.strip())
            return self._begin_second(call, index) if is_second else call
        _, announced = self._announced.get(index, (call, ""))
        goes_on = not arguments.strip() or call.takes(arguments)
        if (name or announced) and not goes_on:
            return self._begin_second(call, index, "" if name else announced)
        if there is None and name not in ("", call.name) and call.name:
            return self._begin_second(call, index)
        if name and call.closed and there is None:
            # Whether it is the name of another call, or once more that of this one, the arguments that follow tell.
            self._announced[index] = call, name
        return call

    def _begin_second(self, first: GrowingCall, index: int | None, name: str = "") -> GrowingCall:
        """Begin a call that has the identifier of another one."""
        self.log.add("id-reused", (self.choice, len(self.calls)), first.id, None)
        second = self._by_id[first.id] = self._begin(index, name)
        second.is_second = True
        return second

    def _place_by_openness(self, call_id: str, name: str, arguments: str) -> GrowingCall | None:
        if not (call_id or name or arguments):
            return None
        # The last one may go on without being placed anew.
        self._open = {call: None for call in self._open if call is self.last or not call.closed}
        under_way = [call for call in self._open if not call.closed]
        if name and all(self._is_other_name(call, name) for call in under_way):
            return (None if under_way else self._last_named(name, arguments)) or self._begin(None)
        if len(under_way) == 1 and (not name or under_way[0].name in ("", name)):
            return under_way[0]
        if not (under_way or call_id or name or arguments.strip()):
            return None
        if not under_way and (call := self._place_behind_the_last(call_id, arguments)) is not None:
            return call
        raise ToolCallError(
            f"a fragment of a tool call has no index and no known identifier, and {len(under_way)} calls are "
            f"open: {excerpt(arguments or name or call_id)}",
            choice=self.choice,
            call_id=call_id or None,
            text=arguments,
        )

    def _place_behind_the_last(self, call_id: str, arguments: str) -> GrowingCall | None:
        """Place what has no index and no name where no call is open; ``None`` if it fits nowhere."""
        if call_id or not self.calls:
            return self._begin(None)
        last = self.calls[-1]
        if again := name_to_come(last):
            return self._begin(None, again)
        # Where what came may have been a placeholder, these are the arguments that it stands for.
        return last if last.says_nothing and not says_nothing(arguments) else None

    def _last_named(self, name: str, arguments: str) -> GrowingCall | None:
        """The last call, if all that a fragment says is once more the name of it."""
        if arguments.strip() or not self.calls:
            return None
        last = self.calls[-1]
        if last.name != name or last.began == self.log.position:
            return None
        return self._noted(last, name, arguments)

    def _is_other_name(self, call: GrowingCall, name: str) -> bool:
        """Whether a name without index cannot be meant for a call: the call has another, or is as new as the name."""
        if call.text.fragments:
            return False
        return bool(call.name) and (call.name != name or call.began == self.log.position)

    def _begin(self, index: int | None, name: str = "") -> GrowingCall:
        """Begin a call, whose name may have come already."""
        most = self.max_tool_calls
        if len(self.calls) >= most:
            raise LimitExceededError(
                f"choice {self.choice} has more than {most} tool calls", limit="max_tool_calls", maximum=most
            )
        serial = len(self.calls)
        if index is None:
            index = self._next_index
            self.log.add("index-made-up", (self.choice, serial), None, index)
        elif index in self._by_index:
            self.log.add("index-reused", (self.choice, serial), index, None)
        call = GrowingCall(self.choice, serial, index, self.log.position, self.answer)
        call.name = name
        self._next_index = max(self._next_index, index + 1)
        self._by_index[index] = call
        self.calls.append(call)
        return call
