"""The shape of the house: one noun a file, no name twice, pipelines that are short."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "hypojax").rglob("*.py"))

SMALL, LARGE = 50, 400
"""Lines: below the one a file is a fragment, above the other it holds more than one thing."""

FRAGMENTS = 12
"""Files of fewer lines than `SMALL`: the codebases that read best have 1 to 12."""


def test_no_two_files_have_one_name() -> None:
    names = Counter(path.name for path in FILES if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_two_classes_have_one_name() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in FILES)
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_files_hold_one_thing_whole() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [path for path, count in lines.items() if count > LARGE] == []
    # `__init__` of a room says what it is and what of it is public: its length tells nothing.
    fragments = [path for path, count in lines.items() if count < SMALL and not path.endswith("__init__.py")]
    assert len(fragments) < FRAGMENTS, fragments


def test_pipelines_for_users_and_for_maintainers_stay_short() -> None:
    limits = {ROOT / "pipelines": 80, ROOT / "pipelines" / "maintenance": 150}
    long = [path.name for folder, limit in limits.items() for path in folder.glob("*.py") if len(path.read_text().splitlines()) > limit]
    assert long == []
    assert len((ROOT / "pipelines" / "segment_cohort.py").read_text().splitlines()) <= 60
