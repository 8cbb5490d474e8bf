"""A tool call under way: what fragments that are known to be its own add to it.

Rules:

1. Names and identifiers are sticky. A name that goes on before the arguments have begun came in pieces; what differs
   later is noted and dropped.
2. Nothing may come for a call that was given away but what says nothing new, as its arguments once more.
3. Of the fields of a provider the first value that is not null counts.
4. Whether the arguments have structurally closed is told by a scan that sees each character once, and only when the
   question comes up. If another value begins behind the first, as behind a placeholder, they are open again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.accumulators._new_tuple import new_tuple
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._size import check_fields, size_of
from rxllm.accumulators._text import Text
from rxllm.accumulators.calls._call_state import CallState
from rxllm.accumulators.calls._late_arguments import LateArguments
from rxllm.accumulators.calls._settled_arguments import REPEATED, Placeholders, settle
from rxllm.exceptions import ToolCallError
from rxllm.models import JSONEndFold, ToolCallDelta, rest_of

_VALUE_START = re.compile(r'\s*+(?=[{\["])')
_BEFORE_VALUE = frozenset(":,[")


@dataclass(slots=True, eq=False)
class GrowingCall:
    """A call under way.

    Attributes:
        emitted: Whether the call was given away as finished; nothing may come for it any more.
        began: In which item of the stream it began.
        named_again: Whether its name came once more, alone, after its arguments had closed.
        renamed: Whether a piece of it came under another identifier, with its name.
        noted: The call as ``state`` last said it, if nothing but its arguments has changed since.
        index: ``number`` of its ``CallState``, which describes the others.
    """

    choice: int
    serial: int
    index: int
    began: int
    answer: tuple[object, ...]
    id: str = ""
    is_second: bool = False
    name: str = ""
    type: str = ""
    text: Text = field(default_factory=Text)
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    function_extra: dict[str, Any] = field(default_factory=dict[str, Any])
    emitted: bool = False
    named_again: bool = False
    renamed: bool = False
    noted: CallState | None = None
    _late: LateArguments | None = None
    _scan: JSONEndFold = field(default_factory=JSONEndFold)
    _scanned: int = 0
    _placeholders: Placeholders = field(default_factory=Placeholders)
    _looked_to: int = 0
    # What the arguments came to when they had closed, if somebody asked.
    _whole: str | None = None

    @property
    def closed(self) -> bool:
        """Whether the arguments have structurally ended."""
        return self._scanned_to_the_end().closed

    @property
    def opened(self) -> bool:
        """Whether the arguments have begun and not ended. A word such as ``null`` has neither begun nor ended."""
        return self._scanned_to_the_end().opened

    @property
    def says_nothing(self) -> bool:
        """Whether there are no arguments so far, or what may be a placeholder."""
        return not self._looked_at().unsaid

    @property
    def is_blank(self) -> bool:
        """Whether there are no arguments so far."""
        return self._looked_at().is_blank

    def _looked_at(self) -> Placeholders:
        fragments = self.text.fragments
        if self._looked_to < len(fragments):
            self._placeholders.add("".join(fragments[self._looked_to :]))
            self._looked_to = len(fragments)
        return self._placeholders

    def repeats(self, arguments: str) -> bool:
        """Whether arguments are once more those of the call, which have closed."""
        if self._whole is None:
            self._whole = settle(self.text.read()).text
        both = settle(self._whole + arguments)
        return both.is_one and both.text == self._whole

    def _scanned_to_the_end(self) -> JSONEndFold:
        fragments = self.text.fragments
        for at in range(self._scanned, len(fragments)):
            fragment = fragments[at]
            end = self._scan.add(fragment)
            while self._scan.closed and (start := _VALUE_START.match(fragment, end)):
                self._scan = JSONEndFold()
                end = self._scan.add(fragment, start.end())
        self._scanned = len(fragments)
        return self._scan

    def takes(self, arguments: str) -> bool:
        """Whether arguments that are not blank may go on with those that are under way."""
        scan = self._scanned_to_the_end()
        if scan.in_string or not arguments.lstrip().startswith("{"):
            return not scan.closed
        # An object can only begin where a value is expected.
        before = next((each.rstrip()[-1] for each in reversed(self.text.fragments) if each.strip()), ":")
        return not scan.closed and before in _BEFORE_VALUE

    @property
    def state(self) -> CallState:
        """The call as it is now; the same object until it changes."""
        if self.noted is None or self.noted.length != len(self.text.fragments):
            said = (self.choice, self.serial, self.index, self.answer, self.id, self.is_second, self.name, self.type)
            grown = (self.text, len(self.text.fragments), self.extra, self.function_extra)
            self.noted = new_tuple(CallState, said + grown)
        return self.noted

    def add(self, arguments: str, log: RepairLog) -> None:
        """Add a fragment of the arguments."""
        if self.emitted and (arguments.strip() or self._late is not None):
            self._repeat(arguments, log)
        elif arguments:
            self.text.fragments.append(arguments)

    def _repeat(self, arguments: str, log: RepairLog) -> None:
        """Take arguments that came after the call was given away: only the same ones once more are no error."""
        if self._late is None:
            self._late = LateArguments(self.repeats)
        if not self._late.add(arguments):
            raise self._too_late("arguments", arguments)
        log.add(REPEATED, (self.choice, self.serial), arguments, self.text.read())

    def check_late(self) -> None:
        """Check that what came after the call was given away was nothing new.

        Raises:
            ToolCallError: It was not.
        """
        if self._late is not None and (text := self._late.text):
            raise self._too_late("arguments", text)

    def describe(self, call_id: str, name: str, fragment: ToolCallDelta, log: RepairLog) -> int:
        """Add what a fragment says of the call besides its arguments; returns how many characters that were."""
        self.noted = None
        before = (self.id, self.name, self.extra, self.function_extra)
        if call_id:
            self._identify(call_id, log)
        if name:
            self._name(name, log)
        if fragment.type and not self.type:
            self.type = fragment.type
        self.extra = _keep_first(self.extra, rest_of(fragment))
        if fragment.function is not None:
            self.function_extra = _keep_first(self.function_extra, fragment.function.model_extra)
        after = (self.id, self.name, self.extra, self.function_extra)
        return sum(size_of(new) - size_of(old) for new, old in zip(after, before, strict=True) if new is not old)

    def _identify(self, call_id: str, log: RepairLog) -> None:
        if not self.id:
            if self.emitted:
                raise self._too_late("an identifier", call_id)
            self.id = call_id
        elif call_id == self.id:
            log.add("id-repeated", (self.choice, self.serial), call_id, None)
        else:
            log.add("id-changed", (self.choice, self.serial), call_id, self.id)

    def _name(self, name: str, log: RepairLog) -> None:
        subject = (self.choice, self.serial)
        if not self.name:
            self.name = name
        elif name == self.name:
            log.add("name-repeated", subject, name, None)
        elif self.emitted:
            raise self._too_late("a name", name)
        elif self.text.fragments:
            log.add("name-changed", subject, name, self.name)
        else:
            joined = name if name.startswith(self.name) else self.name + name
            log.add("name-joined", subject, name, joined)
            self.name = joined

    def _too_late(self, what: str, text: str) -> ToolCallError:
        return self.state.error(f"{what} for {self.name!r} came after the call was complete", text)


def _keep_first(kept: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Add what is new. A new dictionary: states hold on to the old one."""
    new = {name: value for name, value in more.items() if name not in kept}
    if not new:
        return kept
    check_fields(len(kept) + len(new))
    return {**kept, **new}
