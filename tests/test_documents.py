"""What documents name exists: files, and links between pages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAST = {"CHANGELOG.md"}
"""Names files that are gone."""

BUILT = {"docs/_build", "docs/generated", "docs/gallery"}
"""Folders that the build of the site makes."""

DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "checkpoints").glob("*.md"), *(ROOT / "cluster").glob("*.md")]
    if path.name not in PAST and not any(path.is_relative_to(ROOT / folder) for folder in BUILT)
)

NAMED = re.compile(r"`((?:hypojax|pipelines|tests|benchmarks|cluster|checkpoints|docs|\.ci)/[\w./-]*)`")
INSTALLED = {"hypojax/weights"}
"""Folders of an installed wheel that a checkout has elsewhere."""

LINKED = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [name for name in NAMED.findall(text) if not name.startswith((*INSTALLED, *BUILT)) and not (ROOT / name).exists()]
    missing += [link for link in LINKED.findall(text) if not (document.parent / link).exists()]
    assert missing == []
