"""What was put right in a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_REPAIRS = 1000
"""How many are kept of one stream."""


class Repair(NamedTuple):
    """One thing that a server sent wrong and that was read as it was meant.

    Repairs are on ``ChatCompletion.repairs``, and go to the ``on_repair`` of the folds and operators that take one;
    with ``strict=True`` the first is a ``RepairError`` instead. Kinds:

    ==========================  ==================================================================================
    ``index-made-up``           a tool call fragment had no index
    ``index-reused``            a new call came at an index that was in use
    ``id-repeated``             a call's identifier came again after its first fragment
    ``id-changed``              a call's identifier changed on the way; the first one stays
    ``id-reused``               a new call had the identifier of another one
    ``id-made-up``              a call had no identifier when it was finished
    ``name-repeated``           a function's name came again
    ``name-joined``             a function's name came in pieces
    ``name-changed``            a function's name changed after its arguments had begun; the first one stays
    ``blank-ignored``           an identifier or name was blank, which means absent
    ``arguments-serialized``    arguments came as an object instead of JSON text
    ``arguments-empty``         a call had no arguments when it was finished; they are ``{}``
    ``empty-fragment-ignored``  a fragment said nothing and belonged to no call
    ``usage-replaced``          usage came more than once; the last counts and nothing is added up
    ``finish-reason-replaced``  the reason for the end changed; the last counts
    ``comment-as-data``         a comment of the event stream came as data; it is ignored (dialect)
    ``field-name-in-data``      data began with ``data:`` once more (dialect)
    ``type-converted``          a value of another type was read as what it stands for (dialect)
    ``parts-joined``            a text came in parts; they are kept beside it (dialect)
    ``set-aside``               a value that cannot be right is kept as ``<name>_original`` (dialect)
    ``message-as-delta``        a whole message came in the place of a delta (dialect)
    ``text-as-delta``           the text of a legacy completion came in the place of deltas; noted once (dialect)
    ``answer-not-streamed``     the answer came as one JSON object, though a stream was asked for (dialect)
    ``event-passed-over``       an event was no chunk, and no error; equal ones are noted once (dialect)
    ==========================  ==================================================================================

    Those of the dialect are on the chunk, too (``StreamChunk.repairs``), and go to ``on_repair`` of
    ``rxllm.dialects.OpenAIChat``. They are about the form of what was sent, not about its meaning: ``strict=True``
    lets them pass. Their ``position`` counts events, not chunks.

    Attributes:
        kind: What was wrong, one of a fixed set of words.
        position: In which item of the stream, counted from 0.
        before: What was sent.
        after: What it was taken for.
    """

    kind: str
    position: int
    before: Any
    after: Any
