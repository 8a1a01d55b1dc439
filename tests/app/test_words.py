"""All texts of the page stand in files of words, in every language with the same keys and placeholders, and none in code or templates."""

import ast
import re
from pathlib import Path

import pytest
from starlette.requests import Request

import hypojax.app
from hypojax.app.job_status import failure_text
from hypojax.app.words import Words, placeholders
from hypojax.reporting.quality_words import MEASURES
from hypojax.reporting.reason_words import FAILURES, GAPS
from hypojax.schema import SUBUNITS
from hypojax.volumes.flags import FLAGS

WORDS = Words()
ROOM = Path(hypojax.app.__file__).parent
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))


@pytest.mark.parametrize("language", [language for language in WORDS.languages if language != "en"])
def test_every_language_has_the_same_keys_and_placeholders(language: str) -> None:
    english, other = WORDS.texts("en"), WORDS.texts(language)
    assert sorted(other) == sorted(english)
    assert {key: placeholders(text) for key, text in other.items()} == {key: placeholders(text) for key, text in english.items()}
    assert [key for key, text in other.items() if bool(text) != bool(english[key])] == []


def test_what_the_library_can_say_of_a_scan_has_words() -> None:
    wanted = [f"failures.{reason}" for reason in FAILURES] + [f"failures.{reason}_step" for reason in FAILURES]
    wanted += [f"gaps.{reason}" for reason in GAPS] + [f"flags.{flag}" for flag in FLAGS] + [f"regions.{name}" for name in SUBUNITS]
    wanted += [f"measures.{measure.column}{ending}" for measure in MEASURES for ending in ("", "_meaning", "_step")]
    assert [key for key in wanted if key not in WORDS.texts("en")] == []


def test_measures_say_in_english_what_the_report_says() -> None:
    english = WORDS.texts("en")
    for measure in MEASURES:
        found = [english[f"measures.{measure.column}{ending}"] for ending in ("", "_meaning", "_step")]
        assert found == [measure.name, measure.meaning, measure.step]


def test_every_failure_ends_with_a_next_step() -> None:
    for language in WORDS.languages:
        for reason in (*FAILURES, "a_reason_of_tomorrow"):
            assert failure_text(WORDS, language, reason).step.endswith((".", "?"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_text_stands_in_a_template(template: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    shown = re.sub(r"<[^>]*>", " ", text)
    spoken = re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', text)
    assert re.findall(r"[^\W\d_]{2,}", " ".join([shown, *spoken])) == []


def test_texts_that_code_and_templates_name_exist() -> None:
    english = WORDS.texts("en")
    tables = {key.split(".", 1)[0] for key in english}
    named = set()
    for path in (*ROOM.glob("*.py"), *TEMPLATES):
        for found in re.findall(r"""["']([a-z_]+\.[a-z_0-9]+)["']""", path.read_text(encoding="utf-8")):
            table, name = found.split(".", 1)
            if table in tables and name not in {"html", "tsv", "js", "css", "zarr", "json", "zip", "png", "md"}:
                named.add(found)
    assert sorted(named - set(english)) == []


def test_labels_of_gradio_come_from_words() -> None:
    """No component of a tab is given a label, an info or a placeholder as plain text."""
    plain = []
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in {"label", "info", "placeholder"} and isinstance(node.value, ast.Constant):
                plain += [f"{path.name}: {node.value.value}"] * bool(re.search(r"\w{2}", str(node.value.value)))
    assert plain == []


@pytest.mark.parametrize(
    ("header", "cookie", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "", "de"),
        ("DE", "", "de"),
        ("fr-FR,de;q=0.5", "", "en"),
        ("", "", "en"),
        ("en-GB", "hypojax-language=de", "de"),
        ("de", "hypojax-language=../../etc", "de"),
    ],
)
def test_the_language_is_that_of_the_browser_or_the_one_chosen(header: str, cookie: str, language: str) -> None:
    headers = [(b"accept-language", header.encode()), (b"cookie", cookie.encode())]
    assert WORDS.language_of(Request({"type": "http", "headers": headers})) == language
