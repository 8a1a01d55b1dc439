"""`hypojax.pages`: pages escape all text and allow no script but their own."""

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from hypojax.pages import Bullets, Figure, Heading, Page, Paragraph, TextTable, html, interval_figure
from hypojax.pages.figures import IntervalRow, blank_figure
from hypojax.pages.palette import DARK, LIGHT, css_properties
from hypojax.pages.rendering import TEMPLATES, inline_style, json_data, render_page
from hypojax.reason import HypojaxError, Reason


def test_missing_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(HypojaxError, match=r"hypojax\[report\]") as caught:
        blank_figure()
    assert caught.value.reason == Reason.USAGE


HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"' \x1b[31m \u2028 {{ 7 * 7 }} javascript:alert(3)"
"""Text that no page may take as anything but text."""

LEAST_CONTRAST = 4.5
"""Of text, for people who see little (WCAG 2.2, 1.4.3)."""


class Elements(HTMLParser):
    """Elements of a page, as a browser reads it: tags with their attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script" and "type" not in self.found[-1][1]:
            self.scripts.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def policy(page: str) -> dict[str, list[str]]:
    """Directives of the page's Content-Security-Policy."""
    said = next(found["content"] for found in Elements(page).attributes("meta") if found.get("http-equiv") == "Content-Security-Policy")
    return {parts[0]: parts[1:] for part in str(said).split(";") if (parts := part.split())}


def every_block() -> Page:
    """A page that has every kind of block, all of hostile text."""
    table = TextTable((HOSTILE, "b"), [(HOSTILE, HOSTILE)], title=HOSTILE, emphasis=("strong",), words=True)
    drawing = interval_figure([IntervalRow(HOSTILE, 0.03, 0.01, 0.05, strong=True)], limit=0.01)
    return Page(HOSTILE, [Heading(HOSTILE), Paragraph(HOSTILE, strong=True), Bullets([HOSTILE]), table, Figure(drawing, caption=HOSTILE)])


def test_no_text_becomes_markup_or_a_command_of_a_terminal() -> None:
    page = html(every_block())
    elements = Elements(page)
    assert not elements.attributes("img")
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert len(elements.scripts) == len(elements.attributes("script")) == 1
    assert "\x1b" not in page
    assert "\\x1b[31m" in page
    assert "{{ 7 * 7 }}" in page


def test_the_policy_allows_the_scripts_that_the_page_wrote_and_no_network() -> None:
    page = html(every_block())
    allowed = policy(page)
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in Elements(page).scripts]
    assert allowed["script-src"] == digests
    assert allowed["default-src"] == allowed["connect-src"] == allowed["form-action"] == allowed["base-uri"] == ["'none'"]
    assert not [word for words in allowed.values() for word in words if word.startswith("http") or word == "*" or "eval" in word]


def test_a_page_has_landmarks_a_link_past_its_header_and_no_address_elsewhere() -> None:
    elements = Elements(html(every_block()))
    assert [attributes.get("href") for attributes in elements.attributes("a")] == ["#content"]
    assert elements.attributes("main")[0]["id"] == "content"
    assert [len(elements.attributes(tag)) for tag in ("h1", "nav", "header", "footer")] == [1, 1, 1, 1]
    assert not [attributes for tag in ("link", "script", "img") for attributes in elements.attributes(tag) if "//" in str(attributes)]


def test_scripts_beside_the_page_and_data_are_allowed_by_name(tmp_path: Path) -> None:
    data = {"name": HOSTILE, "n": [1.5, None]}
    (tmp_path / "scan.html").write_text(
        '{% extends "base.html" %}{% block scripts %}{{ json_data("d", data) }}{{ local_script(address) }}{% endblock %}'
    )
    page = render_page("scan.html", {"data": data, "address": '../static/a b.js"'}, folders=(tmp_path,), connect="'self'", worker=True)
    allowed = policy(page)
    assert {"'self'", "file:"} <= set(allowed["script-src"])
    assert (allowed["connect-src"], allowed["worker-src"]) == (["'self'"], ["blob:"])
    assert {"src": '../static/a b.js"'} in Elements(page).attributes("script")
    stored = re.search(r'<script type="application/json" id="d">(.*?)</script>', page)
    assert stored is not None
    assert not set("<>&\u2028") & set(stored[1])
    assert json.loads(stored[1]) == data


def test_text_that_would_end_a_script_or_a_style_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text('{% extends "base.html" %}{% block scripts %}{{ inline_script(text) }}{% endblock %}')
    with pytest.raises(ValueError, match="must not contain"):
        render_page("bad.html", {"text": "a = '</SCRIPT>'"}, folders=(tmp_path,))
    with pytest.raises(ValueError, match="must not contain"):
        inline_style("a { } </Style>")
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_data("d", float("nan"))


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2)."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_background(theme: dict[str, str]) -> None:
    for background in ("paper", "panel", "doubt-back", "bad-back"):
        for text in ("ink", "faint", "accent", "good", "doubt", "bad"):
            darker, lighter = sorted((luminance(theme[background]), luminance(theme[text])))
            assert (lighter + 0.05) / (darker + 0.05) >= LEAST_CONTRAST, (background, text)


def test_every_colour_that_the_style_uses_is_declared() -> None:
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", (TEMPLATES / "house.css").read_text(encoding="utf-8")))
    assert used <= set(re.findall(r"--([a-z0-9-]+):", css_properties()))
    assert set(LIGHT) == set(DARK)
