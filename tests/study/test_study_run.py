"""A whole study, from a cohort or a table to its page: a planted effect is found, and what has no answer is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from generated_cohort import generated
from r_reference import entry

from hypojax.cli import main
from hypojax.cli.verb import OK, USAGE
from hypojax.pages.page import markdown
from hypojax.reason import RunError
from hypojax.study import StudySettings, analyse, write_norms, write_study
from hypojax.study.writing.study_run import default_folder, write_findings
from hypojax.study.writing.study_text import study_page
from hypojax.tables.cells import NOT_AVAILABLE

GROUP = np.array(["control"] * 40 + ["patient"] * 40)


def cohort(factor: float = 0.85) -> xr.Dataset:
    """Forty people whose volumes are as they are, and forty whose volumes are times a factor."""
    both = generated(80, seed=3, failing=0.0)
    change = xr.DataArray(np.where(GROUP == "patient", factor, 1.0), dims="scan")
    is_head = both["region"] == "icv"
    return both.assign(volume_mm3=both["volume_mm3"] * xr.where(is_head, 1.0, change), group=("scan", GROUP))


def test_the_planted_difference_is_found_and_written_with_everything_around_it(tmp_path: Path) -> None:
    found = write_study(cohort(), out=tmp_path, settings=StudySettings(group="group"))
    estimate = found.effects.sel(region="hypothalamus", term="group", contrast="patient - control", quantity="percent").squeeze("method")
    assert float(estimate.ci_low) < float(estimate.ci_high) < -3
    assert "smaller in patient (n = 40) than in control (n = 40)" in found.answers[0]
    names = {path.relative_to(tmp_path).as_posix() for path in found.paths}
    assert {"study.md", "study.html", "effects.tsv", "effects.nc", "flow.tsv", "balance.tsv", "power.tsv", "head_size.tsv"} <= names
    assert {"diagnostics.tsv", "influence.tsv", "figures/differences.svg", "figures/groups.png", "figures/checks.svg"} <= names
    text = (tmp_path / "study.md").read_text(encoding="utf-8")
    assert "Model: volume ~ group + age + sex + icv." in text
    assert "(figures/groups.svg)" in text
    table = pd.read_csv(tmp_path / "effects.tsv", sep="\t", na_values=NOT_AVAILABLE)
    with xr.open_dataset(tmp_path / "effects.nc") as stored:
        row = table[(table["region"] == "hypothalamus") & (table["quantity"] == "difference") & (table["term"] == "group")].iloc[0]
        one = stored.sel({name: row[name] for name in ("region", "term", "contrast", "quantity", "method")})
        assert float(one["estimate"]) == pytest.approx(row["estimate"])


def test_too_few_people_are_said_before_the_answer() -> None:
    """Six people for five coefficients: whatever comes out is chance."""
    settings = StudySettings(group="group", region=("hypothalamus",))
    few = analyse(cohort().isel(scan=[0, 1, 2, 40, 41, 42]), settings=settings)
    assert few.warnings[0].startswith("Too few people: ")
    assert "degrees of freedom: " in few.warnings[0]
    assert few.warnings[0] in markdown(study_page(few.findings))
    assert not any("Too few people" in warning for warning in analyse(cohort(), settings=settings).warnings)


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    settings = StudySettings(group="group", region=("hypothalamus",))
    for name in ("first", "second"):
        write_findings(analyse(cohort(), settings=settings).findings, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir() if path.suffix != ".nc")
    assert len(files) > 8
    assert [name for name in files if (tmp_path / "first" / name).read_bytes() != (tmp_path / "second" / name).read_bytes()] == []


def test_numbers_of_a_study_are_those_of_r(shared: Path) -> None:
    known = entry(shared, "ols_cohort")
    settings = StudySettings(formula="volume ~ group + age + sex + icv", unit="mm3", region=("hypothalamus",))
    found = analyse(str(shared / "stats_reference" / "inputs" / "cohort.csv"), settings=settings)
    row = found.effects.sel(region="hypothalamus", term="group", contrast="patient - control", quantity="difference").squeeze("method")
    known.check({"estimate": float(row.estimate), "se": float(row.se), "p": float(row.p)}, "HC3", "grouppatient")
    power = found.findings.table("power").set_index("region")
    assert power.loc["hypothalamus", "smallest"] == pytest.approx(2.8 * float(row.se), rel=0.03)  # t.975 + t.80, the rule of thumb


def test_no_difference_shown_is_the_answer_for_ds002748(shared: Path) -> None:
    found = analyse(str(shared / "tables" / "ds002748_volumes.tsv"), settings=StudySettings(group="group", unit="mm3"))
    assert "no difference between depr (n = 51) and control (n = 21) was shown" in found.answers[0]
    assert "with 80 % power these data could have shown" in found.answers[0]
    assert any("not corrected for head size" in sentence for sentence in found.findings.remarks["head_size"])


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({"group": "patient"}, StudySettings(group="group"), "a comparison needs two groups"),
        ({}, StudySettings(group="group", harmonise=True), "two sites"),
        ({}, StudySettings(formula="volume ~ group + __import__('os')"), "character 18"),
        ({}, StudySettings(formula="volume ~ group + agee"), "agee"),
        ({}, StudySettings(group="group", region=("hypothalamos",)), "hypothalamus"),
        ({}, StudySettings(group="group", cases=("MCI",)), "MCI"),
        ({}, StudySettings(group="group", confidence=95.0), "--confidence 95"),
        ({}, StudySettings(group="group", permutations=-1), "--permutations -1"),
        ({}, StudySettings(group="group", norms="/nowhere/norms.nc"), "hypojax norms"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(change: dict[str, str], settings: StudySettings, words: str) -> None:
    people = cohort()
    for name, value in change.items():
        people = people.assign({name: ("scan", np.full(80, value))})
    with pytest.raises(RunError, match=words):
        analyse(people, settings=settings)


def test_the_verb_writes_beside_a_table_and_refuses_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = cohort()
    table = dataset["volume_mm3"].to_pandas().assign(group=GROUP, age=dataset["age"].values, sex=dataset["sex"].values)
    table.rename_axis("participant_id").to_csv(tmp_path / "volumes.tsv", sep="\t")
    arguments = ["study", str(tmp_path / "volumes.tsv"), "--group", "group", "--unit", "mm3", "--region", "hypothalamus", "--out"]
    assert main([*arguments, str(tmp_path / "study"), "--json"]) == OK
    document = json.loads(capsys.readouterr().out)
    assert (document["verb"], document["exit_code"], document["analysed"]) == ("study", 0, {"control": 40, "patient": 40})
    assert all(Path(path).is_file() for path in document["paths"])
    assert document["answers"][0].startswith("Hypothalamus: ")
    assert main(["study", str(tmp_path / "nothing.tsv"), "--group", "group"]) == USAGE
    shown = capsys.readouterr().err
    assert "error:" in shown
    assert "Traceback" not in shown


def test_sums_of_two_sites_give_the_answer_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = cohort()
    table = dataset["volume_mm3"].to_pandas().assign(group=GROUP, age=dataset["age"].values, sex=dataset["sex"].values)
    for number in (0, 1):
        part = table.iloc[number::2]
        part.rename_axis("participant_id").to_csv(tmp_path / f"{number}.tsv", sep="\t")
        source = [str(tmp_path / f"{number}.tsv"), "--group", "group", "--unit", "mm3", "--region", "hypothalamus"]
        assert main(["study", *source, "--summaries", str(tmp_path / f"{number}.json"), "--quiet"]) == OK
    capsys.readouterr()
    files = [str(tmp_path / f"{number}.json") for number in (0, 1)]
    assert main(["study", "--from-summaries", *files, "--out", str(tmp_path / "study"), "--json"]) == OK
    rows = json.loads(capsys.readouterr().out)["effects"]
    assert set(json.loads((tmp_path / "study" / "study.json").read_text())["files"]) >= {"effects.tsv", "study.md"}
    pooled = next(row for row in rows if row["region"] == "hypothalamus" and row["term"] == "group")
    people = table.assign(site=["A", "B"] * 40)
    settings = StudySettings(formula="volume ~ group + age + sex + icv + site", unit="mm3", region=("hypothalamus",))
    whole = analyse(people.rename_axis("participant_id").reset_index(), settings=settings).effects
    estimate = whole.estimate.sel(region="hypothalamus", term="group", contrast="patient - control", quantity="difference").squeeze(
        "method"
    )
    assert pooled["estimate"] == pytest.approx(float(estimate), rel=1e-8)


def test_the_change_of_people_is_a_study_too(shared: Path) -> None:
    settings = StudySettings(
        formula="volume ~ group + age_baseline + sex", change="years", subject="subject", region=("volume",), unit="mm3"
    )
    found = analyse(str(shared / "stats_reference" / "inputs" / "repeated.csv"), settings=settings)
    assert "a difference in change of" in found.answers[0]
    assert "mm³ a year" in found.answers[0]
    people = found.findings.table("change")
    assert people["subject"].nunique() == 32
    assert people["change"].isna().sum() == 1  # one person came once: a row, and no change


def test_sites_are_harmonised_before_the_model_and_the_method_says_so(shared: Path) -> None:
    settings = StudySettings(group="group", harmonise=True, region=("subunits",), unit="mm3")
    found = analyse(str(shared / "stats_reference" / "inputs" / "sites.csv"), settings=settings)
    assert set(found.findings.effects["method"]) == {"ComBat + linear model, HC3, t"}
    assert {"sites", "site_residuals"} <= set(found.findings.tables)
    assert any("were harmonised by ComBat" in sentence for sentence in found.findings.remarks["harmonisation"])


def test_nothing_of_an_earlier_study_stays_beside_another_and_other_files_do(tmp_path: Path) -> None:
    """A table of one question beside the page of another would be read as its own."""
    (tmp_path / "notes.tsv").write_text("mine")
    write_study(cohort(), out=tmp_path, settings=StudySettings(group="group", region=("hypothalamus",)))
    assert (tmp_path / "balance.tsv").is_file()
    found = write_study(cohort(), out=tmp_path, settings=StudySettings(formula="volume ~ age + icv", region=("hypothalamus",)))
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == {path.relative_to(tmp_path).as_posix() for path in found.paths} | {"notes.tsv"}
    assert "balance.tsv" not in there
    assert any("balance.tsv" in note for note in found.notes)


def test_results_lie_beside_a_store_and_not_in_it_nor_beside_a_bucket(tmp_path: Path) -> None:
    (tmp_path / "cohort.zarr").mkdir()
    assert default_folder(tmp_path / "cohort.zarr") == default_folder(str(tmp_path)) == tmp_path / "study"
    assert default_folder("s3://bucket/out") == Path("study")


def test_a_group_called_na_is_said_to_be_missing() -> None:
    groups = ["HC", "NA", "AD"] * 6
    table = pd.DataFrame({"participant_id": list("abcdefghijklmnopqr"), "group": groups, "hypothalamus": np.arange(800.0, 818.0) ** 1.01})
    found = analyse(table, settings=StudySettings(group="group", unit="mm3"))
    assert any("6 rows empty or NA, so in no group" in note for note in found.notes)
    with pytest.raises(RunError, match=r"'HC' in column 'group' \(6 more are empty or NA there\)"):
        analyse(table[table["group"] != "AD"], settings=StudySettings(group="group", unit="mm3"))


def test_what_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(RunError, match="is a file; name a folder"):
        write_study(str(tmp_path / "absent.tsv"), out=tmp_path / "taken" / "study", settings=StudySettings())


def test_the_table_for_a_terminal_fits_into_it() -> None:
    shown = analyse(cohort(), settings=StudySettings(group="group")).brief
    assert shown.title.endswith("by group, patient - control, mm³")
    assert (
        max(sum(map(len, row)) + 3 * len(row) + 1 for row in (shown.header, *shown.rows)) <= 82
    )  # two more: a region of two words is folded


def test_a_column_about_people_is_no_outcome() -> None:
    """In mm3 it would be a wrong number that looks right."""
    table = pd.DataFrame(
        {"participant_id": list("abcdef"), "group": ["HC", "AD"] * 3, "age": range(60, 66), "hypothalamus": range(800, 806)}
    )
    with pytest.raises(RunError, match="'age' is the age of the people, and no volume"):
        analyse(table, settings=StudySettings(formula="age ~ group", unit="mm3"))


def test_a_volume_that_is_the_same_in_all_scans_is_refused() -> None:
    table = pd.DataFrame({"participant_id": list("abcdef"), "group": ["HC", "AD"] * 3, "hypothalamus": 800.0})
    with pytest.raises(RunError, match="hypothalamus: all 6 scans have the volume 800"):
        analyse(table, settings=StudySettings(group="group", unit="mm3"))


def test_norms_say_how_well_calibrated_they_are(tmp_path: Path) -> None:
    settings = StudySettings(region=("hypothalamus",))
    brief = write_norms(cohort(1.0).drop_vars("group"), out=tmp_path / "norms.nc", settings=settings).brief
    assert brief.header[-2:] == ("beyond ±1.96", "by age band")
    assert all(row[-2].endswith("%") for row in brief.rows)


def test_norms_are_moved_to_a_site_that_has_controls_only(tmp_path: Path) -> None:
    settings = StudySettings(region=("hypothalamus",), norms=str(tmp_path / "norms.nc"), transfer=True)
    everybody = cohort(1.0).assign(group=("scan", np.full(80, "HC")))
    write_norms(everybody, out=tmp_path / "norms.nc", settings=StudySettings(region=("hypothalamus",)))
    assert not analyse(everybody, settings=settings).findings.table("people").empty
