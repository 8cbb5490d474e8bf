"""``split_reasoning``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import is_
from typing import Literal

from msgspec.structs import replace

from rxllm.accumulators import Parted, TaggedText, TagPair
from rxllm.flow import FanOut, Operation, operate
from rxllm.models import Delta, StreamChoice, StreamChunk
from rxllm.typing import OperatorFunction


def split_reasoning(
    tag: str = "think",
    *,
    begins_inside: bool = False,
    anywhere: bool = False,
    tags: TagPair | Iterable[TagPair] | None = None,
    unclosed: Literal["reasoning", "content"] = "reasoning",
) -> OperatorFunction[StreamChunk, StreamChunk]:
    """Move reasoning that stands between tags from the content to where ``Delta.reasoning_text`` reads it.

    ::

        source  --a-b-c-d-|
                split_reasoning() | rx_ops.map(lambda chunk: chunk.choices[0].delta.model_dump(exclude_none=True))
        result  --v-w-x-y-|

        a=text_chunk("<thi") b=text_chunk("nk>Hm. A hard o") c=text_chunk("ne.</think>Yes.") d=finish_chunk()
        v={} w={"reasoning_content": "Hm. A hard o"} x={"content": "Yes.", "reasoning_content": "ne."} y={}

    Reasoning is expected at the beginning of an answer. A tag after other text is left as text: the answer may be about
    tags. With ``anywhere``, tags count everywhere.

    Each chunk gives one chunk, at once; its other fields do not change. Choices are kept apart. Text that may be the
    beginning of a tag is held back until that is certain: at most one character less than the tag. Held text comes with
    the chunk that ends its choice. If there is no such chunk, it comes in a chunk of its own at the end of the stream,
    also before an error; while a consumer below holds a pause, that chunk waits, and the end waits behind it. Reasoning
    that is never closed goes on to the end, unless ``unclosed`` says otherwise. On dispose held text is forgotten. If
    one chunk has text before, within and after the tags, its content is the text before and after, joined.

    Args:
        tag: The name in the tags: ``<tag>`` and ``</tag>``, in exactly this spelling.
        begins_inside: Whether the answer begins with reasoning and without the opening tag, because the prompt ends
            with that tag (DeepSeek-R1 and QwQ without a reasoning parser). If the model repeats the tag at the
            beginning, it is dropped.
        anywhere: Whether reasoning may also come after other text.
        tags: Other tags instead of ``tag``: a pair of an opening and a closing tag, such as
            ``("[THINK]", "[/THINK]")``, or several pairs. Each is spelled exactly as the model writes it.
        unclosed: With ``begins_inside``: what the text is if the closing tag never comes. ``"content"`` is for models
            that sometimes do not reason. Then the text is held back until the closing tag or the end comes: 16 Mi
            characters at most.

    Returns:
        An operator from ``StreamChunk`` to ``StreamChunk``. White space around the tags stays where it is.

    Raises:
        ValueError: At once: ``tag`` is empty or has white space, ``<``, ``>`` or ``/`` in it; ``tags`` are not pairs of
            texts, or a tag has white space around it or is part of another; ``unclosed`` is not one of these words.
        LimitExceededError: As ``on_error``: too much text would have to be held back.

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
    if unclosed not in {"reasoning", "content"}:
        raise ValueError(f"unclosed must be 'reasoning' or 'content', not {unclosed!r}")
    side: Literal["inside", "outside"] = "inside" if unclosed == "reasoning" else "outside"
    # A wrong argument is reported where it stands.
    text = TaggedText(tag, inside=begins_inside, anywhere=anywhere, tags=tags, unclosed=side)
    return operate(_Splitter, text)


class _Splitter(Operation[StreamChunk, StreamChunk]):
    """One subscription: the texts of the choices of one stream."""

    called = "split_reasoning"
    takes = (StreamChunk,)

    def __init__(self, out: FanOut[StreamChunk], text: TaggedText) -> None:
        super().__init__(out)
        self._text = text
        self._texts: dict[int, TaggedText] = {}

    def on_item(self, item: StreamChunk, /) -> Iterable[StreamChunk]:
        return [self._split(item)]

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        self.emit_together(map(self._split, items), items)
        return len(items)

    def on_failure(self, error: Exception, /) -> Iterable[StreamChunk]:
        del error
        return self.on_end()

    def on_end(self) -> Iterable[StreamChunk]:
        return [_chunk(index, text.close()) for index, text in sorted(self._texts.items()) if text.holds]

    def _split(self, chunk: StreamChunk) -> StreamChunk:
        """The chunk with the reasoning in its place; the same object if there is none."""
        if chunk.restarts:
            self._texts.clear()
        before = chunk.choices
        choices = tuple([self._split_choice(choice) for choice in before])
        return chunk if all(map(is_, choices, before)) else replace(chunk, choices=choices)

    def _begin(self, choice: int) -> TaggedText:
        text = self._texts[choice] = self._text.anew()
        return text

    def _split_choice(self, choice: StreamChoice) -> StreamChoice:
        text = self._texts.get(choice.index) or self._begin(choice.index)
        if text.settled:
            return choice
        delta = choice.delta
        content = delta.content or ""
        if text.mark not in content:
            return _reasoning(choice, delta, None, content) if text.inside and content else choice
        outside, inside = text.add(content)
        if choice.finish_reason and text.holds:
            last = text.close()
            outside += last.outside
            inside += last.inside
        if outside == content and not inside:
            return choice
        return _reasoning(choice, delta, outside or None, inside)


def _reasoning(choice: StreamChoice, delta: Delta, content: str | None, reasoning: str) -> StreamChoice:
    if reasoning:
        delta = replace(delta, content=content, reasoning_content=(delta.reasoning_text or "") + reasoning)
    else:
        delta = replace(delta, content=content)
    return replace(choice, delta=delta)


def _chunk(choice: int, part: Parted) -> StreamChunk:
    delta = Delta(reasoning_content=part.inside) if part.inside else Delta(content=part.outside)
    return StreamChunk(choices=(StreamChoice(index=choice, delta=delta),))
