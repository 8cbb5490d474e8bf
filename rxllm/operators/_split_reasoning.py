"""``split_reasoning``."""

from __future__ import annotations

from operator import is_
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxllm.accumulators._tagged_text import Parted, TaggedText
from rxllm.flow import FlowControl
from rxllm.models import Delta, StreamChoice, StreamChunk
from rxllm.models._base import replaced
from rxllm.models._unread import Unread, unread
from rxllm.operators._emission import FanOut
from rxllm.typing import OperatorFunction

__all__ = ["split_reasoning"]


def split_reasoning(tag: str = "think", *, begins_inside: bool = False) -> OperatorFunction[StreamChunk, StreamChunk]:
    """Take reasoning that stands between tags out of the content, and put it where ``Delta.reasoning_text`` reads it.

    ::

        source  --a-b-c-d-|
                split_reasoning() | rx_ops.map(lambda chunk: chunk.choices[0].delta.model_dump(exclude_none=True))
        result  --v-w-x-y-|

        a=text_chunk("<thi") b=text_chunk("nk>Hm. A hard o") c=text_chunk("ne.</think>Yes.") d=finish_chunk()
        v={} w={"reasoning_content": "Hm. A hard o"} x={"content": "Yes.", "reasoning_content": "ne."} y={}

    A chunk gives a chunk, at once, with all that it had besides: the order, the ends and the usage stay. Choices are
    kept apart. Text that may be the beginning of a tag is held back until that is certain, which is at most the tag
    but for one character; with the end of its choice it comes in that chunk, and at the end of the stream, an error
    included, in one of its own. What is never closed is reasoning to the end. On dispose what is held is forgotten.
    Where one chunk has text before, within and behind the tags, its content is the first and the last of these, joined.

    Args:
        tag: The name in the tags: ``<tag>`` and ``</tag>``, exactly so.
        begins_inside: Whether the answer begins with reasoning and without the first tag, as it does where the prompt
            ends with that tag (DeepSeek-R1 and QwQ without a reasoning parser).

    Returns:
        An operator from ``StreamChunk`` to ``StreamChunk``. White space around the tags stays where it is.

    Raises:
        ValueError: At once: ``tag`` is empty or has white space, ``<``, ``>`` or ``/`` in it.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> frames = '{"choices":[{"delta":{"content":"<think>Hm.</think>Yes."}}]}', "[DONE]"
        >>> answer = rxllm.run(reactivex.of(*frames).pipe(ops.parse(), ops.split_reasoning(), ops.accumulate()))
        >>> answer.message.reasoning_text, answer.message.content
        ('Hm.', 'Yes.')

    See also:
        ``content``, ``accumulate``, ``rxllm.Delta.reasoning_text``
    """
    TaggedText(tag)  # a wrong argument is reported where it stands

    def split_reasoning_(source: Observable[StreamChunk]) -> Observable[StreamChunk]:
        def subscribe(
            observer: abc.ObserverBase[StreamChunk], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            splitting = _Splitting(tag, begins_inside)
            rest = FanOut(observer)

            def on_next(chunk: StreamChunk) -> None:
                observer.on_next(splitting.split(chunk))

            def end(error: Exception | None = None) -> None:
                chunks = splitting.rest()
                if splitting.flow is None:
                    rest.emit(chunks)
                else:
                    # An emission of the producer that the text came from, whom a consumer pauses if it is too much.
                    splitting.flow.deliver(rest.emit, chunks)
                rest.end(error)

            return CompositeDisposable(
                source.subscribe(on_next, end, end, scheduler=scheduler), Disposable(rest.dispose)
            )

        return Observable(subscribe)

    return split_reasoning_


class _Splitting:
    """The texts of the choices of one stream.

    Attributes:
        flow: Whose producer the last text came from that may still be held.
    """

    def __init__(self, tag: str, inside: bool) -> None:  # noqa: FBT001 - passed on
        self._tag = tag
        self._inside = inside
        self._texts: dict[int, TaggedText] = {}
        self.flow: FlowControl | None = None

    def split(self, chunk: StreamChunk) -> StreamChunk:
        """The chunk with the reasoning in its place; the same object if there is none."""
        known = unread(chunk)
        if known is not None and self._is_outside(known):
            return chunk
        before = chunk.choices
        choices = [self._split_choice(choice) for choice in before]
        # Of one choice that is the same as of several, without 0.2 µs.
        if choices[0] is before[0] if len(before) == 1 else all(map(is_, choices, before)):
            return chunk
        self.flow = FlowControl.current()
        return replaced(chunk, {"choices": choices})

    def _is_outside(self, known: Unread) -> bool:
        """Whether all that a chunk holds that nobody has read is text outside of the tags."""
        text = self._texts.get(known.shape.choice)
        outside = text is not None and not text.inside and not text.held
        return known.shape.is_plain and outside and "<" not in known.text

    def rest(self) -> list[StreamChunk]:
        """What is still held back, in a chunk for each choice."""
        return [_chunk(index, text.flush()) for index, text in sorted(self._texts.items()) if text.held]

    def _split_choice(self, choice: StreamChoice) -> StreamChoice:
        text = self._texts.get(choice.index)
        if text is None:
            text = self._texts[choice.index] = TaggedText(self._tag, inside=self._inside)
        delta = choice.delta
        content = delta.content or ""
        if not text.inside and not text.held and "<" not in content:
            return choice
        outside, inside = text.feed(content)
        if choice.finish_reason and text.held:
            last = text.flush()
            outside += last.outside
            inside += last.inside
        if outside == content and not inside:
            return choice
        fields: dict[str, Any] = {"content": outside or None}
        if inside:
            fields["reasoning_content"] = (delta.reasoning_text or "") + inside
        return replaced(choice, {"delta": replaced(delta, fields)})


def _chunk(choice: int, part: Parted) -> StreamChunk:
    delta = Delta(reasoning_content=part.inside) if part.inside else Delta(content=part.outside)
    return StreamChunk(choices=[StreamChoice(index=choice, delta=delta)])
