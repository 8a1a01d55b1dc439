"""The comparison on the page says what ``hypojax study`` says of the same scans."""

from pathlib import Path

import numpy as np
import pytest
from light_cohorts import light_cohort, some_people

from hypojax.app.cohort_choice import CohortChoice
from hypojax.app.cohort_comparison import GroupQuestion, choices_of, compare_groups
from hypojax.app.cohort_filter import CohortFilter, chosen_scans
from hypojax.app.cohort_view import CohortView
from hypojax.cohort.ratings import Rating, add_rating
from hypojax.reason import RunError
from hypojax.study import StudySettings, analyse


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> CohortView:
    folder = tmp_path_factory.mktemp("cohorts")
    people = some_people(40, seed=3)
    light_cohort(folder / "a", people, failed=["sub-02"], flags={"sub-04": ["noisy"]})
    add_rating(folder / "a", Rating("sub-06", "reject", rater="anna"))
    return CohortChoice(folder).open("a")


def test_all_scans_give_the_sentences_of_the_command(view: CohortView) -> None:
    found = compare_groups(view, np.ones(len(view.scans), bool), choices_of(view).question)
    study = analyse(view.folder)
    assert (found.answers, found.warnings, found.formula) == (study.answers, study.warnings, study.formula)
    assert any("rejected by hand: sub-06" in sentence for sentence in found.counts)


def test_a_filter_gives_the_sentences_of_a_table_with_these_scans_only(view: CohortView, tmp_path: Path) -> None:
    asked = CohortFilter(site=("north",), oldest=70.0)
    keep = chosen_scans(view.scans, asked, view.rated())
    question = GroupQuestion("hypothalamus", "group", ("age", "icv"), "patient")
    found = compare_groups(view, keep, question)
    people = view.table[list(view.columns)].to_dataframe()[list(view.columns)]
    rows = people[(people["site"] == "north") & (people["age"].astype(float) <= 70)].drop(index=["sub-02", "sub-06"], errors="ignore")
    wholes = {f"{region}_mm3": view.scans[f"volume {region}"] for region in ("hypothalamus", "hypothalamus_left", "hypothalamus_right")}
    rows = rows.assign(**wholes, icv=view.scans["volume icv"])
    rows.rename_axis("scan").to_csv(tmp_path / "rows.tsv", sep="\t")
    by_hand = analyse(
        tmp_path / "rows.tsv",
        settings=StudySettings(formula="volume ~ group + age + icv", region=("hypothalamus",), cases=("control",), unit="mm3"),
    )
    assert found.answers[0] == by_hand.answers[0]


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (GroupQuestion("usual", "sex", ("age",)), "controls: F, M"),
        (GroupQuestion("usual", "path", ()), "from the list"),
        (GroupQuestion("usual", "group", ("age + open('x')",)), "from the lists"),
        (GroupQuestion("brain", "group", ("age",)), "no region"),
        (GroupQuestion("usual", "group", ("age",), "nobody"), "another group"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_the_next_step(view: CohortView, question: GroupQuestion, why: str) -> None:
    with pytest.raises(RunError, match=why.replace("(", r"\(")):
        compare_groups(view, np.ones(len(view.scans), bool), question)


def test_one_group_cannot_be_compared(view: CohortView) -> None:
    keep = chosen_scans(view.scans, CohortFilter(group=("patient",)), view.rated())
    with pytest.raises(RunError, match="two groups"):
        compare_groups(view, keep, choices_of(view).question)
