"""What follows the links of the built documentation finds those that lead nowhere, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.links import broken_links, main

PAGE = '<h2 id="größe">Size</h2><a name="old"></a><svg><g id="part"></g></svg>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path.resolve() / "site"
    (site / "guides").mkdir(parents=True)
    (site / "index.html").write_text(PAGE, "utf-8")
    (site / "guides" / "page.html").write_text(PAGE, "utf-8")
    (site / "picture.svg").write_text('<svg><g id="part"/></svg>', "utf-8")
    (tmp_path / "outside.html").write_text(PAGE, "utf-8")
    return site


@pytest.mark.parametrize(
    "link",
    [
        "",
        "#",
        "#top",
        "#old",
        "#part",
        "#gr%C3%B6%C3%9Fe",
        "guides/page.html",
        "guides/page.html?q=1#größe",
        "./guides/../index.html#old",
        "guides/../",
        "picture.svg#part",
        "https://example.org/no#no",
        "//example.org/no",
        "mailto:somebody@example.org",
        "data:image/png;base64,",
    ],
)
@pytest.mark.parametrize("element", ['<a href="{}">', '<img src="{}">', '<svg><use xlink:href="{}"/></svg>'])
def test_a_link_that_leads_somewhere(site: Path, element: str, link: str) -> None:
    with (site / "index.html").open("a", encoding="utf-8") as page:
        page.write(element.format(link))

    assert list(broken_links(site)) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("#no", "no such name in index.html"),
        ("guides/page.html#no", "no such name in guides/page.html"),
        ("picture.svg#no", "no such name in picture.svg"),
        ("no.html", "no such file"),
        ("guides/", "no such file"),
        ("../outside.html", "outside of the site"),
        ("/index.html", "outside of the site"),
    ],
)
@pytest.mark.parametrize("element", ['<a href="{}">', '<img src="{}">', '<svg><use xlink:href="{}"/></svg>'])
def test_a_link_that_leads_nowhere(
    site: Path, element: str, link: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (site / "index.html").open("a", encoding="utf-8") as page:
        page.write("\n" + element.format(link))

    assert list(broken_links(site)) == [f"index.html:2: {link}: {problem}"]
    assert main(site) == 1
    assert capsys.readouterr().out.endswith("1 links of 2 pages, 1 lead nowhere\n")


def test_a_folder_without_links_is_no_site(tmp_path: Path) -> None:
    assert main(tmp_path) == 1
