"""What is known of JSON and of calls while they grow.

Nothing here can be executed: a ``ToolCallProgress`` has no ``ToolCall`` in it, however whole its arguments look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from rxllm.models._message import IncompleteToolCall

if TYPE_CHECKING:
    # They are made there, and only read here.
    from rxllm.accumulators import CallState, JSONSnapshot

JSONKeys: TypeAlias = tuple[str | int, ...]
"""Where a value is in a JSON text: names of members and numbers of elements, from the outside."""


class JSONChange(NamedTuple):
    """One thing that a growing JSON text gained: a piece of a string, or a value that is complete now.

    The pieces of a string, put end to end, are its value; that comes after them, and so does a value after those
    that it is made of.

    Attributes:
        path: Which value; ``()`` is the whole text.
        delta: What a string gained, escapes decoded; ``""`` if ``complete``.
        value: The value, if ``complete``. It belongs to the fold: not to be changed.
        complete: Whether this is a complete value.
    """

    path: JSONKeys
    delta: str = ""
    value: Any = None
    complete: bool = False


class JSONPathMatch(NamedTuple):
    """What a value under a path gained: see ``JSONChange``.

    Attributes:
        pattern: Which of the paths asked for.
        path: Where the value is, ``("edits", 0, "text")`` for ``edits[*].text``.
        delta: What a string gained, escapes decoded; ``""`` if ``complete``.
        value: The value, if ``complete``; not to be changed.
        complete: Whether this is a complete value.
        choice: The index of the choice.
        call: The index of the tool call; ``None`` in the content.
        name: The name of the function; ``None`` in the content, and as long as it has not arrived.
    """

    pattern: str
    path: JSONKeys
    delta: str
    value: Any
    complete: bool
    choice: int
    call: int | None = None
    name: str | None = None


class ToolCallProgress:
    """A tool call as far as it had come with one fragment. It does not change any more."""

    # The state and the value may be those of an earlier fragment, if only texts have grown since: then what is noted
    # anew is how many fragments these had. A fragment takes 0.4 µs so, its scan included. With a state, a value and a
    # change made for each it took 1.1.
    __slots__ = ("_arguments", "_changes", "_state", "_text", "_value")

    def __init__(
        self, state: CallState, arguments: int, value: JSONSnapshot, text: int, changes: tuple[JSONChange, ...] | None
    ) -> None:
        """Note the progress of a call.

        Args:
            state: The call.
            arguments: How many fragments its arguments had.
            value: What they come to.
            text: How many fragments the string under way in it had.
            changes: What they gained; ``None`` if it is the last of these fragments.
        """
        self._state = state
        self._arguments = arguments
        self._value = value
        self._text = text
        self._changes = changes

    @property
    def changes(self) -> tuple[JSONChange, ...]:
        """What its arguments gained with this fragment, in order."""
        if self._changes is None:
            self._changes = (self._value.change(self._text),)
        return self._changes

    @property
    def choice(self) -> int:
        """The index of the choice."""
        return self._state.choice

    @property
    def index(self) -> int:
        """The index of the call among those of its choice, as the server gave it or as it was made up."""
        return self._state.number

    @property
    def id(self) -> str | None:
        """The identifier of the call, if that has arrived."""
        return self._state.id or None

    @property
    def name(self) -> str | None:
        """The name of the function, if that has arrived."""
        return self._state.name or None

    @property
    def arguments(self) -> Any:
        """The arguments so far, an object; of a custom tool, its input so far, a string.

        A string under way is there as far as it has come; a number or word is not until it is complete. Put together
        when it is read, which costs the size of the containers that are open and of the string under way. Values
        that are complete are shared between all progress of a call: not to be changed.
        """
        return self._value.read({}, self._text)

    @property
    def closed(self) -> bool:
        """Whether the arguments have structurally ended; that does not make the call executable."""
        return self._value.closed

    @property
    def call(self) -> IncompleteToolCall:
        """The call so far, with the text of its arguments and what else a provider sent."""
        return self._state.incomplete(self._arguments)

    def __repr__(self) -> str:
        return (
            f"ToolCallProgress(choice={self.choice}, index={self.index}, id={self.id!r}, name={self.name!r}, "
            f"arguments={self.arguments!r})"
        )
