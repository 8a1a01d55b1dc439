"""Every link inside the built site leads to a page, a file and an anchor that are there, and no page asks another server for anything."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "link": "href"}
"""Elements whose file a browser loads by itself."""


class Page(HTMLParser):
    """Links, loaded files and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") not in {"search", "canonical", "next", "prev", "index", "author"}:
            self.loaded.append(given[LOADED[tag]])


@cache
def read(path: Path) -> Page:
    """A page, read once."""
    return Page(path)


def faults(site: Path) -> list[str]:
    """What is wrong with the links of a built site, a sentence each."""
    found = []
    for path in sorted(path for path in site.rglob("*.html") if "_static" not in path.parts):
        page = read(path)
        found += [f"{path.relative_to(site)} loads {url} from elsewhere" for url in page.loaded if _elsewhere(url)]
        inside = [url for url in (*page.links, *page.loaded) if not _elsewhere(url)]
        found += [f"{path.relative_to(site)} links to {url}: {wrong}" for url in inside if (wrong := _broken(path, url))]
    return found


def _elsewhere(url: str) -> bool:
    """Whether a URL is not of this site."""
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme in {"mailto", "javascript"}


def _broken(page: Path, url: str) -> str:
    """Why a link of a page leads nowhere; empty where it does not."""
    parts = urlsplit(url)
    if parts.scheme == "data":
        return ""
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "there is no such file"
    fragment = unquote(parts.fragment)
    return "" if target.suffix != ".html" or fragment in read(target).anchors else f"the page has no {fragment!r}"


def check(app: Sphinx, error: Exception | None) -> None:
    """Fail a build of HTML whose links are broken.

    Raises
    ------
    ExtensionError
        With all faults.
    """
    if error is None and app.builder.name == "html" and (found := faults(Path(app.outdir))):
        raise ExtensionError("broken links:\n" + "\n".join(found))
