"""``TaggedText``: two texts out of one, whatever the fragmentation."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import Parted, TaggedText

# What tags are made of, and what is like them.
PIECES = ("<t>", "</t>", "<", "</", "t>", ">", "/", "t", "<<t>", "<t", "</t", "</t>>", "é🙂", " ", "\n")
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def parted(fragments: list[str], **options: Any) -> Parted:
    text = TaggedText("t", **options)
    parts = [*map(text.add, fragments), text.close()]
    assert text.held == ""
    assert not text.holds
    return Parted("".join(part.outside for part in parts), "".join(part.inside for part in parts))


def expected(text: str, *, inside: bool, anywhere: bool, unclosed: str) -> Parted:
    """The same of the whole text, by other means."""
    if inside:
        repeated = re.match(r"(\s*)<t>", text)
        head, tag, tail = text.partition("</t>")
        if repeated is not None:
            head = head.replace("<t>", "", 1)
        elif not tag and unclosed == "outside":
            return Parted(text, "")
        rest = expected(tail, inside=False, anywhere=anywhere, unclosed=unclosed)
        return Parted(rest.outside, head + rest.inside)
    part = re.compile(r"<t>(.*?)(?:</t>|\Z)", re.DOTALL)
    if anywhere:
        return Parted(part.sub("", text), "".join(part.findall(text)))
    begin = re.compile(r"(\s*)<t>(.*?)(?:</t>|\Z)", re.DOTALL)
    outside = within = ""
    while found := begin.match(text):
        outside += found[1]
        within += found[2]
        text = text[found.end() :]
    return Parted(outside + text, within)


@given(texts, st.data(), st.booleans(), st.booleans(), st.sampled_from(["inside", "outside"]))
def test_every_split_gives_the_same(
    text: str, data: st.DataObject, inside: bool, anywhere: bool, unclosed: str
) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(text)), max_size=len(text)))
    fragments = [text[start:end] for start, end in pairwise(sorted({0, *cuts, len(text)}))]
    options: dict[str, Any] = {"inside": inside, "anywhere": anywhere, "unclosed": unclosed}

    for each in (fragments, list(text), [text]):
        assert parted(each, **options) == expected(text, **options)


SETS = [
    [("ab", "ba"), ("ca", "cc")],
    [("aab", "abb"), ("bb", "ba")],
    [("[T]", "[/T]"), ("<t>", "</t>")],
    [("aa", "b"), ("aa", "c")],
]


@given(st.sampled_from(SETS), st.text("abcT[]<>/t ", max_size=20), st.data(), st.booleans(), st.booleans())
def test_so_it_does_with_several_tags(
    tags: list[tuple[str, str]], text: str, data: st.DataObject, inside: bool, anywhere: bool
) -> None:
    cuts = data.draw(st.sets(st.integers(0, len(text)), max_size=len(text)))
    fragments = [text[start:end] for start, end in pairwise(sorted({0, *cuts, len(text)}))]
    options: dict[str, Any] = {"tags": tags, "inside": inside, "anywhere": anywhere}

    assert parted(fragments, **options) == parted([text], **options) == parted(list(text), **options)


@given(texts, st.booleans(), st.booleans())
def test_what_is_held_is_the_beginning_of_a_tag_and_no_more(text: str, inside: bool, anywhere: bool) -> None:
    growing = TaggedText("t", inside=inside, anywhere=anywhere)
    for character in text:
        growing.add(character)
        assert any(tag.startswith(growing.held) and tag != growing.held for tag in ("<t>", "</t>"))


def test_many_parts_in_one_fragment_take_no_more_time_than_they_are_long() -> None:
    text = TaggedText(tags=[("<t>", "</t>"), ("[T]", "[/T]")])
    assert text.add("<t></t>" * 100_000 + "a") == Parted("a", "")


@pytest.mark.parametrize("tag", ["", "a b", "<a>", "/a", "a\n"])
def test_names_that_are_none(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a name of a tag"):
        TaggedText(tag)


def test_a_text_that_is_never_closed_is_inside_or_outside() -> None:
    word: Any = "content"
    with pytest.raises(ValueError, match="unclosed must be 'inside' or 'outside'"):
        TaggedText(unclosed=word)
