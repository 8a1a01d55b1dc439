"""Cohorts of the page: only those of the folder, opened anew when the ledger changes, and the visit's own for nobody else."""

from pathlib import Path

import pytest
from light_cohorts import light_cohort, some_people

import hypojax.app.cohort_choice as choice_module
from hypojax.app.cohort_choice import OWN, CohortChoice
from hypojax.reason import RunError
from hypojax.store import CohortStore


def test_only_cohorts_that_lie_in_the_folder_are_in_the_list(tmp_path: Path) -> None:
    top = tmp_path / "cohorts"
    light_cohort(top / "b", some_people(2))
    light_cohort(tmp_path / "elsewhere", some_people(2))
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    (top / "half").mkdir()
    (top / "half" / "cohort.zarr").symlink_to(tmp_path / "elsewhere" / "cohort.zarr")
    (top / "A").symlink_to(top / "b")
    (top / ".hidden").symlink_to(top / "b")
    (top / "notes").mkdir()
    choice = CohortChoice(top)
    assert choice.names() == ["A", "b"]
    for name in ("linked", "half", ".hidden", "../elsewhere", "b/../b", str(tmp_path / "elsewhere"), "", "notes"):
        with pytest.raises(RunError, match="no cohort"):
            choice.open(name)
    assert CohortChoice(None).names() == [] == CohortChoice(tmp_path / "gone").names()


def test_a_folder_that_is_a_cohort_itself_counts(tmp_path: Path) -> None:
    light_cohort(tmp_path / "out", some_people(2))
    assert CohortChoice(tmp_path / "out").names() == ["out"]
    assert CohortChoice(tmp_path / "out").open("out").scans.index.tolist() == ["sub-01", "sub-02"]


def test_a_run_that_goes_on_is_followed_and_a_cohort_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice_module, "SLOW", 1e9)
    people = some_people(3)
    light_cohort(tmp_path / "a", people, pending=["sub-03"])
    choice = CohortChoice(tmp_path)
    first = choice.open("a")
    assert first.scans["status"].tolist() == ["done", "done", "pending"]
    assert choice.open("a") is first
    import numpy as np
    from report_cohorts import _regions, _row  # what a run writes next, without its table

    random = np.random.default_rng(1)
    CohortStore.open(tmp_path / "a" / "cohort.zarr").commit("sub-03", status="done", row=_row(random), regions=_regions(random))
    second = choice.open("a")
    assert second is not first
    assert second.scans["status"].tolist() == ["done"] * 3
    assert first.scans["status"].tolist() == ["done", "done", "pending"]


def test_scans_of_a_visit_are_hers_alone(tmp_path: Path) -> None:
    mine, hers = (light_cohort(tmp_path / name / "cohort", some_people(count)) for name, count in (("mine", 2), ("hers", 3)))
    choice = CohortChoice(tmp_path / "none")
    assert len(choice.open(OWN, own=mine).scans) == 2
    assert len(choice.open(OWN, own=hers).scans) == 3
    assert len(choice.open(OWN, own=mine).scans) == 2
    for own in (None, tmp_path / "nobody"):
        with pytest.raises(RunError, match="no cohort"):
            choice.open(OWN, own=own)
