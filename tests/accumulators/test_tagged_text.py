"""``TaggedText``: two texts out of one, whatever the fragmentation."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import Parted, TaggedText

# What tags are made of, and what is like them.
PIECES = ("<t>", "</t>", "<", "</", "t>", ">", "/", "t", "<<t>", "<t", "</t", "</t>>", "é🙂", " ", "\n")
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def parted(fragments: list[str], *, inside: bool) -> Parted:
    text = TaggedText("t", inside=inside)
    parts = [*map(text.add, fragments), text.close()]
    assert text.held == ""
    return Parted("".join(part.outside for part in parts), "".join(part.inside for part in parts))


def expected(text: str, *, inside: bool) -> Parted:
    """The same of the whole text, by other means."""
    if inside:
        head, _, tail = text.partition("</t>")
        rest = expected(tail, inside=False)
        return Parted(rest.outside, head + rest.inside)
    part = re.compile(r"<t>(.*?)(?:</t>|\Z)", re.DOTALL)
    return Parted(part.sub("", text), "".join(part.findall(text)))


@given(texts, st.data(), st.booleans())
def test_every_split_gives_the_same(text: str, data: st.DataObject, inside: bool) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(text)), max_size=len(text)))
    fragments = [text[start:end] for start, end in pairwise(sorted({0, *cuts, len(text)}))]

    assert parted(fragments, inside=inside) == expected(text, inside=inside)
    assert parted(list(text), inside=inside) == expected(text, inside=inside)


@given(texts, st.booleans())
def test_what_is_held_is_the_beginning_of_a_tag_and_no_more(text: str, inside: bool) -> None:
    growing = TaggedText("t", inside=inside)
    for character in text:
        growing.add(character)
        assert any(tag.startswith(growing.held) and tag != growing.held for tag in ("<t>", "</t>"))


@pytest.mark.parametrize("tag", ["", "a b", "<a>", "/a", "a\n"])
def test_names_that_are_none(tag: str) -> None:
    with pytest.raises(ValueError, match="no name of a tag"):
        TaggedText(tag)
