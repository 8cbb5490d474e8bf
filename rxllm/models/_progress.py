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
"""The path of a value in a JSON text: names of members and numbers of elements, from the outside in."""


class JSONChange(NamedTuple):
    """One change of a growing JSON text: a string gained a piece, or a value is complete.

    The pieces of a string, joined, are its value. The complete value of a string comes after its pieces; that of an
    object or an array comes after its elements.

    Attributes:
        path: The path of the value; ``()`` is the whole text.
        delta: What a string gained, escapes decoded; ``""`` if ``complete``.
        value: The value, if ``complete``. It is shared: do not change it.
        complete: Whether this is a complete value.
    """

    path: JSONKeys
    delta: str = ""
    value: Any = None
    complete: bool = False


class JSONPathMatch(NamedTuple):
    """A change of a value at one of the paths: see ``JSONChange``.

    Attributes:
        pattern: The path that was asked for, ``edits[*].text`` for example.
        path: The path of this value, ``("edits", 0, "text")`` for example.
        delta: What a string gained, escapes decoded; ``""`` if ``complete``.
        value: The value, if ``complete``. It is shared: do not change it.
        complete: Whether this is a complete value.
        choice: The index of the choice.
        call: The index of the tool call; ``None`` in the content.
        name: The name of the function; ``None`` in the content, and until it has arrived.
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
    """A tool call as it was after one fragment of it. It does not change later."""

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
        """What this fragment changed in the arguments, in order."""
        if self._changes is None:
            self._changes = (self._value.change(self._text),)
        return self._changes

    @property
    def choice(self) -> int:
        """The index of the choice."""
        return self._state.choice

    @property
    def index(self) -> int:
        """The index of the call among the calls of its choice; made up if the server sent none."""
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

        A string that is not complete is there as far as it has come. A number, ``true``, ``false`` or ``null`` is there
        when it is complete. The value is put together when you read this property; that costs time in the size of the
        open containers and the open string. Complete values are shared by all items of a call: do not change them.
        """
        return self._value.read({}, self._text)

    @property
    def closed(self) -> bool:
        """Whether the JSON of the arguments is closed. The call may still not be executed."""
        return self._value.closed

    @property
    def call(self) -> IncompleteToolCall:
        """The call so far, with the text of its arguments and the other fields that a provider sent."""
        return self._state.incomplete(self._arguments)

    def __repr__(self) -> str:
        return (
            f"ToolCallProgress(choice={self.choice}, index={self.index}, id={self.id!r}, name={self.name!r}, "
            f"arguments={self.arguments!r})"
        )
