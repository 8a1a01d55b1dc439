"""What tests of pages share: a browser that uses no network, faults of a page, pictures of it, and what axe-core finds."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

ARGUMENTS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage")
"""WebGL2 without a graphics card; no sandbox, which needs rights that containers lack."""

INLINE = ("file", "data", "blob", "about")
LOOPBACK = ("127.0.0.1", "localhost")
SERIOUS = ("serious", "critical")

WIDE, NARROW = 1600, 400
"""Widths that pages are looked at, pixels: a screen, and a phone."""

SETTLED = """(async () => {
    for (let still = 0; still < 5; still++) {
        await new Promise(requestAnimationFrame);
        const ends = one => Number.isFinite(one.effect?.getComputedTiming().endTime) && one.playState !== "finished";
        const moving = document.getAnimations().filter(ends);
        moving.forEach(one => one.finish());
        if (moving.length) still = 0;
    }
})()"""
"""Ends every transition of a page, and returns after five frames in which none began."""

Look = Literal["light", "dark", "print"]


def missing() -> str:
    """What keeps browser tests from running, in words; empty where nothing does."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed: pip install playwright"
    if executable() is None:
        return "no Chromium is installed: apt-get install --no-install-recommends chromium"
    return ""


def executable() -> str | None:
    """Path of the system's Chromium."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Watch:
    """Listens to what goes wrong while a page is open.

    Parameters
    ----------
    faults
        Errors of the console and of scripts, and requests that would leave the machine.
    """

    faults: list[str] = field(default_factory=list)

    def attach(self, page: "Page") -> None:
        """Listen to a page."""
        page.on("console", lambda said: self.faults.append(f"console: {said.text} ({said.location})") if said.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", self._asked)

    def _asked(self, request: "Request") -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in INLINE and parts.hostname not in LOOPBACK:
            self.faults.append(f"request: {request.method} {request.url}")


@contextmanager
def chromium() -> "Iterator[Browser]":
    """A browser, with WebGL2 drawn by the processor."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        yield browser
        browser.close()


def address(path: Path) -> str:
    """A page on the disk, as a double click opens it."""
    return path.resolve().as_uri()


def picture(page: "Page", path: Path, *, width: int = WIDE, look: Look = "light", whole: bool = True) -> Path:
    """A PNG of a page as it looks so wide, in the light, in the dark, or on paper."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(media="print" if look == "print" else "screen", color_scheme="dark" if look == "dark" else "light")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=whole)
    page.emulate_media(media="screen", color_scheme="light")
    return path


def overflow(page: "Page") -> int:
    """Pixels by which a page is wider than its window, once plots took their new size; 0 where nothing has to be scrolled sideways.

    It asks again for ten seconds: pages forbid the way in which Playwright itself waits.
    """
    wider = 0
    for _ in range(200):
        wider = int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
        if wider <= 0:
            return 0
        page.wait_for_timeout(50)
    return wider


def barriers(page: "Page") -> list[str]:
    """Serious and critical faults that axe-core finds for people who cannot see, or use a keyboard alone; one line each.

    It looks once colours have settled: between light and dark a button passes through colours that nobody has to read.
    """
    from axe_playwright_python.base import AXE_FILE_PATH

    page.evaluate(SETTLED)
    page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))  # not a script tag: the pages forbid those of others
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{fault['impact']} {fault['id']}: {fault['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"][:3]
    ]
