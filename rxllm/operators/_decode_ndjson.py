"""``decode_ndjson``."""

from __future__ import annotations

from collections.abc import Iterable

from rxllm.flow import FanOut, Operation, check_count, operate
from rxllm.typing import OperatorFunction
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES, NDJSONDecoder


def decode_ndjson(*, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> OperatorFunction[bytes, str]:
    r"""Decode the bytes of lines of JSON, for transports of your own (https://github.com/ndjson/ndjson-spec).

    ::

        source  --a-b-c---|
                decode_ndjson()
        result  ----x-y---(z|)

        a=b'{"n":' b=b'1}\r\n\n{"n"' c=b':2}\n{"n":3}'
        x='{"n":1}' y='{"n":2}' z='{"n":3}'

    Emits the text of each line as soon as its line end is there; the bytes may be split anywhere. While a consumer
    below holds a pause, the lines of one item of bytes wait here. Blank lines are skipped. A last line without a line
    end is emitted with the end, if it is a whole JSON text; otherwise it was cut, and is discarded.

    Args:
        max_event_bytes: The most bytes that one line may have.

    Returns:
        An operator from ``bytes`` to ``str``.

    Raises:
        LimitExceededError: As ``on_error``: a line is larger than ``max_event_bytes``. The lines before it were
            emitted.
        ValueError: At once: ``max_event_bytes`` is less than 1.
        TypeError: At once: ``max_event_bytes`` is not a whole number.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> rxllm.run(reactivex.of(b'{"done":', b'true}\n').pipe(ops.decode_ndjson()))
        '{"done":true}'

    See also:
        ``decode_sse``, ``rxllm.from_http``, ``parse``
    """
    check_count("max_event_bytes", max_event_bytes)
    return operate(_Decoder, max_event_bytes)


class _Decoder(Operation[bytes, str]):
    called = "decode_ndjson"
    takes = (bytes,)

    def __init__(self, out: FanOut[str], max_event_bytes: int) -> None:
        super().__init__(out)
        self._decoder = NDJSONDecoder(max_event_bytes=max_event_bytes)

    def on_item(self, item: bytes, /) -> Iterable[str]:
        return self._decoder.feed(item)

    def on_end(self) -> Iterable[str]:
        return self._decoder.close()
