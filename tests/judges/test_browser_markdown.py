"""The Markdown of ``examples/browser_chat.py`` in a real browser: what is shown stays, and nothing takes long."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.judges.chat_page import ROOT, chat
from tests.judges.chromium import Chromium, chromium

GROWING = """\
# A *title* with `code`

Text with **bold**, *italic*, ***both***, __more__, ~~gone~~, `a*b` and snake_case_words, 2 * 3 * 4, a < b & c &amp; d.
[A link](https://example.org/a_(b)) and <https://example.org> and https://example.org/x. Footnote [1] and [x] done! ![pic](https://example.org/p.png)

1. one
2. two with **bold**
   - nested
     more of it

     a second paragraph
   - `last`
3. three

- [ ] task
* other

| a | b |
|:--|--:|
| 1 | `x|y` |
| **2** | z \\| z |

> quote
> > inner
> - item

---

~~~js
const a = `${1}`; // <b>
~~~

```python
x = "```"
  y
```

Line\\
break and  \nbreak. \\*not\\* emphasis. The end
"""


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with chromium() as running:
        yield running


async def test_markdown_grows_without_taking_back(browser: Chromium) -> None:
    async with chat() as (url, _):
        tab = await browser.tab(url)
        taken_back = await tab.js(f"""(async () => {{
            const {{ patch, render }} = await import("/markdown.js");
            const [whole, bad] = [{json.dumps(GROWING)}, []];
            const element = document.createElement("div");
            let before = "";
            for (let end = 1; end <= whole.length; end += 1) {{
                patch(element, render(whole.slice(0, end), false));
                const now = element.textContent;
                const seen = [whole.slice(0, end), before, now];
                if (!now.startsWith(before)) bad.push(seen.map((text) => text.slice(-30)));
                before = now;
            }}
            patch(element, render(whole, true));
            const fresh = document.createElement("div");
            patch(fresh, render(whole, true));
            if (fresh.innerHTML !== element.innerHTML) bad.push(["they differ", fresh.innerHTML, element.innerHTML]);
            if (!element.textContent.startsWith(before)) bad.push(["at the end", before, element.textContent]);
            return bad;
        }})()""")
        assert taken_back == []


async def test_markdown_takes_no_time_whatever_it_is(browser: Chromium) -> None:
    pages = [page.read_text() for page in sorted((ROOT / "docs").rglob("*.md"))]
    patterns = [
        "*a **b ",
        "`",
        "[",
        "![",
        "[a](",
        "> ",
        "- ",
        "|",
        "**",
        "_",
        "~~",
        "<",
        "&",
        "\\",
        "```\n",
        "1. ",
        "#",
        "* _ ",
    ]
    hard = [pattern * 3000 for pattern in patterns]
    async with chat() as (url, _):
        tab = await browser.tab(url)
        slow = await tab.js(f"""(async () => {{
            const {{ patch, render }} = await import("/markdown.js");
            const slow = [];
            for (const text of {json.dumps(pages + hard)}) {{
                for (const final of [true, false]) {{
                    const began = performance.now();
                    patch(document.createElement("div"), render(text, final));
                    const took = performance.now() - began;
                    if (took > 3000) slow.push([text.slice(0, 20), Math.round(took)]);
                }}
            }}
            return slow;
        }})()""")
        assert slow == []


async def test_whatever_stands_between_them_no_word_is_lost_or_doubled(browser: Chromium) -> None:
    marks = [
        *"*_`~#>|<&\\![]!-+.:\n ",
        "**",
        "***",
        "~~",
        "```",
        "\n\n",
        "\n- ",
        "\n1. ",
        "\n> ",
        "\n| ",
        " | ",
        "\n---\n",
    ]
    async with chat() as (url, _):
        tab = await browser.tab(url)
        wrong = await tab.js(f"""(async () => {{
            const {{ patch, render }} = await import("/markdown.js");
            const [marks, wrong] = [{json.dumps(marks)}, []];
            let seed = 18;
            const next = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
            const below = (size) => Math.floor(next() * size);
            for (let round = 0; round < 1500 && wrong.length < 3; round += 1) {{
                let text = "";
                for (let word = 0; word < 12; word += 1) {{
                    text += `w${{word}}w` + (below(2) ? " " : "");
                    for (let count = below(4); count > 0; count -= 1) text += marks[below(marks.length)];
                    text += " ";
                }}
                const grown = document.createElement("div");
                for (let end = 1; end < text.length; end += 1 + below(6)) {{
                    patch(grown, render(text.slice(0, end), false));
                }}
                patch(grown, render(text, true));
                const words = grown.textContent.match(/w\\d+w/g).join(" ");
                if (words !== "w0w w1w w2w w3w w4w w5w w6w w7w w8w w9w w10w w11w") wrong.push([text, words]);
            }}
            return wrong;
        }})()""")
        assert wrong == []
