"""A secret is found in a text however it is spelled there, and however the text was cut."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from rxllm.sources import Secrets
from rxllm.sources import shown as shown_url

LETTERS = st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="…|~<>\\")


def json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02X}" for place in range(0, len(units), 2))


def percent(letter: str) -> str:
    return "".join(f"%{byte:02x}" for byte in letter.encode())


SPELL: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, slashes too": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "JSON, all": lambda text: "".join(map(json_escape, text)),
    "JSON twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "percent": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent, all": lambda text: "".join(map(percent, text)),
    "HTML": html.escape,
    "HTML, all": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "HTML, decimal": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
}


@given(key=st.text(LETTERS, min_size=8, max_size=20).filter(lambda key: len(key.strip()) >= 8))
@pytest.mark.parametrize("spelling", SPELL)
def test_it_is_found_in_every_spelling(spelling: str, key: str) -> None:
    assert Secrets({"key": key}).scrub(f"no <{SPELL[spelling](key.strip())}>, ~") == "no <…>, ~"


@given(key=st.text("ab/+=%&ö", min_size=8, max_size=12), data=st.data())
def test_the_spelling_may_change_from_letter_to_letter(key: str, data: st.DataObject) -> None:
    ways = st.sampled_from(["plain", "JSON, all", "percent, all", "percent"])
    spelled = "".join(letter if letter in "%&" else SPELL[data.draw(ways)](letter) for letter in key)
    assert Secrets({"key": key}).scrub(f"no <{spelled}>, sorry") == "no <…>, sorry"


@given(length=st.integers(8, 30), end=st.sampled_from(["", "…", "'… (999 in all)", '"', "...", "'}]"]))
@pytest.mark.parametrize("spelling", ["plain", "JSON", "percent", "JSON, all", "HTML, all"])
def test_the_beginning_of_one_is_found_where_a_text_was_cut(spelling: str, length: int, end: str) -> None:
    key = "sk-0123456789/abcdefghijklmnopq"
    spelled = SPELL[spelling](key)
    for cut in range(len(SPELL[spelling](key[:length])), len(spelled)):
        assert Secrets({"key": key}).scrub(f"no {spelled[:cut]}{end}").startswith("no …")


def test_less_than_eight_characters_are_no_beginning_of_one() -> None:
    assert Secrets({"key": "completely-secret"}).scrub("it is complete…") == "it is ……"
    assert Secrets({"key": "completely-secret"}).scrub("it is complet…") == "it is complet…"
    assert Secrets({"key": "completely-secret"}).scrub("it is complete, and …") == "it is complete, and …"


def test_upper_and_lower_case_do_not_matter() -> None:
    secrets = Secrets({"key": "sK-0123456789/aBc"})
    assert secrets.scrub("<SK-0123456789/ABC> <sk-0123456789%2fabc>") == "<…> <…>"
    # The first letter is two in lower case.
    assert secrets.scrub("İ <sK-0123456789/aBc>") == "İ <…>"


def test_two_that_overlap_are_blotted_out_together() -> None:
    assert Secrets({"a": "0123456789abcdef", "b": "abcdefghijklmn"}).scrub("<0123456789abcdefghijklmn>") == "<…>"


def test_a_text_of_any_length_takes_little_time() -> None:
    secrets = Secrets({"key": "sk-0123456789/abc"})
    plain = "sk-012345678" * 300_000
    assert secrets.scrub(plain)[:100] == plain[:100]
    escaped = r"\u0041" * 1_000_000
    assert len(secrets.scrub(f"{escaped}sk-0123456789%2Fabc")) <= 1024 * 1024 + 1
    assert secrets.scrub("\\" * 1_000_000) == "\\" * 1_000_000


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/deployments/my-gpt-4o-mini/chat/completions", "/openai/deployments/my-gpt-4o-mini/chat/completions"),
        (
            "/v1beta/models/gemini-2.0-flash:streamGenerateContent",
            "/v1beta/models/gemini-2.0-flash:streamGenerateContent",
        ),
        ("/bot123456:AAE-abcdefgh/v1alpha2", "/…/v1alpha2"),
        ("/models/sk4f7a9c01d2e3f4/chat", "/models/…/chat"),
        ("/%C3%B6ffentlich-%41/chat", "/…/chat"),
        ("", "/"),
    ],
)
def test_of_a_path_is_shown_what_can_be_no_key(path: str, shown: str) -> None:
    assert shown_url(URL(f"http://me:password@host:8080{path}?a=b#c")) == f"http://host:8080{shown}"


@pytest.mark.parametrize(
    ("headers", "echoed"),
    [
        ({"Authorization": "Basic bWU6cGFzcw=="}, ["bWU6cGFzcw==", "pass"]),
        ({"Authorization": "Basic no-base64-at-all"}, ["no-base64-at-all"]),
        ({"Authorization": 'Digest username="me", response="0123456789abcdef"'}, ["0123456789abcdef"]),
        ({"Proxy-Authorization": "Bearer 0123456789abcdef"}, ["0123456789abcdef"]),
        ({"Cookie": "a=0123456789; b=abcdefghij"}, ["0123456789", "abcdefghij"]),
        ({"Sec-WebSocket-Protocol": "chat, key.0123456789"}, ["key.0123456789", "0123456789"]),
        ({"X-Api-Key": " 0123456789 "}, ["0123456789"]),
    ],
)
def test_what_stands_in_a_header_is_known_in_its_parts(headers: dict[str, str], echoed: list[str]) -> None:
    for word in echoed:
        assert Secrets(headers).scrub(f"<{word}>") == "<…>"


def test_what_stands_in_a_url_is_known_in_its_parts() -> None:
    secrets = Secrets()
    secrets.add_url(URL("http://me:pa55@host/v1/key-in-the-path-1?api-key=in+the%2Fquery&bare-key-1#fragment-1"))
    secrets.add_url(URL("http://user-as-a-key@host/"))
    secrets.add_url(None)
    for word in (
        "pa55",
        "bWU6cGE1NQ==",
        "key-in-the-path-1",
        "in the/query",
        "in+the%2Fquery",
        "bare-key-1",
        "fragment-1",
    ):
        assert secrets.scrub(f"<{word}>") == "<…>", word
    assert secrets.scrub("<user-as-a-key> me host v1") == "<…> me host v1"
