"""Sets of subjects: whole subjects, right sizes, the same for any order of rows, and alike."""

from itertools import permutations
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypojax.cli import main
from hypojax.matching import SplitPlan, balance_table, folds, hold_out, matched_pairs, split_table
from hypojax.matching.balance import standardized_difference
from hypojax.matching.sets import assign
from hypojax.matching.splitter import write_split
from hypojax.reason import Reason, RunError
from hypojax.tables import read_table
from hypojax.tables.writer import tsv

AGES = st.one_of(st.none(), st.floats(18, 90))
PERSON = st.tuples(AGES, st.sampled_from(["F", "M", None]), st.sampled_from(["here", "there"]), st.integers(1, 3))


@st.composite
def scan_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Scans of up to 60 people, one to three each, ages and sexes missing here and there."""
    people = draw(st.lists(PERSON, min_size=5, max_size=60))
    rows = [(f"sub-{number}", *person[:3]) for number, person in enumerate(people) for _ in range(person[3])]
    table = pd.DataFrame(rows, columns=["participant_id", "age", "sex", "site"])
    return table.assign(age=table.age.astype(float))


@settings(deadline=None, max_examples=15)
@given(table=scan_tables(), count=st.integers(2, 5), seed=st.integers(0, 99), shuffle=st.randoms(use_true_random=False))
def test_folds_are_of_whole_subjects_of_equal_size_whatever_the_order(table: pd.DataFrame, count: int, seed: int, shuffle: Random) -> None:
    found = folds(table, subject="participant_id", stratify=["site", "sex", "age"], count=count, seed=seed)
    people = found.groupby(table.participant_id)
    assert (people.nunique() == 1).all()
    sizes = people.first().value_counts().reindex(range(count), fill_value=0)
    assert sizes.max() - sizes.min() <= 1
    order = list(range(len(table)))
    shuffle.shuffle(order)
    again = folds(table.iloc[order], subject="participant_id", stratify=["site", "sex", "age"], count=count, seed=seed)
    pd.testing.assert_series_equal(again.sort_index(), found)


def cohort(size: int, *, seed: int) -> pd.DataFrame:
    """People of two sites, one of which scans the old."""
    random = np.random.default_rng(seed)
    site = random.choice(["here", "there"], size, p=[0.7, 0.3])
    age = random.normal(40, 12, size) + 20 * (site == "there")
    return pd.DataFrame(
        {"participant_id": [f"sub-{n}" for n in range(size)], "age": age, "sex": random.choice(["F", "M"], size), "site": site}
    )


def test_folds_are_more_alike_than_random_ones() -> None:
    """Mean age of five folds of 60 people: the spread over folds is a fraction of that of folds drawn blindly."""
    ours, blind = [], []
    for seed in range(10):
        table = cohort(60, seed=seed)
        found = folds(table, subject="participant_id", stratify=["site", "sex", "age"], seed=seed)
        ours.append(table.age.groupby(found).mean().std())
        blind.append(table.age.groupby(np.random.default_rng(seed).permutation(60) % 5).mean().std())
        counts = pd.crosstab(found, [table.site, table.sex])
        assert (counts.max() - counts.min()).max() <= 2
    assert np.mean(ours) < 0.4 * np.mean(blind)


def test_a_column_of_which_nothing_is_known_changes_nothing() -> None:
    table = cohort(30, seed=0)
    with_it = table.assign(handedness=None)
    found = [folds(one, subject="participant_id", stratify=list(one.columns[1:])) for one in (table, with_it)]
    pd.testing.assert_series_equal(*found)


def test_folds_say_what_is_wrong_with_a_table() -> None:
    table = cohort(6, seed=0)
    for wrong, what in (
        ({"subject": "name"}, "no column 'name'"),
        ({"stratify": ["height"]}, "no column 'height'"),
        ({"count": 7}, "7 folds of 6 subjects"),
        ({"count": 1}, "1 fold of"),
    ):
        with pytest.raises(RunError, match=what) as error:
            folds(table, **({"subject": "participant_id", "stratify": ["age"]} | wrong))
        assert error.value.reason is Reason.USAGE
    with pytest.raises(RunError, match="1 row without 'participant_id'"):
        folds(table.assign(participant_id=[*"abcde", None]), subject="participant_id", stratify=["age"])


def write(folder: Path, text: str, name: str = "participants.tsv") -> Path:
    """A table as somebody typed it; blanks stand for tabs."""
    path = folder / name
    path.write_text(text.replace(" ", "\t"))
    return path


@settings(deadline=None, max_examples=15)
@given(table=scan_tables(), size=st.one_of(st.integers(1, 8), st.floats(0.05, 0.6)), shuffle=st.randoms(use_true_random=False))
def test_a_test_set_is_of_whole_subjects_of_the_size_asked_for(table: pd.DataFrame, size: float, shuffle: Random) -> None:
    people = table.drop_duplicates("participant_id").dropna()
    count = size if isinstance(size, int) else max(1, round(size * len(people)))
    if count >= len(people):
        with pytest.raises(RunError, match="leaves none"):
            hold_out(table, subject="participant_id", match=["site", "sex", "age"], size=size)
        return
    found = hold_out(table, subject="participant_id", match=["site", "sex", "age"], size=size)
    assert (found.groupby(table.participant_id).nunique() == 1).all()
    tested = table[found == "test"]
    assert tested.participant_id.nunique() == count
    assert tested.notna().all(axis=None), "who cannot be matched is not tested"
    order = list(range(len(table)))
    shuffle.shuffle(order)
    again = hold_out(table.iloc[order], subject="participant_id", match=["site", "sex", "age"], size=size)
    pd.testing.assert_series_equal(again.sort_index(), found)


def test_a_test_set_is_more_like_the_rest_than_a_random_one() -> None:
    """Worst standardized difference of age, sex and site: a fraction of that of test sets drawn blindly."""
    for size in (0.2, 10):
        tables = [cohort(80, seed=seed) for seed in range(4)]
        sets = [hold_out(table, subject="participant_id", match=["age", "sex", "site"], size=size) for table in tables]
        found = [balance_table(table.drop(columns="participant_id"), set_) for table, set_ in zip(tables, sets, strict=True)]
        after, before = (np.mean([table[name].max() for table in found]) for name in ("smd_after", "smd_before"))
        assert after < 0.4 * before


def test_another_seed_gives_another_test_set() -> None:
    table = cohort(80, seed=0)
    first, second = (hold_out(table, subject="participant_id", match=["age"], seed=seed) for seed in (0, 1))
    assert (first != second).any()


def clinic(size: int, *, seed: int) -> pd.DataFrame:
    """Old patients and younger controls."""
    random = np.random.default_rng(seed)
    ill = random.random(size) < 0.4
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{n}" for n in range(size)],
            "diagnosis": np.where(ill, "ALS", "control"),
            "age": random.normal(55, 12, size) + 8 * ill,
            "sex": random.choice(["F", "M"], size),
        }
    )


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), size=st.sampled_from(["all", 0.1, 6]), shuffle=st.randoms(use_true_random=False))
def test_pairs_are_a_case_and_a_control_within_the_caliper(seed: int, size: float | str, shuffle: Random) -> None:
    table = clinic(60, seed=seed)

    def pairs(rows: pd.DataFrame) -> pd.DataFrame:
        return matched_pairs(rows, subject="participant_id", group="diagnosis", cases=["ALS"], match=["age", "sex"], size=size)

    found = pairs(table)
    tested = table.join(found)[found["set"] == "test"].sort_values(["pair", "diagnosis"])
    groups = tested.groupby("pair")
    assert groups.diagnosis.unique().map(list).tolist() == [["ALS", "control"]] * groups.ngroups
    assert (groups.sex.nunique() == 1).all()
    within = np.sqrt(sum((group.age.var(ddof=1) * (len(group) - 1)) for _, group in table.groupby("diagnosis")) / (len(table) - 2))
    assert (groups.age.agg(np.ptp) <= 0.2 * within + 1e-9).all()
    if size != "all":
        assert len(tested) == 6
    order = list(range(len(table)))
    shuffle.shuffle(order)
    pd.testing.assert_frame_equal(pairs(table.iloc[order]).sort_index(), found)


@settings(deadline=None, max_examples=40)
@given(
    first=st.lists(st.integers(20, 60), min_size=1, max_size=4),
    second=st.lists(st.integers(20, 60), min_size=1, max_size=6),
    caliper=st.sampled_from([0.1, 0.5, 3.0]),
)
def test_the_assignment_is_the_best_of_all(first: list[int], second: list[int], caliper: float) -> None:
    """Against every way to give each case another control or none: most pairs, then the smallest sum of differences."""
    ages = [
        pd.DataFrame({"age": np.array(group, float) + 0.5}, index=[f"{name}{n}" for n in range(len(group))])
        for name, group in (("case", first), ("control", second))
    ]
    spread = np.sqrt(sum(((group.age - group.age.mean()) ** 2).sum() for group in ages) / max(1, len(first) + len(second) - 2))
    slots: list[int | None] = [*range(len(second)), *[None] * len(first)]
    best = (0, 0.0)
    for way in set(permutations(slots, len(first))):
        gaps = [abs(first[i] - second[j]) for i, j in enumerate(way) if j is not None]
        if all(gap <= caliper * spread + 1e-9 for gap in gaps):
            best = max(best, (len(gaps), -float(sum(gaps))))
    pairs = assign(*ages, caliper=caliper)
    gaps = [abs(ages[0].age[case] - ages[1].age[control]) for case, control in pairs.itertuples(index=False)]
    assert (len(pairs), -sum(gaps)) == pytest.approx(best)
    assert pairs.case.is_unique
    assert pairs.control.is_unique


def test_standardized_differences_by_hand() -> None:
    """Means 10 and 12 with SDs 2 and 2 differ by one; shares of 1/2 and 3/4 by 0.25 / sqrt((0.25 + 0.1875) / 2)."""
    assert standardized_difference(np.array([8.0, 10, 12]), np.array([10.0, 12, 14])) == pytest.approx(1.0)
    expected = 0.25 / np.sqrt((0.25 + 0.1875) / 2)
    assert standardized_difference(np.array([0.0, 1, 0, 1]), np.array([0.0, 1, 1, 1])) == pytest.approx(expected)
    assert standardized_difference(np.array([0.0, 0]), np.array([1.0, 1])) == np.inf


@pytest.mark.parametrize("name", ["participants.tsv", "participants.csv", "participants.parquet"])
def test_a_messy_table_is_read_as_it_is_meant(tmp_path: Path, name: str) -> None:
    """Sessions in ids, spellings of sex, missing and impossible ages, a row of nobody; each named, none dropped."""
    rows = [(f"sub-{n:02d}_ses-{session}", 20 + n, "male" if n % 2 else "f") for n in range(20) for session in (1, 2)]
    table = pd.DataFrame(rows, columns=["participant_id", "age", "gender"]).astype(str)
    table.loc[0, "age"], table.loc[1, "age"] = "n/a", "999"
    table.loc[10, "age"], table.loc[40] = "90+", ["n/a", "33", "f"]
    table["remark"] = 'said "no"'
    path = tmp_path / name
    if name.endswith("parquet"):
        table.replace("n/a", None).to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if name.endswith("tsv") else ",", index=False, quoting=3 if name.endswith("tsv") else 0)
    assert main(["split", str(path), "--size", "6", "--out", str(tmp_path / "out")]) == 0
    found = pd.read_csv(tmp_path / "out" / "split.tsv", sep="\t", na_values="n/a", keep_default_na=False)
    assert len(found) == 41
    assert (found.remark == 'said "no"').all()
    subject = found.participant_id.str[:6]
    assert (found["set"].groupby(subject).nunique() == 1).all()
    assert subject[found["set"] == "test"].nunique() == 6
    assert set(found["set"][subject == "sub-00"]) == {"train"}
    assert found.split_note.dropna().to_dict() == {0: "age not known", 1: "age not known", 40: "no subject named"}
    assert pd.isna(found["set"][40])
    notes = split_table(path, plan=SplitPlan(size=6)).notes
    assert any("'999' is not an age" in note for note in notes)
    assert any("1 row (41) without participant_id" in note for note in notes)
    balance = pd.read_csv(tmp_path / "out" / "balance.tsv", sep="\t", na_values="n/a")
    assert balance.variable.tolist() == ["age", "gender", "gender"]
    assert balance.level.tolist()[1:] == ["F", "M"]
    assert "balanced" in (tmp_path / "out" / "balance.md").read_text()


@pytest.mark.parametrize("ages", [[5, 6, 7, 8, 9], [7], [7.5, 8.25], ["7,5", "8 y"], ["018M", "2 y"], ["89+", "31"]])
@pytest.mark.parametrize("plan", [SplitPlan(size=4), SplitPlan(folds=3), SplitPlan(size="all", group="dx", cases=("ill",))])
def test_ages_are_numbers_however_few_and_however_written(tmp_path: Path, ages: list[object], plan: SplitPlan) -> None:
    """Five different ages of children are no categories: their balance is told by means."""
    lines = [f"{n:02d}|{ages[n // 2 % len(ages)]}|{'ill' if n % 2 else 'well'}|F" for n in range(20)]
    (tmp_path / "t.tsv").write_text("\n".join(["participant_id|age|dx|sex", *lines]).replace("|", "\t") + "\n")
    found = split_table(tmp_path / "t.tsv", plan=plan)
    age = found.balance[found.balance.variable == "age"]
    assert age.level.tolist() == [""]
    assert age.test.tolist() == ["Kruskal-Wallis"]
    assert found.table.participant_id.tolist() == [f"{n:02d}" for n in range(20)]
    if plan.folds:
        assert sorted(found.counts.values()) == [6, 7, 7]


@pytest.mark.parametrize("kind", ["text", "whole", "float", "tsv", "csv"])
def test_ids_of_a_split_are_those_of_its_table(tmp_path: Path, kind: str) -> None:
    ids = {"text": [f"{n:03d}" for n in range(10)], "whole": range(10**7, 10**7 + 10), "float": [float(10**7 + n) for n in range(10)]}
    frame = pd.DataFrame({"subject_id": list(ids.get(kind, ids["text"])), "age": range(20, 30), "site": [1.0] * 5 + [None] * 5})
    path = tmp_path / f"t.{kind if kind in ('tsv', 'csv') else 'parquet'}"
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
    split = split_table(path, plan=SplitPlan(match=("age", "site")))
    write_split(split, tmp_path / "out")
    written = pd.read_csv(tmp_path / "out" / "split.tsv", sep="\t", dtype=str)
    assert written.subject_id.tolist() == [f"{n:03d}" if kind in ("text", "tsv", "csv") else str(10**7 + n) for n in range(10)]
    assert "1" in set(split.balance.level)


def test_a_split_of_a_faulty_table_says_so(tmp_path: Path) -> None:
    text = "participant_id age sex\n" + "".join(f"{n:02d} {20 + n} F\n" for n in range(10)) + "10 31\n"
    notes = " ".join(split_table(write(tmp_path, text), plan=SplitPlan(size=2)).notes)
    assert "2 cells for 3 columns in line 12" in notes


@pytest.mark.parametrize(("row", "fault"), [("k,old,F", "'old' is not an age"), ("k,30", "has 2 cells for 3 columns in line 12")])
def test_a_faulty_table_is_refused_where_that_was_asked_for(tmp_path: Path, row: str, fault: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,age,sex\n" + "".join(f"{who},{30 + n},{'FM'[n % 2]}\n" for n, who in enumerate("abcdefghij")) + f"{row}\n")
    assert any(fault in note for note in split_table(path, plan=SplitPlan(size=2)).notes)
    with pytest.raises(RunError, match=rf"{fault}.*refused because of --strict-tables"):
        split_table(path, plan=SplitPlan(size=2), strict_tables=True)


def test_the_cells_of_a_split_are_read_back_as_they_were(tmp_path: Path) -> None:
    sites = ["=1+1", "a|b", "-x", "'q'", "@s", '"r"', "n\\t", "x  y", "é", "+"]
    frame = pd.DataFrame({"participant_id": [f"{n:02d}" for n in range(10)], "age": range(20, 30), "site": sites})
    (tmp_path / "t.tsv").write_bytes(tsv(frame))
    first = split_table(tmp_path / "t.tsv", plan=SplitPlan(size=2))
    assert first.table.site.tolist() == sites
    write_split(first, tmp_path / "out")
    again = read_table(tmp_path / "out" / "split.tsv", all_text=True)
    assert [row["site"] for row in again.rows] == sites


def test_wrong_use_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "participant_id age sex dx\na 30 M x\nb 31 F y\nc 32 F z\nd 40 M n/a\n")
    other = write(tmp_path, "name height\na 170\n", "other.tsv")
    mixed = write(tmp_path, "participant_id age sex\na 30 M\nb 31 1\n", "mixed.tsv")
    again = write(tmp_path, "participant_id age set\na 30 x\nb 31 x\nc 32 x\n", "again.tsv")
    empty = write(tmp_path, "participant_id age\n", "empty.tsv")
    ageless = write(tmp_path, "participant_id age\na n/a\nb old\n", "ageless.tsv")
    for arguments, what in (
        ([path, "--size", "0"], "size is 0"),
        ([path, "--size", "1.5"], "size is 1.5"),
        ([path, "--size", "all"], "--group"),
        ([path, "--size", "4"], "leaves none"),
        ([path, "--folds", "5"], "5 folds of 4 subjects"),
        ([path, "--match", "height"], "no column 'height'"),
        ([path, "--group", "dx"], "3 values (x, y, z)"),
        ([path, "--group", "dx", "--cases", "w"], "no row has 'dx' 'w'"),
        ([path, "--group", "dx", "--cases", "x", "--match", "age"], "0 pairs can be matched"),
        ([path, "--cases", "x"], "name its column with --group"),
        ([path, "--subject-from", "("], "no regular expression"),
        ([path, "--subject-from", "zz"], "finds nothing in id 'a'"),
        ([other], "no column of subjects was found"),
        ([other, "--subject", "name"], "no column of age or sex"),
        ([mixed], "both words (M) and codes (1)"),
        ([again], "already has a column 'set'"),
        ([empty], "no rows below its header"),
        ([ageless], "holds no age (found: , old)"),
        ([tmp_path / "nowhere.tsv"], "cannot be read"),
    ):
        assert main(["split", *map(str, arguments), "--out", str(tmp_path / "out")]) == 1
        assert what in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_subjects_of_several_datasets_are_told_apart(tmp_path: Path) -> None:
    """The same id in two datasets is two people: by two columns, or by the scans of a cohort's own table."""
    text = "\n".join(f"{dataset} sub-{n} {20 + n}" for dataset in ("A", "B") for n in range(10))
    path = write(tmp_path, f"dataset participant_id age\n{text}\n")
    assert split_table(path, plan=SplitPlan(subject=("dataset", "participant_id"))).counts == {"test": 4, "train": 16}
    told = split_table(path, plan=SplitPlan())
    assert told.counts == {"test": 4, "train": 16}
    assert "--subject participant_id" in told.notes[0]
    assert sum(split_table(path, plan=SplitPlan(subject=("participant_id",))).counts.values()) == 10
    text = "\n".join(f"{dataset}_sub-{n} {n} {20 + n} {region}" for dataset in ("A", "B") for n in range(10) for region in ("icv", "left"))
    path = write(tmp_path, f"scan subject age region\n{text}\n")
    assert split_table(path, plan=SplitPlan()).counts == {"test": 4, "train": 16}


def test_real_tables(shared: Path) -> None:
    """OASIS-1 with its second visits, IXI with the site in its ids, and three participants.tsv: far below what is called unbalanced."""
    oasis = shared / "tables" / "oasis1_cross_sectional.csv"
    found = split_table(oasis, plan=SplitPlan(size=80, subject_from=r"OAS1_\d+"))
    assert found.counts == {"test": 80, "train": 336}
    person = found.table.ID.str[:9]
    assert (found.table["set"].groupby(person).nunique() == 1).all()
    assert found.balance.smd_after.max() < 0.03 < found.balance.smd_before.max()
    pairs = split_table(oasis, plan=SplitPlan(size="all", subject_from=r"OAS1_\d+", group="CDR", cases=("0.5", "1", "2")))
    assert pairs.balance.smd_after.max() < 0.1
    assert pairs.balance.smd_before.max() > 0.6
    assert any("OAS1_0061_MR1, OAS1_0061_MR2" in note for note in split_table(oasis, plan=SplitPlan()).notes)
    ixi = split_table(shared / "tables" / "ixi_demographics.csv", plan=SplitPlan(folds=5))
    assert ixi.balance.smd_after.max() < 0.05 < ixi.balance.smd_before.max()
    assert sorted(ixi.counts.values()) == [58, 58, 58, 58, 59]
    for name in ("bids/ds000011", "bids/ds002748", "roi/ds002748"):
        people = split_table(shared / name / "participants.tsv", plan=SplitPlan(size=0.25))
        assert people.counts["test"] == round(0.25 * len(people.table))
