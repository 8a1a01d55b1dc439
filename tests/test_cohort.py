"""The cohort: every input has a row, missing stays missing with its reason, and exports say what the Dataset says."""

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sample_store import DONE, FAILED, PENDING, STRIPPED, UNTOUCHED, entries, small_store
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from hypojax import cohort
from hypojax.cohort import AXES, RESERVED
from hypojax.reason import Reason, RunError
from hypojax.schema import HEAD_DIMS, MODEL_DIMS, REGIONS, TABLE
from hypojax.store import CohortStore, ScanEntry, ScanRecord
from hypojax.store.chunks import model_coordinates
from hypojax.store.root import table_objects
from hypojax.tables.cells import decoded
from hypojax.volumes import FLAGS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    """A store that these tests only read."""
    return small_store(tmp_path_factory.mktemp("cohort") / "cohort.zarr")


@pytest.fixture
def table(store: CohortStore) -> xr.Dataset:
    """Its table."""
    return cohort.build(store.records(), store.scans)


def entry(scan: str, columns: dict[str, Any]) -> ScanEntry:
    """An input with columns of a participants table."""
    return ScanEntry(scan=scan, path=f"{scan}.nii", entities={}, columns=columns)


def test_every_input_has_a_row(table: xr.Dataset) -> None:
    """Failed, ingested and untouched scans too, ordered by id, with status and reason and no number."""
    assert table.scan.values.tolist() == [DONE, STRIPPED, FAILED, PENDING, UNTOUCHED]
    assert table.status.values.tolist() == ["done", "done", "failed", "pending", "pending"]
    assert table.reason.sel(scan=FAILED).item() == "truncated"
    assert "copy it again" in table.message.sel(scan=FAILED).item()
    assert bool(table.volume_mm3.sel(scan=[FAILED, PENDING, UNTOUCHED]).isnull().all())
    assert bool(table.nonfinite_voxels.sel(scan=FAILED).isnull())
    assert not table.flagged.sel(scan=[FAILED, UNTOUCHED]).any()
    assert table.flag.values[table.flagged.sel(scan=DONE)].tolist() == ["noisy"]
    assert table.flag.values.tolist() == list(FLAGS)


def test_skull_stripped_scan_has_no_intracranial_volume(table: xr.Dataset) -> None:
    """Missing with a reason, not a wrong number; the hypothalamus is there."""
    scan = table.sel(scan=STRIPPED)
    for name in ("volume_mm3", "volume_hard_mm3", "uncertainty_mm3"):
        assert np.isnan(scan[name].sel(region="icv").item())
    assert scan.missing_reason.sel(region="icv").item() == Reason.SKULL_STRIPPED
    assert scan.volume_mm3.sel(region="hypothalamus").item() == 11.0
    assert scan.missing_reason.sel(region="hypothalamus").item() == ""


def test_variables_are_those_of_the_schema(table: xr.Dataset) -> None:
    """Name, dims, dtype and attributes come from one place; coordinates explain themselves."""
    assert list(table.data_vars) == [*(variable.name for variable in TABLE if "world" not in variable.dims), *cohort.people(table)]
    for variable in TABLE:
        stored = table[variable.name]
        assert stored.dims == variable.dims
        assert stored.attrs == variable.attributes
        assert stored.dtype == (object if variable.dtype == "str" else variable.dtype)
    assert table.region.values.tolist() == list(REGIONS)
    assert all(coordinate.attrs["long_name"] for coordinate in table.coords.values())


def test_participants_join_as_variables(table: xr.Dataset) -> None:
    """Whole numbers with a gap become floats, text stays text, a clash gets a name of its own, and one can select."""
    assert table.age.values.tolist()[:2] == [31, 52]
    assert np.isnan(table.age.sel(scan=FAILED).item())
    assert table.group.values.tolist() == ["control"] * 5
    assert table.status_participant.values.tolist() == ["enrolled"] * 5
    assert table.subject.values.tolist() == ["01", "02", "03", "04", "05"]
    assert table.where(table.age > 50, drop=True).scan.values.tolist() == [STRIPPED]


AWKWARD = ["Scan", "AGE", "age", ".x", "._x", "../up", "a/b", "a_b", "", "_x", "__x", " \0", "c\\d", "IQ Raven", "Do you sleep well? " * 30]
COLUMNS = st.dictionaries(
    st.one_of(st.sampled_from(sorted({*RESERVED, *AWKWARD})), st.text(max_size=6)),
    st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)),
    max_size=6,
)


@given(st.lists(COLUMNS, min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
@example([{" \x00": None, "\x85": None}])  # two names of nothing but blanks
def test_any_participants_table_can_be_stored(tables: list[dict[str, Any]]) -> None:
    """Whatever the columns are called and hold: no variable is lost or replaced, values survive, names are safe on disk."""
    scans = [entry(f"sub-{number}", columns) for number, columns in enumerate(tables)]
    built = cohort.build([], scans)
    names = {name for columns in tables for name in columns} - {"dataset"}  # which tells people apart where no input says it
    assert len(cohort.people(built)) == len(names)
    assert [*(variable.name for variable in TABLE if "world" not in variable.dims), *cohort.people(built)] == list(built.data_vars)
    assert len({str(name).casefold() for name in built.variables}) == len(built.variables)
    objects = table_objects(built)
    assert {key.split("/")[0] for key in objects} == {*map(str, built.variables), *model_coordinates(), "zarr.json"}
    memory = MemoryStore({key: default_buffer_prototype().buffer.from_bytes(data) for key, data in objects.items()})
    xr.testing.assert_equal(xr.open_zarr(memory, consolidated=False, chunks=None).load().drop_vars([*model_coordinates()]), built)


@given(st.lists(st.sampled_from(["done", "failed", "pending", "none"]), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_of_records_does_not_matter(statuses: list[str], random: Random) -> None:
    """Records in any order give the same table, inputs in any order the same rows; a slow twin counts its statuses."""
    scans = [entry(f"sub-{number:02}", {"age": number}) for number in range(len(statuses))]
    records = [
        ScanRecord(
            scan=scan["scan"], slot=0, status=status, reason="", message="", row={"seconds": 1.0}, regions={}, files={}, settings_sha256=""
        )
        for scan, status in zip(scans, statuses, strict=True)
        if status != "none"
    ]
    built = cohort.build(records, scans)
    shuffled = random.sample(scans, len(scans))
    again = cohort.build(random.sample(records, len(records)), shuffled)
    assert again.scan.values.tolist() == [scan["scan"] for scan in shuffled]
    assert again.sel(scan=built.scan.values).identical(built)
    numbers = cohort.summary(built)
    assert (numbers.scans, numbers.done, numbers.failed) == (len(scans), statuses.count("done"), statuses.count("failed"))
    assert numbers.pending == statuses.count("pending") + statuses.count("none")


def test_tidy_agrees_with_a_naive_loop(table: xr.Dataset) -> None:
    """One row a scan and region, every value the one the Dataset gives when asked for it."""
    frame = cohort.tidy(table)
    assert len(frame) == 5 * len(REGIONS)
    rows = iter(frame.itertuples(index=False))
    for scan in table.scan.values:
        for region in REGIONS:
            found, cell = next(rows), table.sel(scan=scan, region=region)
            assert (found.scan, found.region, found.status, found.age) == (
                scan,
                region,
                cell.status.item(),
                pytest.approx(cell.age.item(), nan_ok=True),
            )
            assert found.volume_mm3 == pytest.approx(cell.volume_mm3.item(), nan_ok=True)
            assert found.missing_reason == cell.missing_reason.item()
            for axis in AXES:
                assert getattr(found, f"voxel_size_mm_{axis}") == pytest.approx(cell.voxel_size_mm.sel(axis=axis).item(), nan_ok=True)


def test_exports_agree_with_the_dataset(store: CohortStore, table: xr.Dataset, tmp_path: Path) -> None:
    """Parquet and TSV hold the tidy frame; Parquet columns carry units; both are the same bytes the second time."""
    stored = cohort.open_cohort(store.root)
    parquet, tsv = cohort.export_table(stored, tmp_path / "out")
    tidy = cohort.tidy(table)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), tidy, check_dtype=False)
    text = pd.read_csv(tsv, sep="\t", dtype={"subject": str}, na_values=["n/a"], keep_default_na=False)
    assert list(text.columns) == list(tidy.columns)
    np.testing.assert_array_equal(text["volume_mm3"], tidy["volume_mm3"])
    assert decoded(text["message"].iloc[2 * len(REGIONS)]) == tidy["message"].iloc[2 * len(REGIONS)]
    assert pq.read_schema(parquet).field("volume_mm3").metadata[b"units"] == b"mm3"
    assert pq.read_schema(parquet).field("voxel_size_mm_i").metadata[b"units"] == b"mm"
    before = (parquet.read_bytes(), tsv.read_bytes())
    cohort.export_table(table, tmp_path / "out")
    assert (parquet.read_bytes(), tsv.read_bytes()) == before


def test_tsv_is_one_line_a_row(table: xr.Dataset, tmp_path: Path) -> None:
    """Tabs and line breaks in text never break the table; missing is n/a, as BIDS wants."""
    _, tsv = cohort.export_table(table, tmp_path)
    lines = tsv.read_text().splitlines()
    assert len(lines) == 1 + 5 * len(REGIONS)
    assert {line.count("\t") for line in lines} == {lines[0].count("\t")}
    assert "\tn/a\t" in lines[-1]


def test_export_to_a_place_that_cannot_be_written(table: xr.Dataset, tmp_path: Path) -> None:
    """A typed error, as of the store."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="cannot write") as caught:
        cohort.export_table(table, tmp_path / "file")
    assert caught.value.reason is Reason.NOT_WRITABLE


def test_summary(table: xr.Dataset) -> None:
    """The numbers of the summary table, counted by hand."""
    numbers = cohort.summary(table)
    assert (numbers.scans, numbers.done, numbers.failed, numbers.pending) == (5, 2, 1, 2)
    assert numbers.reasons == {"truncated": 1}
    assert numbers.missing_reasons == {"skull_stripped": 1}
    assert numbers.flags == {"noisy": 2}
    assert numbers.seconds == 1.5
    assert (numbers.regions["icv"].count, numbers.regions["icv"].missing) == (1, 1)
    assert numbers.regions["hypothalamus"].median == 11.0


def test_open_cohort(store: CohortStore, table: xr.Dataset, tmp_path: Path) -> None:
    """The store or the folder that holds it; what is not there is said."""
    assert cohort.open_table(store.root).equals(table)
    assert cohort.open_cohort(str(store.root.parent)).drop_dims([*MODEL_DIMS, *HEAD_DIMS]).equals(table)
    with pytest.raises(RunError, match="no cohort store at") as caught:
        cohort.open_cohort(tmp_path)
    assert caught.value.reason is Reason.NOTHING_FOUND


def test_a_cohort_measured_with_a_single_score_reads_as_the_score_of_its_hypothalamus(tmp_path: Path) -> None:
    """From the ledger, whose row has the score, and from the table that was stored then."""
    store = small_store(tmp_path / "cohort.zarr")
    records = [dict(record) for record in store.records()]
    done = next(record for record in records if record["scan"] == DONE)
    done["row"] = {**done["row"], "quality_score": 0.3, "flags": "low_quality_score noisy"}
    built = cohort.build(records, store.scans)
    scores = built.quality_score.sel(scan=DONE)
    assert scores.sel(region="hypothalamus").item() == 0.3
    assert int(scores.notnull().sum()) == 1
    assert built.flag.values[built.flagged.sel(scan=DONE)].tolist() == ["low_quality_hypothalamus", "noisy"]
    flags = ["low_quality_score" if flag == "low_quality_hypothalamus" else flag for flag in built.flag.values.tolist()]
    single = built.quality_score.sel(region="hypothalamus", drop=True)
    store.write_table(built.assign(quality_score=single).assign_coords(flag=built.flag.copy(data=np.array(flags, object))))
    xr.testing.assert_identical(cohort.open_table(store.root).drop_attrs(deep=False), built)


def test_empty_cohort(tmp_path: Path) -> None:
    """No scan at all is still a table."""
    store = CohortStore.create(tmp_path / "cohort.zarr", scans=[], settings={})
    store.write_table(cohort.build(store.records(), store.scans))
    assert cohort.open_cohort(tmp_path).sizes["scan"] == 0
    assert store.verify() == ()
    assert cohort.summary(cohort.build([], [])).scans == 0
    cohort.export_table(cohort.build([], []), tmp_path)


def test_undecodable_paths(tmp_path: Path) -> None:
    """File names that are not UTF-8 (they exist on old servers) do not break the table."""
    name = b"sub-\xff.nii".decode("utf-8", "surrogateescape")
    scans = [ScanEntry(scan=name, path=name, entities={}, columns={})]
    store = CohortStore.create(tmp_path / "cohort.zarr", scans=scans, settings={})
    store.commit(name, status="failed", reason=Reason.UNREADABLE, message=name)
    store.write_table(cohort.build(store.records(), store.scans))
    assert cohort.open_cohort(tmp_path).path.values.tolist() == ["sub-\\xff.nii"]
    assert store.verify() == ()


def test_data_side_stays_without_jax() -> None:
    """Opening a cohort must not cost the start of JAX."""
    code = "import sys, hypojax.cohort; assert not {'jax', 'flax', 'optax', 'nibabel'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(entries()) == 5


def test_ages_are_numbers_whatever_one_table_holds_in_their_place() -> None:
    def ages(*values: str | float | None) -> list[float]:
        columns = [{"age": value} for value in values]
        return cohort.build([], [ScanEntry(scan=f"{n}", path="", entities={}, columns=c) for n, c in enumerate(columns)]).age.values

    assert float(np.nanmean(ages(31, "89+", "30-34", None))) == 60
    assert np.isnan(ages(None, None)).all()
    assert ages(31, 42).dtype == np.int64
    assert list(ages("30-34", None)) == ["30-34", ""]


def test_two_sites_whose_columns_differ_become_one(tmp_path: Path) -> None:
    """`xarray.concat` alone joins them; what a site does not know is missing, in exports and files too."""
    first = cohort.build([], [entry("a1", {"age": 31, "group": "control"}), entry("a2", {"age": None, "group": "patient"})])
    second = cohort.build([], [{**entry("b1", {"site": "north", "iq": 104.5}), "dataset": "b"}])
    both = xr.concat([first, second], "scan")
    assert both.dataset.values.tolist() == ["", "", "b"]
    np.testing.assert_array_equal(both.age, [31, np.nan, np.nan])
    assert both.flagged.dtype == bool
    assert both.where(both.group == "patient", drop=True).scan.values.tolist() == ["a2"]
    frame = cohort.tidy(both).drop_duplicates("scan")
    assert frame[["group", "site"]].values.tolist() == [["control", ""], ["patient", ""], ["", "north"]]
    both.to_netcdf(tmp_path / "both.nc")
    both.to_zarr(tmp_path / "both.zarr", consolidated=False)
    for opened in (xr.open_dataset(tmp_path / "both.nc"), xr.open_zarr(tmp_path / "both.zarr", consolidated=False)):
        with opened:
            pd.testing.assert_frame_equal(cohort.tidy(opened.load()), cohort.tidy(both), check_like=True)
