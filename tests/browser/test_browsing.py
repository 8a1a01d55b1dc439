"""The harness itself: it sees errors and requests, and does not invent them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Watch, address, barriers, overflow

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.error('bad')", "console: bad"),
        ("undefined_name()", "script: "),
        ("fetch('https://example.invalid/x').catch(() => 0)", "request: GET https://example.invalid/x"),
    ],
)
def test_a_fault_is_seen(page: "Page", watch: Watch, tmp_path: Path, script: str, fault: str) -> None:
    (tmp_path / "page.html").write_text(f"<!doctype html><title>t</title><script>{script}</script>")
    page.goto(address(tmp_path / "page.html"))
    page.wait_for_timeout(50)
    assert any(fault in found for found in watch.faults)
    watch.faults.clear()


def test_a_sound_page_has_no_fault_and_a_picture_without_words_is_one(page: "Page", tmp_path: Path) -> None:
    head = "<!doctype html><html lang=en><title>t</title><main><h1>A page</h1>"
    (tmp_path / "page.html").write_text(head)
    page.goto(address(tmp_path / "page.html"))
    assert barriers(page) == []
    assert overflow(page) == 0
    (tmp_path / "page.html").write_text(head + "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' width=20 height=20>")
    page.reload()
    assert any("image-alt" in found for found in barriers(page))
