"""``content``."""

from __future__ import annotations

from reactivex import Observable, abc

from rxllm.models import StreamChunk
from rxllm.typing import OperatorFunction

__all__ = ["content"]


def content() -> OperatorFunction[StreamChunk, str]:
    """Emit the text deltas of choice 0.

    ::

        source  --a-b-c-d-|
                content()
        result  --x-y-----|

        a=text_chunk("Hel") b=text_chunk("lo") c=text_chunk("other", choice=1) d=finish_chunk("stop")
        x="Hel" y="lo"

    Chunks without text, and those of other choices, give nothing. Emits at once; errors pass through.

    Returns:
        An operator from ``StreamChunk`` to ``str``; no item is empty.

    Example:
        >>> import reactivex, rxllm
        >>> from reactivex import operators as rx_ops
        >>> from rxllm import operators as ops
        >>> chunk = rxllm.StreamChunk.model_validate({"choices": [{"index": 0, "delta": {"content": "Hello"}}]})
        >>> rxllm.run(reactivex.of(chunk, chunk).pipe(ops.content(), rx_ops.to_list()))
        ['Hello', 'Hello']

    See also:
        ``accumulate``, ``tee_to_display``
    """

    def content_(source: Observable[StreamChunk]) -> Observable[str]:
        def subscribe(
            observer: abc.ObserverBase[str], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def on_next(chunk: StreamChunk) -> None:
                for choice in chunk.choices:
                    if choice.index == 0 and choice.delta.content:
                        observer.on_next(choice.delta.content)

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return content_
