"""Follows the links of the built documentation: ``python -m tests.links SITE``.

Sphinx looks at the links that it makes itself. Those of raw HTML, of pictures and of the theme it takes as they are,
and of some of its own it does not look at the part behind ``#``. Links to other sites are not followed. Exits with 1 if
a link leads nowhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

LINKS = {"href", "src", "poster", "data", "xlink:href"}
"""The attributes that hold an address, in HTML and in SVG."""


class Page(HTMLParser):
    """What a page links to, with the line of each link, and the names that links may lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[int, str]] = []
        self.names = {"", "top"}
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and names of an element."""
        for name, value in attrs:
            if name in LINKS and value:
                self.links.append((self.getpos()[0], value))
            elif value and (name == "id" or (name, tag) == ("name", "a")):
                self.names.add(value)


page_at = cache(Page)


def broken_links(site: Path) -> Iterator[str]:
    """What is wrong with the links of a site, a line for each link."""
    for path in sorted(site.rglob("*.html")):
        for line, link in page_at(path).links:
            problem = _problem(site, path, urlsplit(link))
            if problem:
                yield f"{path.relative_to(site)}:{line}: {link}: {problem}"


def _problem(site: Path, path: Path, link: SplitResult) -> str | None:
    if link.scheme or link.netloc:
        return None
    # A link that begins with a slash would leave a site that is not at the top of its host.
    target = (path.parent / unquote(link.path)).resolve() if link.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site):
        return "outside of the site"
    if not target.is_file():
        return "no such file"
    if target.suffix in {".html", ".svg"} and unquote(link.fragment) not in page_at(target).names:
        return f"no such name in {target.relative_to(site)}"
    return None


def main(site: Path) -> int:
    """Print what is wrong; returns the exit status."""
    site = site.resolve()
    problems = list(broken_links(site))
    pages = list(site.rglob("*.html"))
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    links = sum(len(page_at(path).links) for path in pages)
    sys.stdout.write(f"{links} links of {len(pages)} pages, {len(problems)} lead nowhere\n")
    return 1 if problems or not links else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
