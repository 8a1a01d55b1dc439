"""What the documentation site is made of: help texts in their parts, tables that name every column, and links that are followed."""

from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="needs the extra docs")

from hypojax.cli.verbs import VERBS
from hypojax.schema import TABLE
from hypojax.volumes.flags import FLAGS

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(autouse=True)
def _beside_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))


@pytest.mark.parametrize("verb", VERBS)
def test_a_page_of_a_verb_has_its_options_examples_and_exit_codes(verb: str) -> None:
    from site_pages import help_pages

    text = help_pages.help_text([verb])
    parsed = help_pages.parse(text)
    names = {name for group in parsed.groups for name, _ in group.options}
    # Every option at the beginning of a line of the help is an option of the page, with a sentence of its own.
    assert {line.split("  ")[1] for line in text.splitlines() if line.startswith("  -") and line.strip(" -")} <= names
    assert all(said for group in parsed.groups for _, said in group.options)
    assert parsed.exit_codes
    assert f"\nhypojax {verb}" in help_pages.page(verb, parsed) or verb == "completion"


def test_the_data_dictionary_has_every_variable_column_and_flag() -> None:
    from site_pages import reference_pages

    text = reference_pages.data_dictionary()
    wanted = {variable.name for variable in TABLE} | set(FLAGS) | {"voxel_size_mm_i", "tilt_deg_right", "posterior", "head_image", "region"}
    assert [name for name in sorted(wanted) if f"| `{name}` |" not in text] == []


def test_a_broken_link_and_a_request_to_elsewhere_are_told(tmp_path: Path) -> None:
    from site_pages import links

    (tmp_path / "a.html").write_text('<h1 id="top-of-a">a</h1><a href="b.html#there">b</a><a href="https://example.org">out</a>')
    (tmp_path / "b.html").write_text('<p id="there">b</p><a href="a.html#top-of-a">a</a><img src="data:image/png;base64,">')
    assert links.faults(tmp_path) == []
    links.read.cache_clear()
    (tmp_path / "b.html").write_text('<a href="c.html">c</a><script src="https://cdn.example.org/x.js"></script>')
    assert links.faults(tmp_path) == [
        "a.html links to b.html#there: the page has no 'there'",
        "b.html loads https://cdn.example.org/x.js from elsewhere",
        "b.html links to c.html: there is no such file",
    ]


def test_links_between_files_of_the_repository_lead_to_the_pages_that_show_them() -> None:
    from site_pages.outside import rewritten

    root = DOCS.parent
    text = "[a](../cluster/README.md#slurm) [b](report.md) [c](../pipelines/segment_cohort.py) [d](https://example.org/x.md)"
    page = rewritten(text, written_in=DOCS, shown_in=DOCS, docs=DOCS)
    assert page == "[a](/reference/clusters.md#slurm) [b](/report.md) [c](../pipelines/segment_cohort.py) [d](https://example.org/x.md)"
    included = rewritten("[a](docs/study.md) [b](LICENSE)", written_in=root, shown_in=DOCS / "reference", docs=DOCS)
    assert included == "[a](/study.md) [b](../../LICENSE)"


def test_every_command_of_the_tutorial_is_found_and_works_in_the_folder_of_the_demo() -> None:
    from site_pages.tutorial_commands import commands

    found = commands(DOCS / "tutorial.md")
    assert found[:2] == ["hypojax info", "hypojax demo"]
    assert all("hypojax-demo" in command for command in found[2:])
