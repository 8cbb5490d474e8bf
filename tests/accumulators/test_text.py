from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators._text import Text


@given(st.lists(st.text()), st.lists(st.integers(min_value=0, max_value=20)))
def test_each_length_reads_the_same_whatever_was_read_before(fragments: list[str], reads: list[int]) -> None:
    text = Text()
    text.fragments.extend(fragments)
    assert len(text) == len(fragments)
    for read in reads:
        length = min(read, len(fragments))
        assert text.read(length) == "".join(fragments[:length])
    assert text.read() == "".join(fragments)
    text.fragments.append("more")
    assert text.read() == "".join(fragments) + "more"
