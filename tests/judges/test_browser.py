"""A real browser reads ``examples/browser_chat.py``: reloads, two tabs, stops, errors, and what a model may not do.

The model's server is one of these tests, so what it sends and whether its connection is open is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import reactivex

import rxllm
from rxllm.testing import ScriptedServer, script
from tests.judges.chat_page import ANSWER, IDLE, NUMBERS, ask, chat, held, numbers, process_of
from tests.judges.chromium import PATIENCE, Chromium, chromium
from tests.judges.conftest import Judge


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with chromium() as running:
        yield running


async def test_the_judge_reloads_in_mid_answer(judge: Judge, tmp_path: Path) -> None:
    async with process_of() as (url, _):
        report = await judge(
            *("browser.py", url, "--question", "Count to 200", "--numbered", "--reloads", "3"),
            *("--done", f"document.body && {IDLE}", "--shots", str(tmp_path)),
        )

    assert report["ok"], report
    assert numbers(report["text"]) == NUMBERS


async def test_two_tabs_and_a_reload_show_the_same(browser: Chromium) -> None:
    gate = asyncio.Event()
    async with chat(held(first=80, gate=gate), "And *again*.") as (url, model):
        one = await browser.tab(url)
        await ask(one, "Count")
        await one.until(f"({ANSWER}).includes('w79')")
        two = await browser.tab(await one.js("location.href"))
        await two.until(f"({ANSWER}).includes('w79')")
        await one.reload()
        await one.until(f"({ANSWER}).includes('w79')")
        gate.set()

        for tab in (one, two):
            await tab.until(IDLE)
            assert numbers(await tab.js(ANSWER)) == NUMBERS
            assert await tab.js("document.querySelectorAll('[data-role=assistant]').length") == 1
        assert len(model.requests) == 1

        await ask(two, "Once more?")
        await one.until("document.querySelectorAll('section').length === 2")
        await one.until(f"{IDLE} && ({ANSWER}) === 'And again.'")
        roles = [message["role"] for message in model.requests[1].json["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert not one.exceptions + two.exceptions


async def test_of_two_tabs_that_ask_at_once_one_asks(browser: Chromium) -> None:
    async with chat("Fine.", repeat=True) as (url, model):
        one = await browser.tab(url)
        two = await browser.tab(await one.js("location.href"))
        for tab in (one, two):
            await tab.until(IDLE)
        send = "((input) => (input.value = '{}', input.form.requestSubmit()))(document.querySelector('textarea'))"
        await asyncio.gather(one.js(send.format("One?")), two.js(send.format("Two?")))

        for tab in (one, two):
            await tab.until(f"{IDLE} && ({ANSWER}) === 'Fine.'")
        questions = [await tab.js("document.querySelector('.bubble').textContent") for tab in (one, two)]
        left = [await tab.js("document.querySelector('textarea').value") for tab in (one, two)]
        assert questions in (["One?"] * 2, ["Two?"] * 2)
        assert len(model.requests) == 1
        assert sorted(left) == sorted({"One?", "Two?"} - {questions[0]} | {""})


async def test_a_question_whose_process_died_before_it_answered_is_answered(browser: Chromium, tmp_path: Path) -> None:
    log = rxllm.SQLiteLog(tmp_path / "chats.db")
    await log.produce("chat-1-of-somebody/0/question", reactivex.just('{"question": "What time is it?"}'))
    async with (
        ScriptedServer("It is late.") as model,
        process_of("--file", str(log.path), OPENAI_BASE_URL=model.base_url) as (url, _),
    ):
        tab = await browser.tab(f"{url}c/chat-1-of-somebody")
        await tab.until(f"{IDLE} && ({ANSWER}) === 'It is late.'")
        assert await tab.js("document.querySelector('.bubble').textContent") == "What time is it?"


@pytest.mark.parametrize("way", ["button", "Escape", "the other tab"])
async def test_stop_closes_the_connection_to_the_model(browser: Chromium, way: str) -> None:
    async with chat([*script.words("It is"), script.stall()], "Late.") as (url, model):
        one = await browser.tab(url)
        await ask(one, "What time is it?")
        await one.until(f"({ANSWER}) === 'It is'")
        stopping = await browser.tab(await one.js("location.href")) if way == "the other tab" else one
        await stopping.until("document.body.dataset.state === 'answering'")
        if way == "Escape":
            await one.press("Escape")
        else:
            await stopping.js("document.querySelector('#stop').click()")

        async with asyncio.timeout(PATIENCE):
            await model.requests[0].peer_left.wait()
        await one.until(f"{IDLE} && document.querySelector('.notice')?.textContent.includes('Stopped.')")
        assert await one.js(ANSWER) == "It is"
        assert await one.js("document.activeElement.id") == "question"

        await one.js("document.querySelector('.again').click()")
        await one.until(f"{IDLE} && ({ANSWER}) === 'Late.'")
        assert await one.js("document.querySelectorAll('section').length") == 1
        assert [message["role"] for message in model.requests[1].json["messages"]] == ["user"]


FAILURES = {
    "before the first event": (
        script.api_error(400, "secret of the provider"),
        "",
        "The model's provider reported an error.",
    ),
    "in the middle": (
        [*script.words("It is"), script.error("secret of the provider")],
        "It is",
        "The model's provider reported an error.",
    ),
    "cut": ([*script.words("It is"), script.cut()], "It is", "The answer broke off."),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_an_error_looks_like_one_and_can_be_tried_again(browser: Chromium, name: str) -> None:
    failure, before, message = FAILURES[name]
    async with chat(failure, "It is late.") as (url, model):
        tab = await browser.tab(url)
        await ask(tab, "What time is it?")
        await tab.until("document.querySelector('[role=alert].error')")

        assert message in await tab.js("document.querySelector('.error').textContent")
        assert await tab.js(ANSWER) == before
        assert "secret" not in await tab.js("document.documentElement.textContent")

        await tab.reload()
        await tab.until(f"{IDLE} && document.querySelector('.error')")
        await tab.js("document.querySelector('.again').click()")
        await tab.until(f"{IDLE} && ({ANSWER}) === 'It is late.'")
        assert not await tab.js("document.querySelectorAll('.error').length")
        assert [m["role"] for m in model.requests[1].json["messages"]] == ["user"]


HOSTILE = """\
<script>alert(1)</script> <img src=x onerror=alert(2)> <b onclick="alert(3)">b</b>

[one](javascript:alert(4)) [two](JaVaScRiPt:alert(5)) [three](data:text/html,<script>alert(6)</script>)
[four](<java&#115;cript:alert(7)>) [five](vbscript:x) [six](//evil.example/x) [seven]( javascript:alert(8))
<javascript:alert(9)>
[eight](https://example.org/"onmouseover="alert(10)) ![nine](http://127.0.0.1:1/leak.png) [ten](java\tscript:alert(11))

| <script>alert(12)</script> | `<img src=x onerror=alert(13)>` |
|---|---|
| <svg onload=alert(14)> | [x](javascript:alert(15)) |

```html"onload="alert(16)
<script>alert(17)</script>
```

> # <iframe srcdoc="<script>alert(18)</script>"></iframe>
"""


async def test_what_a_model_writes_is_text(browser: Chromium) -> None:
    name, arguments = "<img src=x onerror=alert(20)>", '{"city": "<script>alert(21)</script>"}'
    tools = script.answer(script.tool_call(name, arguments))
    async with chat(tools, HOSTILE, "<script>alert(30)</script>") as (url, _):
        tab = await browser.tab(url)
        await ask(tab, "<img src=x onerror=alert(40)>")
        await tab.until(f"{IDLE} && document.querySelector('blockquote')")
        await tab.js("document.querySelectorAll('details').forEach((each) => (each.open = true))")

        text = await tab.js(ANSWER)
        assert "<script>alert(1)</script> <img src=x onerror=alert(2)>" in text
        assert name in text
        assert "<script>alert(21)</script>" in text
        used = await tab.js("[...new Set([...document.querySelectorAll('section *')].map((each) => each.localName))]")
        assert not {"script", "img", "svg", "iframe", "b", "object", "style", "form"} & set(used)
        attributes = await tab.js(
            "[...new Set([...document.querySelectorAll('section *')].flatMap((each) => each.getAttributeNames()))]"
        )
        assert not [each for each in attributes if each.startswith("on") or each in {"src", "srcdoc", "style"}]
        links = await tab.js("[...document.querySelectorAll('section a')].map((each) => [each.protocol, each.rel])")
        assert links
        assert all(each == ["https:", "noopener noreferrer"] or each[0] == "http:" for each in links)
        assert tab.dialogs == 0
        assert not tab.exceptions
        assert all(each.startswith(url) for each in tab.requests), tab.requests
        policy = await tab.js("fetch('/').then((page) => page.headers.get('Content-Security-Policy'))")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_tools_are_seen_at_work(browser: Chromium) -> None:
    gate = asyncio.Event()
    call = script.tool_call("get_weather", {"city": "Paris"}, id="call_1")
    writing = [*script.answer(script.words("I look."))[:-3], *call[:3], script.wait_for(gate), *call[3:]]
    ended = [*writing, script.finish("tool_calls"), script.done()]
    unknown = script.answer(script.tool_call("get_weather", {"city": "Atlantis"}, id="call_2"))
    async with chat(ended, unknown, "It rains.") as (url, _):
        tab = await browser.tab(url)
        await ask(tab, "What is the weather?")
        await tab.until("document.querySelector('.tool.writing .input')?.textContent.includes('cit')")
        gate.set()
        await tab.until("document.querySelector('.tool.running')")
        await tab.until("document.querySelector('.tool.done [data-time]:not([data-time=\"\"])')")
        await tab.until(f"document.querySelector('.tool.failed') && {IDLE}")
        shown = await tab.js(ANSWER)

        await tab.reload()
        await tab.until(f"{IDLE} && document.querySelector('section')")
        assert await tab.js(ANSWER) == shown
        assert await tab.js("document.querySelectorAll('.tool').length") == 2


async def test_it_fits_a_phone_and_the_dark(browser: Chromium) -> None:
    long = (
        "# "
        + "Wide" * 60
        + "\n\n"
        + "x" * 300
        + "\n\n```\n"
        + "code " * 80
        + "\n```\n\n|"
        + " cell |" * 30
        + "\n|"
        + "---|" * 30
    )
    async with chat(long + "\n\nhttps://example.org/" + "a" * 200) as (address, _):
        tab, url = await browser.tab(), address
        papers: set[str] = set()
        for dark in (False, True):
            for width in (390, 1280):
                await tab.look(width=width, height=800, dark=dark, calm=True)
                await tab.open(url)
                await tab.until(IDLE)
                if len(papers) == 0 and width == 390:
                    await ask(tab, "y" * 200)
                    url = await tab.js("location.href")
                await tab.until(f"{IDLE} && document.querySelector('section a')")
                papers.add(await tab.js("getComputedStyle(document.body).backgroundColor"))
                assert await tab.js("document.documentElement.scrollWidth <= window.innerWidth")
                assert await tab.js(
                    "document.querySelector('#send').getBoundingClientRect().right <= window.innerWidth"
                )
                size = "getComputedStyle(document.querySelector('textarea')).fontSize"
                assert float((await tab.js(size)).removesuffix("px")) >= 16
        assert len(papers) == 2
        assert await tab.js("document.getAnimations().length") == 0


async def test_an_answer_that_its_length_cut_says_so(browser: Chromium) -> None:
    async with chat(script.answer("It is", finish_reason="length")) as (url, _):
        tab = await browser.tab(url)
        await ask(tab, "What time is it?")
        await tab.until(f"{IDLE} && document.querySelector('.notice')?.textContent.includes('length')")


async def test_a_code_block_can_be_copied(browser: Chromium) -> None:
    async with chat("```python\na = 1\n  b\n```\n") as (url, _):
        tab = await browser.tab(url)
        await tab.do("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        await ask(tab, "Code?")
        await tab.until(f"{IDLE} && document.querySelector('.copy')")
        await tab.js("document.querySelector('.copy').click()")
        await tab.until("document.querySelector('.copied')")
        assert await tab.js("navigator.clipboard.readText()") == "a = 1\n  b"


async def test_the_end_stays_in_view_unless_the_reader_has_scrolled_up(browser: Chromium) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    lines = [f"Line {number}.\n\n" for number in range(90)]
    steps = [*script.answer(lines[:40])[:-3], script.wait_for(first), *lines[40:60], script.wait_for(second)]
    async with chat([*steps, *script.answer(lines[60:])[1:]]) as (url, _):
        tab = await browser.tab(url)
        await ask(tab, "Write")
        at_end = "document.documentElement.scrollHeight - innerHeight - scrollY < 5"
        await tab.until(f"({ANSWER}).includes('Line 39') && {at_end}")
        await tab.js("scrollTo(0, 200)")
        await tab.until("!document.querySelector('#jump').hidden")
        first.set()
        await tab.until(f"({ANSWER}).includes('Line 59')")
        assert await tab.js("scrollY") == 200
        await tab.js("document.querySelector('#jump').click()")
        await tab.until(f"{at_end} && document.querySelector('#jump').hidden")
        second.set()
        await tab.until(f"{IDLE} && ({ANSWER}).includes('Line 89') && {at_end}")


async def test_the_keyboard_is_enough(browser: Chromium) -> None:
    async with chat("Fine.") as (url, model):
        tab = await browser.tab(url)
        await tab.until(IDLE)
        assert await tab.js("document.activeElement.id") == "question"
        await tab.press("Enter")
        await tab.type("One")
        await tab.press("Enter", shift=True)
        await tab.type("Two")
        await tab.press("Enter")
        await tab.until(f"{IDLE} && ({ANSWER}) === 'Fine.'")
        assert model.requests[0].json["messages"][-1]["content"] == "One\nTwo"
        assert await tab.js("document.querySelector('textarea').value") == ""
        named = "(each) => each.ariaLabel || each.textContent.trim() || each.labels?.length"
        assert await tab.js(f"[...document.querySelectorAll('button, textarea, a')].every({named})")
        assert await tab.js("document.querySelector('#status').textContent") == "The answer is complete."
