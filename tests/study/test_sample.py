"""`hypojax.study.people.sample`: who is in a study, and what became of everybody else; from cohorts, wide and long tables, of any tool."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from r_reference import entry
from sample_store import DONE, FAILED, STRIPPED, small_store

from hypojax.cohort import export_table, open_cohort
from hypojax.cohort.opening import open_table
from hypojax.reason import RunError
from hypojax.schema import LABELS, REGIONS
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings

PEOPLE = pd.DataFrame(
    {
        "participant_id": [f"sub-{number:02}" for number in range(1, 7)],
        "diagnosis": ["HC", "hc", "AD", "AD", "MCI", "HC"],
        "Age": [70.0, 61, 55, 80, 66, 59],
        "gender": ["f", "m", "F", "M", "female", "male"],
        "eTIV": [1.4e6, 1.5e6, 1.45e6, 1.3e6, 1.6e6, 1.55e6],
        "hypothalamus": [900.0, 950, 800, 820, 870, 910],
    }
)


def flow(sample: Sample) -> dict[str, int]:
    return {row.what: row.count for row in sample.flow}


def said(sample: Sample, words: str) -> list[str]:
    return [note for note in sample.notes if words in note]


def test_a_table_by_its_usual_names() -> None:
    sample = read_sample(PEOPLE, StudySettings(unit="mm3"))
    assert sample.took == {"group": "diagnosis", "age": "Age", "sex": "gender", "icv": "eTIV", "subject": "participant_id"}
    assert sample.volumes["region"].to_numpy().tolist() == ["hypothalamus", "icv"]
    assert sample.volumes.attrs["units"] == "mm3"
    assert sample.people.index.tolist() == sample.volumes["scan"].to_numpy().tolist() == PEOPLE.participant_id.tolist()
    assert sample.people["group"].tolist() == sample.people["diagnosis"].tolist() == ["HC", "HC", "AD", "AD", "MCI", "HC"]
    assert sample.people["sex"].tolist() == ["F", "M", "F", "M", "F", "M"]
    assert sample.controls() == "HC"
    assert sample.references == {"group": "HC", "diagnosis": "HC"}
    assert flow(sample) == {"found": 6, "analysed": 6}
    assert not sample.repeated
    assert said(sample, "'hc' counts as 'HC'")


def test_the_unit_is_empty_and_said_where_no_one_says_it() -> None:
    sample = read_sample(PEOPLE)
    assert sample.volumes.attrs["units"] == ""
    assert said(sample, "name it with --unit")
    told = PEOPLE.rename(columns={"hypothalamus": "hypothalamus_mm3"})
    assert read_sample(told, StudySettings(region=("hypothalamus",))).volumes.attrs["units"] == "mm3"


def test_scans_without_a_covariate_stay_in_and_are_counted() -> None:
    people = PEOPLE.assign(Age=[70.0, np.nan, np.inf, 80, 66, 59], hypothalamus=[900.0, 950, 800, 0, np.nan, 910], eTIV=np.nan)
    sample = read_sample(people.assign(eTIV=[1.4e6, 1.5e6, 1.45e6, np.nan, np.nan, 1.5e6]))
    assert flow(sample) == {"found": 6, "without volume": 2, "without covariates": 2, "analysed": 2}
    assert next(row for row in sample.flow if row.what == "without covariates").ids == ("sub-02", "sub-03")
    assert len(sample.people) == 4
    assert said(sample, "1 volume of 0 or less counted as missing")
    assert flow(read_sample(people, StudySettings(formula="hypothalamus ~ gender"))) == {"found": 6, "without volume": 2, "analysed": 4}


def test_a_region_without_a_volume_in_some_scans_is_said(tmp_path: Path) -> None:
    people = PEOPLE.assign(hypothalamus_left=[1.0, np.nan, 1, 1, np.inf, 1], hypothalamus=[900.0, np.nan, 800, 800, np.nan, 1])
    assert said(read_sample(people), "hypothalamus, hypothalamus_left: no volume in 2 of 6 scans")
    small_store(tmp_path / "cohort.zarr")
    cohort = open_table(tmp_path)
    assert said(read_sample(cohort), "icv: no volume in 1 of 2 scans: skull_stripped (1)")
    masked = cohort.assign(brain_mask_mm3=("scan", np.arange(5.0) + 1e6))
    assert read_sample(masked, StudySettings(icv="brain_mask_mm3")).people["icv"].tolist() == [1e6, 1e6 + 1]
    heads = PEOPLE.assign(TIV=1.0)
    assert float(read_sample(heads, StudySettings(icv="TIV")).volumes.sel(region="icv")[0]) == 1.0


def test_nobody_is_dropped_in_silence(shared: Path) -> None:
    known = entry(shared, "ols_cohort_missing")
    table = shared / "stats_reference" / "inputs" / "cohort_missing.csv"
    sample = read_sample(table, StudySettings(formula="hypothalamus ~ group + age + sex + icv"))
    assert flow(sample)["found"] == known.at("n_rows")
    assert flow(sample)["analysed"] == known.at("n")


def test_a_cohort_with_a_scan_of_every_status(tmp_path: Path) -> None:
    small_store(tmp_path / "cohort.zarr")
    sample = read_sample(tmp_path, StudySettings(region=("hypothalamus", "icv")))
    assert flow(sample) == {"found": 5, "failed": 1, "not run": 2, "analysed": 2, "flagged": 2}
    assert sample.flow[1].ids == (FAILED,)
    assert "truncated" in sample.flow[1].sentence
    assert sample.people.index.tolist() == [DONE, STRIPPED]
    assert sample.volumes.attrs == {"units": "mm3", "hypojax_version": "0.1.0", "weights_sha256": "ab12"}
    assert np.isnan(sample.volumes.sel(scan=STRIPPED, region="icv"))
    assert sample.uncertainty is not None
    assert float(sample.uncertainty.sel(scan=DONE, region="hypothalamus")) == 0.5
    assert "each of 2 scans is 'control'" in sample.group_problem
    with pytest.raises(RunError, match="a comparison needs two groups"):
        read_sample(tmp_path / "cohort.zarr", StudySettings(group="group"))
    for same in (open_cohort(tmp_path), str(tmp_path)):
        pd.testing.assert_frame_equal(read_sample(same).people, sample.people)


def test_the_exports_of_a_cohort_give_the_same_sample(tmp_path: Path) -> None:
    small_store(tmp_path / "cohort.zarr")
    export_table(open_table(tmp_path), tmp_path)
    settings = StudySettings(region=("all",))
    right = read_sample(tmp_path, settings)
    for name in ("volumes.tsv", "volumes.parquet"):
        sample = read_sample(tmp_path / name, settings)
        np.testing.assert_array_equal(sample.volumes, right.volumes)
        assert sample.volumes["region"].to_numpy().tolist() == list(REGIONS)
        assert sample.volumes.attrs["units"] == "mm3"
        assert flow(sample) == flow(right)
        assert sample.uncertainty is not None
        np.testing.assert_array_equal(sample.uncertainty, right.uncertainty)
        pd.testing.assert_frame_equal(sample.people[["age", "group", "icv"]], right.people[["age", "group", "icv"]], check_dtype=False)


def test_a_skull_stripped_cohort_has_no_head_size_and_that_is_said(tmp_path: Path) -> None:
    small_store(tmp_path / "cohort.zarr")
    table = open_table(tmp_path)
    sample = read_sample(table.isel(scan=[1]))
    assert "icv" not in sample.people
    assert said(sample, "no scan has a head size (skull_stripped)")
    assert said(sample, "--icv brain_mask_mm3")


def test_duplicates_and_scans_rejected_by_hand_are_left_out_and_doubted_ones_marked(tmp_path: Path) -> None:
    table = PEOPLE.assign(duplicate_of=["", "sub-01", "", "", "", ""], flags=["", "", "noisy", "", "", ""])
    table.to_csv(tmp_path / "volumes.csv", index=False)
    ratings = [
        "scan\trater\trating\ttime\tnote",
        "sub-03\tan\treject\t2026-01-02T10:00:00\tblurred",
        "sub-03\tan\taccept\t2026-01-03T10:00:00\tseen again",
        "sub-04\tan\taccept\t2026-01-02T10:00:00\t",
        "sub-04\tbo\treject\t2026-01-01T10:00:00\t",
        "sub-05\tbo\tdoubt\t2026-01-01T10:00:00\t",
        "sub-99\tbo\tdoubt\t2026-01-01T10:00:00\t",
    ]
    (tmp_path / "qc.tsv").write_text("\n".join(ratings) + "\n")
    sample = read_sample(tmp_path / "volumes.csv")
    assert flow(sample) == {"found": 6, "duplicates": 1, "rejected by hand": 1, "analysed": 4, "flagged": 1, "doubted": 1}
    assert sample.people.index.tolist() == ["sub-01", "sub-03", "sub-05", "sub-06"]
    assert sample.flagged.tolist() == [False, True, False, False]
    assert sample.doubted.tolist() == [False, False, True, False]
    assert said(sample, "1 scan of them not among these")
    part = sample.part(~sample.flagged.to_numpy(dtype=bool))
    assert part.people.index.tolist() == part.volumes["scan"].to_numpy().tolist() == ["sub-01", "sub-05", "sub-06"]


def test_repeated_scans_are_known_and_duplicated_ids_refused(shared: Path) -> None:
    sample = read_sample(shared / "stats_reference" / "inputs" / "repeated.csv")
    assert sample.repeated
    assert (len(sample.people), sample.people["subject"].nunique()) == (100, 32)
    assert sample.took["time"] == "years"
    twice = pd.concat([PEOPLE, PEOPLE.iloc[[0]].assign(Age=71.0)], ignore_index=True)
    with pytest.raises(RunError, match=r"has 'sub-01' in rows 1, 7 \(1 id more than once\): keep one row for each scan, or say"):
        read_sample(twice)
    assert read_sample(twice, StudySettings(subject="participant_id")).people.index.tolist()[-1] == "sub-01_2"
    same = pd.concat([PEOPLE, PEOPLE.iloc[[0]]], ignore_index=True)
    with pytest.raises(RunError, match=r"keep one row for each scan$"):
        read_sample(same, StudySettings(subject="participant_id"))
    visits = PEOPLE.assign(session=["1", "1", "1", "1", "1", "1"])
    with pytest.raises(RunError, match="has 'sub-01_ses-1' in rows 1, 7"):
        read_sample(pd.concat([visits, visits.iloc[[0]].assign(Age=71.0)], ignore_index=True))


def test_oasis_has_people_scanned_twice_and_its_ses_is_no_session(shared: Path) -> None:
    table = shared / "tables" / "oasis1_cross_sectional.csv"
    sample = read_sample(table, StudySettings(region=("nWBV",), group="CDR", cases=("0.5", "1", "2")))
    assert (len(sample.people), sample.people["subject"].nunique()) == (436, 416)
    assert sample.repeated
    assert said(sample, "ids OAS1_0061_MR1 and OAS1_0061_MR2 are taken as scans of one subject")
    assert sample.took["icv"] == "eTIV"
    assert sample.controls() == "0"
    assert flow(sample) == {"found": 436, "without covariates": 201, "analysed": 235}
    assert read_sample(table, StudySettings(region=("nWBV",), subject="ID")).repeated


def test_ixi_is_joined_and_its_numbers_are_names(shared: Path) -> None:
    tables = shared / "tables"
    settings = StudySettings(region=("701",), icv="702", pheno=str(tables / "ixi_demographics.csv"))
    sample = read_sample(pd.read_csv(tables / "ixi_dlmuse_volumes.csv", usecols=["ID", "701", "702"]), settings)
    assert flow(sample) == {"found": 291, "analysed": 291}
    assert sample.people["age"].notna().all()
    facts = sample.people.groupby("sex")["icv"].mean()
    assert facts["M"] > facts["F"]


def test_ds002748_is_read_with_its_groups_and_without_head_size(shared: Path) -> None:
    sample = read_sample(shared / "tables" / "ds002748_volumes.tsv", StudySettings(unit="mm3", region=("hypothalamus", "subunits")))
    assert sample.people["group"].value_counts().to_dict() == {"depr": 51, "control": 21}
    assert sample.took["sex"] == "gender"
    assert set(sample.people["sex"]) == {"M", "F"}
    assert sample.volumes.sizes == {"scan": 72, "region": 13}
    assert sample.controls() == "control"
    assert sample.flagged.all()
    assert sample.uncertainty is not None
    assert said(sample, "no scan has a head size (skull_stripped)")
    with pytest.raises(RunError, match=r"each of \d+ scans is 'depr' in column 'group': a comparison needs two groups"):
        read_sample(shared / "bids" / "ds002748" / "participants.tsv", StudySettings(region=("age",), group="group"))


def test_wholes_are_sums_of_parts_and_other_tools_are_understood() -> None:
    sides = [f"{side} {name}" for side in ("left", "right") for name in FREESURFER]
    table = pd.DataFrame([[float(number + row) for number in range(10)] for row in range(1, 4)], columns=sides)
    table.insert(0, "subject", ["a", "b", "c"])
    sample = read_sample(table, StudySettings(region=("all",)))
    assert sample.volumes["region"].to_numpy().tolist() == list(REGIONS[1:])
    assert float(sample.volumes.sel(scan="a", region="right_inferior_tubular")) == 10.0
    parts = sample.volumes.sel(region=list(LABELS.values())).sum("region")
    np.testing.assert_allclose(sample.volumes.sel(region="hypothalamus"), parts)
    assert said(sample, "hypothalamus is the sum of hypothalamus_left, hypothalamus_right")
    table.loc[1, "left posterior"] = np.nan
    assert np.isnan(read_sample(table, StudySettings(region=("all",))).volumes.sel(scan="b", region="hypothalamus"))


FREESURFER = ("anterior-inferior", "anterior-superior", "posterior", "tubular superior", "tubular inferior")


def test_regions_that_are_not_there_are_refused_or_said() -> None:
    with pytest.raises(RunError, match=r"region 'hypothalmus' has no column of volumes; is it 'hypothalamus'\?"):
        read_sample(PEOPLE, StudySettings(region=("hypothalmus",)))
    with pytest.raises(RunError, match="region 'subunits' has no column"):
        read_sample(PEOPLE, StudySettings(region=("subunits",)))
    with pytest.raises(RunError, match="no volumes of the hypothalamus were found"):
        read_sample(PEOPLE.drop(columns=["hypothalamus", "eTIV"]).assign(thalamus=1.0))
    assert said(read_sample(PEOPLE.drop(columns="eTIV")), "region icv: no column has its volume")
    named = read_sample(PEOPLE.assign(thalamus=7.0), StudySettings(formula="thalamus ~ diagnosis"))
    assert named.volumes["region"].to_numpy().tolist() == ["thalamus"]


def test_many_columns_are_read() -> None:
    rng = np.random.default_rng(0)
    many = pd.DataFrame(rng.normal(size=(6, 2000)), columns=[f"voxel_{number}" for number in range(2000)])
    sample = read_sample(pd.concat([PEOPLE.drop(columns="hypothalamus"), many], axis=1), StudySettings(region=("all",)))
    assert sample.volumes.sizes["region"] == 2001


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".xlsx", ".dta", ".sav", ".xpt"])
def test_participants_tables_of_all_kinds_are_joined_by_subject(tmp_path: Path, suffix: str) -> None:
    volumes = PEOPLE[["participant_id", "hypothalamus"]]
    number = [int(name[4:]) for name in PEOPLE.participant_id]
    clinic = PEOPLE[["diagnosis", "Age", "gender"]].assign(id=number).iloc[[5, 1, 2, 3, 0]]
    clinic = pd.concat([clinic, clinic.iloc[[0]].assign(id=77)], ignore_index=True)
    place = tmp_path / f"clinic{suffix}"
    if suffix in (".csv", ".tsv"):
        clinic.to_csv(place, index=False, sep="\t" if suffix == ".tsv" else ",")
    elif suffix == ".parquet":
        clinic.to_parquet(place)
    elif suffix == ".xlsx":
        clinic.to_excel(place, index=False)
    elif suffix == ".dta":
        clinic.to_stata(place, write_index=False)
    else:
        import pyreadstat

        pyreadstat.write_sav(clinic, str(place)) if suffix == ".sav" else pyreadstat.write_xport(clinic, str(place), file_format_version=8)
    sample = read_sample(volumes, StudySettings(pheno=str(place)))
    assert sample.people["age"].tolist()[:4] == [70.0, 61.0, 55.0, 80.0]
    assert np.isnan(sample.people["age"].iloc[4])
    assert sample.people["sex"].tolist()[:4] == ["F", "M", "F", "M"]
    assert flow(sample) == {"found": 6, "without covariates": 1, "analysed": 5}
    assert said(sample, "its ids are numbers and were matched with zeros before them (1 as 01)")
    assert said(sample, "1 of 6 scans without a row (sub-05); 1 row without a scan ('77')")


def test_sessions_are_joined_by_session_and_a_table_that_differs_is_said(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"subject": ["01", "01", "02"], "session": ["1", "2", "1"], "age": [30.0, 32, 40], "hypothalamus": [900.0, 880, 910]}
    )
    clinic = pd.DataFrame(
        {"participant_id": ["sub-01", "sub-01", "sub-02"], "session_id": ["ses-1", "ses-2", "ses-1"], "age": [30, 33, 40], "bdi": [5, 9, 2]}
    )
    clinic.to_csv(tmp_path / "clinic.tsv", sep="\t", index=False)
    sample = read_sample(table, StudySettings(pheno=str(tmp_path / "clinic.tsv")))
    assert sample.people["bdi"].tolist() == [5, 9, 2]
    assert sample.people["age"].tolist() == [30, 33, 40]
    assert said(sample, "column 'age' differs in 1 scan")
    assert sample.people.index.tolist() == ["01_1", "01_2", "02_1"]


def test_a_participants_table_of_other_people_is_refused_with_examples(tmp_path: Path) -> None:
    pd.DataFrame({"participant_id": ["x1", "x2"], "age": [1, 2]}).to_csv(tmp_path / "clinic.csv", index=False)
    with pytest.raises(RunError, match=r"none of its ids \('x1', 'x2'\) is one of the scans' \('sub-01', 'sub-02', 'sub-03'\)"):
        read_sample(PEOPLE, StudySettings(pheno=str(tmp_path / "clinic.csv")))
    (tmp_path / "broken.sav").write_bytes(b"not a table")
    with pytest.raises(RunError, match="cannot be read as SPSS"):
        read_sample(PEOPLE, StudySettings(pheno=str(tmp_path / "broken.sav")))


def test_codes_of_sex_have_the_meaning_that_a_description_gives_them(tmp_path: Path) -> None:
    table = PEOPLE.assign(gender=[1, 2, 1, 2, 1, 2])
    table.to_csv(tmp_path / "volumes.csv", index=False)
    coded = read_sample(tmp_path / "volumes.csv")
    assert coded.people["sex"].tolist() == ["1", "2"] * 3
    assert said(coded, "has the codes 1 and 2, and nothing says which is male")
    (tmp_path / "volumes.json").write_text(json.dumps({"gender": {"Levels": {"1": "female", "2": "male"}}}))
    assert read_sample(tmp_path / "volumes.csv").people["sex"].tolist() == ["F", "M"] * 3


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (StudySettings(group="dx"), "--group dx: no such column"),
        (StudySettings(age="years"), "--age years: no such column"),
        (StudySettings(cases=("FTD",)), "nobody is 'FTD' in column 'diagnosis'; it has AD \\(2\\), HC \\(3\\), MCI \\(1\\)"),
        (StudySettings(cases=("HC", "AD", "MCI")), "nobody is left as a control"),
        (StudySettings(subject="who"), "--subject who: no such column"),
    ],
)
def test_what_was_named_and_is_not_there_is_refused(settings: StudySettings, why: str) -> None:
    with pytest.raises(RunError, match=why):
        read_sample(PEOPLE, settings)
    with pytest.raises(RunError, match="no column of groups was found"):
        read_sample(PEOPLE.drop(columns="diagnosis"), StudySettings(cases=("AD",)))


def test_cases_are_named_and_all_others_are_controls() -> None:
    sample = read_sample(PEOPLE, StudySettings(cases=("ad",)))
    assert sample.people["group"].tolist() == ["controls", "controls", "AD", "AD", "controls", "controls"]
    assert said(sample, "controls are all that are not AD in column 'diagnosis': AD (2), HC (3), MCI (1)")
    assert sample.controls() == "controls"


def test_nothing_left_is_refused_with_the_flow() -> None:
    with pytest.raises(RunError, match=r"no scan is left: 6 scans found; 6 scans without volume.*; measure more scans"):
        read_sample(PEOPLE.assign(hypothalamus=np.nan, eTIV=np.nan))


def test_columns_that_share_a_name_with_ours_are_those_of_the_table(tmp_path: Path) -> None:
    people = PEOPLE.drop(columns="diagnosis").assign(status=["control", "patient"] * 3, flags=["0", "1"] * 3, rating=[3, 4, 5] * 2)
    sample = read_sample(people, StudySettings(group="status"))
    assert sample.controls() == "control"
    assert flow(sample) == {"found": 6, "analysed": 6, "flagged": 3}
    assert sample.people["rating"].tolist() == [3, 4, 5] * 2


def test_a_participants_table_never_overwrites_what_was_measured(tmp_path: Path) -> None:
    small_store(tmp_path / "cohort.zarr")
    clinic = pd.DataFrame({"participant_id": ["01", "02", "03"], "status": ["enrolled"] * 3, "icv": [1500.0] * 3, "Record": [1, 2, 3]})
    clinic.to_csv(tmp_path / "clinic.csv", index=False)
    sample = read_sample(tmp_path, StudySettings(pheno=str(tmp_path / "clinic.csv")))
    assert flow(sample) == flow(read_sample(tmp_path))
    assert sample.people["icv"].tolist()[0] == 10.0
    assert sample.people["icv_participant"].tolist() == [1500.0, 1500.0]
    assert said(sample, "column 'icv' of table")
    named = read_sample(tmp_path, StudySettings(pheno=str(tmp_path / "clinic.csv"), icv="icv_participant", subject="Record"))
    assert named.people["icv"].tolist() == [1500.0, 1500.0]


def test_pandas_tables_of_every_dtype_and_index_give_the_same_sample() -> None:
    right = read_sample(PEOPLE)
    for table in (
        PEOPLE.convert_dtypes(),
        PEOPLE.astype({"diagnosis": "category", "gender": "category"}),
        PEOPLE.set_index("participant_id"),
        PEOPLE.astype(object),
        PEOPLE.iloc[[0, 1, 2, 3, 4, 5]].set_axis([9, 8, 7, 6, 5, 4]),
    ):
        sample = read_sample(table)
        np.testing.assert_array_equal(sample.volumes, right.volumes)
        assert sample.people.index.tolist() == right.people.index.tolist()
        assert sample.people[["group", "sex"]].to_numpy().tolist() == right.people[["group", "sex"]].to_numpy().tolist()
        assert sample.people["age"].tolist() == right.people["age"].tolist()
