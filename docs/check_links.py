"""Whether every link of a built site leads somewhere, and every page loads from its own folder alone.

    python docs/check_links.py build/docs

Links to other sites are not followed: they are somebody else's, and the check works without a network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes that load something with the page, by tag; those of other tags are links to follow.
LOADING = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
#: Relations of `link` that a browser does not load.
NOT_LOADED = {"canonical", "next", "prev", "index", "search", "author", "copyright"}


class Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADING and LOADING[tag] in given and given.get("rel") not in NOT_LOADED:
            self.loaded.append(given[LOADING[tag]])


def broken(site: Path) -> Iterator[str]:
    """A line for each link that leads nowhere, and each file that a page wants from elsewhere."""
    files = sorted(site.rglob("*.html"))
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in files}
    for file, page in pages.items():
        for address in [*page.links, *page.loaded]:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if address in page.loaded:
                    yield f"{file.name}: loads {address}; put it into docs/_static"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{file.name}: {address}: there is no such file"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{file.name}: {address}: {target.name} has no such heading"


def main(words: list[str]) -> int:
    """0 where all links lead somewhere."""
    site = Path(words[0])
    if not (site / "index.html").is_file():
        print(f"{site}: no site there; build it with make docs")
        return 2
    found = list(broken(site))
    print("\n".join(found) or f"{site / 'index.html'}: every link leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
