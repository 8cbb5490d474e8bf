"""``json_path``."""

from __future__ import annotations

from typing import Literal

from rxllm.accumulators import JSONPathAccumulator
from rxllm.flow import Fold, check_kind, operate
from rxllm.models import JSONPathMatch, StreamChunk
from rxllm.typing import OperatorFunction


def json_path(
    *paths: str, of: Literal["arguments", "content"] = "arguments", text_around: bool = False
) -> OperatorFunction[StreamChunk, JSONPathMatch]:
    r"""Emit the values at given paths of the JSON in tool arguments or content, while they grow.

    ::

        source  --a-b---c---|
                json_path("edits[*].text") | rx_ops.map(lambda match: match.value if match.complete else match.delta)
        result  --x-(yz)----|

        a=tool_chunk('{"edits":[{"text":"Hel', id="1", name="edit") b=tool_chunk('lo"}]}') c=finish_chunk("tool_calls")
        x="Hel" y="lo" z="Hello"

    A string gives its pieces as they come, with escapes decoded, and then its value. Any other value comes when it is
    complete. The text is scanned once for all paths. Emits at once; while a consumer below holds a pause, the items of
    one chunk wait here. The end of the answer is not checked: a value that was cut gives no complete item, and no
    error. Errors pass through.

    Args:
        paths: The paths to look for, in a subset of JSONPath (RFC 9535): names, numbers of elements and ``*``.
            Examples: ``edits[*].text``, ``$['edits'][0].line``; ``$`` is the whole JSON.
        of: Where to look: ``"arguments"`` for the arguments of all tool calls (each item names its function),
            ``"content"`` for the content. Choices and calls are kept apart.
        text_around: Whether there may be text around the JSON in the content. The JSON then begins at the first ``{``,
            or at the first ``[`` if the first path begins with an element. Text after its end is ignored.

    Returns:
        An operator from ``StreamChunk`` to ``JSONPathMatch``.

    Raises:
        ValueError: At once: a path has a mistake, or no path is given.
        TypeError: At once: a path is not a ``str``.
        DecodeError: As ``on_error``: the content is not JSON.
        ToolCallError: As ``on_error``: a fragment belongs to no call, or arguments cannot become a JSON object any
            more.
        LimitExceededError: As ``on_error``: the JSON is too long or nested too deeply, or there are too many calls.

    Example:
        >>> import reactivex, rxllm
        >>> from reactivex import operators as rx_ops
        >>> from rxllm import operators as ops
        >>> texts = '{"items":[{"name":"sa', 'lt"},{"name":"oil"}]}'
        >>> chunks = [rxllm.StreamChunk.from_wire({"choices": [{"delta": {"content": text}}]}) for text in texts]
        >>> names = reactivex.of(*chunks).pipe(
        ...     ops.json_path("items[*].name", of="content"), rx_ops.filter(lambda match: match.complete)
        ... )
        >>> [(match.path, match.value) for match in rxllm.run(names.pipe(rx_ops.to_list()))]
        [(('items', 0, 'name'), 'salt'), (('items', 1, 'name'), 'oil')]

    See also:
        ``tool_call_progress``, ``parse_structured``
    """
    for path in paths:
        check_kind("a path", path, str, "write json_path('a', 'b[*].c')")
    JSONPathAccumulator(paths, of=of, text_around=text_around)  # a wrong argument is reported where it stands

    return operate(
        Fold,
        lambda: JSONPathAccumulator(paths, of=of, text_around=text_around),
        called="json_path",
        takes=(StreamChunk,),
    )
