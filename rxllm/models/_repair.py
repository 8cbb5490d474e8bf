"""What was put right in a stream."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

MAX_REPAIRS = 1000
"""How many repairs are kept of one stream."""

_MEANING = frozenset(
    {
        *("index-reused", "id-changed", "id-reused", "id-made-up"),
        *("name-repeated", "name-joined", "name-changed", "arguments-placeholder", "arguments-repeated"),
        *("usage-replaced", "finish-reason-replaced", "finish-reason-missing"),
    }
)


class Repair(NamedTuple):
    """One thing that a server sent in a wrong form, and that was read as it was meant.

    ``ChatCompletion.repairs`` has all repairs of an answer. Operators and accumulators with a parameter ``on_repair``
    call it with their own repairs; ``rxllm.dialects.OpenAIChat`` calls its ``on_repair`` with those of the dialect. The
    weight says how certain a repair is: ``form`` if only one reading was possible, ``meaning`` if another one was
    possible. With ``strict=True``, the first repair of weight ``meaning`` is a ``RepairError`` instead. Kinds:

    ==========================  =======  ==============================================================================
    ``index-made-up``           form     a tool call had no index; it has the next one
    ``index-reused``            meaning  a new call came at an index that was in use
    ``id-repeated``             form     a call's identifier came again after its first fragment
    ``id-changed``              meaning  a call's identifier changed on the way, or with each piece; the first one stays
    ``id-reused``               meaning  a new call had the identifier of another one; it gets one that is made up
    ``id-made-up``              meaning  a call had no identifier when it was finished
    ``name-repeated``           meaning  a function's name came again
    ``name-joined``             meaning  a function's name came in pieces
    ``name-changed``            meaning  a function's name changed after its arguments had begun; the first one stays
    ``blank-ignored``           form     an identifier or name was blank, which means absent
    ``arguments-serialized``    form     arguments came as an object instead of JSON text
    ``arguments-empty``         form     a call had no arguments when it was finished, or ``null``; they are ``{}``
    ``arguments-placeholder``   meaning  ``{}`` or ``null`` came, and then the arguments
    ``arguments-repeated``      meaning  a call's arguments came again
    ``arguments-decoded``       form     a call's arguments were encoded twice
    ``empty-fragment-ignored``  form     a fragment said nothing and belonged to no call
    ``usage-replaced``          meaning  a count of the usage was lower than before; the last counts
    ``finish-reason-replaced``  meaning  a reason for another end came; the last counts
    ``finish-reason-repeated``  form     another word for the same end came; the last counts
    ``finish-reason-missing``   meaning  the stream ended in good order, and a choice had no reason
    ``finish-reason-blank``     form     ``"null"`` or ``"None"`` was the reason, which means none; (dialect)
    ``cut-after-finish``        form     the connection was lost, or silent, after all choices had finished (``parse``)
    ``comment-as-data``         form     a comment of the event stream came as data; it is ignored (dialect)
    ``field-name-in-data``      form     data began with ``data:`` once more (dialect)
    ``type-converted``          form     a value of another type was read as what it stands for (dialect)
    ``parts-joined``            form     a text came in parts; they are kept beside it (dialect)
    ``set-aside``               form     a value that cannot be right is kept as ``<name>_original`` (dialect)
    ``message-as-delta``        form     a whole message came in the place of a delta (dialect)
    ``text-as-delta``           form     the text of a legacy completion came instead of deltas; noted once (dialect)
    ``answer-not-streamed``     form     the answer came as one JSON object, though a stream was asked for (dialect)
    ``event-passed-over``       form     an event was not a chunk, and no error; equal ones are noted once (dialect)
    ``lost-in-conversion``      form     what an earlier answer had that does not go to another provider (request)
    ==========================  =======  ==============================================================================

    Repairs of the dialect and of ``parse`` are also in ``StreamChunk.repairs``. Their ``position`` counts events, not
    chunks.

    Attributes:
        kind: What was wrong, one of a fixed set of words.
        position: The number of the item in the stream, counted from 0.
        before: What was sent.
        after: How it was read.
    """

    kind: str
    position: int
    before: Any
    after: Any

    @property
    def weight(self) -> Literal["form", "meaning"]:
        """How certain this kind of repair is: see the table."""
        return "meaning" if self.kind in _MEANING else "form"
