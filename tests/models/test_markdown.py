"""Foreign text as Markdown: a notebook shows no HTML of it, and fetches nothing for it."""

from __future__ import annotations

from operator import methodcaller

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import rxllm
from rxllm.models import as_code, as_markdown

BROWSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <b>c</b>", "a &lt;b>c&lt;/b>"),
        ("![p](https://example.org/p.png)", "&#33;[p](https://example.org/p.png)"),
        ("\\![p](x)", "\\&#33;[p](x)"),
        ("`a<b` ``c`<d``", "`a<b` ``c`<d``"),
        ("\\`<img>`", "\\`&lt;img>`"),
        ("| `a | <b> ` |", "| `a | &lt;b> ` |"),
        ("```py <b>\na<b\n```\n<i>", "```py &lt;b>\na<b\n```\n&lt;i>"),
        ("~~~\n```\n<b>\n~~~ \n<i>", "~~~\n```\n<b>\n~~~ \n&lt;i>"),
        ("- x\n  ```\n<b>", "- x\n  ```\n&lt;b>"),
        ("``` a`b\n<b>", "``` a`b\n&lt;b>"),
        ("``\n``<b>``", "``\n``&lt;b>``"),
        ("``\na\n``<b>``", "``\na\n``&lt;b>``"),
        ("```|```<b>```", "```|```&lt;b>```"),
        ("``\n`<b>`\n \n`<b>`", "``\n`&lt;b>`\n \n`<b>`"),
        ("\x1b[2J", "␛[2J"),
    ],
)
def test_html_becomes_text_and_a_picture_a_link(text: str, shown: str) -> None:
    assert as_markdown(text) == shown


PIECES = [
    *(
        "```",
        "~~~",
        "`",
        "``",
        "\\",
        "\n",
        "\n\n",
        "- ",
        "> ",
        "    ",
        "  ",
        "|",
        "|--|",
        "<b>",
        "<img src=x>",
        "<!--",
        "-->",
    ),
    *("![", "[a]", "(x)", "](x)", "a", "*", "$", "<script>", "[x]: y"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_no_reader_of_markdown_finds_html_or_a_picture(pieces: list[str]) -> None:
    found: list[str] = []
    for token in BROWSER.parse(as_markdown("".join(pieces))):
        found += [each.type for each in (token, *(token.children or ()))]

    assert not {"html_block", "html_inline", "image"} & set(found)


@given(st.text(alphabet="`a|<\n \x1b", max_size=12))
def test_code_is_one_piece_of_code(text: str) -> None:
    (opening, inline, closing) = BROWSER.parse(f"x {as_code(text)}")

    assert (opening.type, closing.type) == ("paragraph_open", "paragraph_close")
    assert [token.type for token in inline.children or ()] in (["text", "code_inline"], ["text"])
    assert "html" not in str(inline.children)


def shown_by_a_notebook(value: object) -> object:
    return methodcaller("_repr_markdown_")(value)


def test_a_notebook_shows_a_completion() -> None:
    call = {"id": "1", "function": {"name": "get_weather", "arguments": '{"city": "`Paris"}'}}
    message = {"content": "I **look** <b>.", "tool_calls": [call]}
    choices = [{"message": message, "finish_reason": "length"}]
    completion = rxllm.ChatCompletion.model_validate({"choices": choices})

    assert shown_by_a_notebook(completion) == (
        'I **look** &lt;b>.\n\n- `` get_weather {"city": "`Paris"} ``\n\n*(length)*'
    )
    assert shown_by_a_notebook(rxllm.ChatCompletion(ending="completed")) == ""
