from __future__ import annotations

from typing import Any

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


class Interrupted(list[str]):
    """Fragments, the reading of which is interrupted by another reader."""

    text: Text
    result = ""

    def __getitem__(self, index: Any) -> Any:
        if not self.result:
            self.result = "under way"
            self.result = self.text.read(3)
        place: int = index
        return super().__getitem__(place)


def test_two_threads_read_at_once() -> None:
    text = Text()
    fragments = text.fragments = Interrupted(["a", "b", "c"])
    fragments.text, fragments.result = text, "not yet"
    assert text.read(1) == "a"
    fragments.result = ""
    assert text.read(2) == "ab"
    assert fragments.result == "abc"
    assert text.read() == "abc"
