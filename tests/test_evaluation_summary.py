"""What an evaluation says: numbers by region and stratum, tables to read, files, the history of a store, and the verb."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from jaxtyping import Float64
from sample_store import small_store, snapshot
from standin import AFFINE, StandIn

from hypojax import execute
from hypojax.cli import main
from hypojax.cli.verb import NONE_SUCCEEDED, OK, SOME_FAILED, USAGE
from hypojax.evaluation import SUMMARY, ScanScores, compare, read_history, record, summarise, tabulate, write_evaluation
from hypojax.evaluation.archive import NAMES, netcdf
from hypojax.evaluation.evaluation_page import NOTES, evaluation_page, tables
from hypojax.evaluation.scores import METRICS
from hypojax.evaluation.summary import strata, subjects_of, wilson
from hypojax.metrics import PairedAgreement, bland_altman, bootstrap, icc21, icc31, paired_agreement
from hypojax.pages import html, markdown
from hypojax.phantom import Phantom, render
from hypojax.reason import Reason, RunError
from hypojax.scans import write_nifti
from hypojax.store import ScanEntry
from hypojax.store.evaluations import EVALUATIONS
from hypojax.store.sealed import encode

DATE: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
RESAMPLES: Final = 200
ROUNDING: Final = 1e-9
"""Relative; the same sums."""


def numbers(dice: float, *, predicted: float, reference: float, hd95: float = 1.0) -> dict[str, float]:
    known = {
        "dice": dice,
        "hd95_mm": hd95,
        "volume_predicted_mm3": predicted,
        "volume_reference_mm3": reference,
        "volume_error_mm3": predicted - reference,
    }
    return {**{variable.name: 0.5 for variable in METRICS}, **known}


def volumes(seed: int = 0, count: int = 12) -> Float64[np.ndarray, "scan 2"]:
    rng = np.random.default_rng(seed)
    people = rng.normal(850, 80, (count, 1))
    return np.asarray(people + rng.normal(0, 20, (count, 2)) + np.array([15.0, 0.0]))


def example(columns: dict[str, list[Any]] | None = None, *, message: str = "it ends early; copy it again") -> xr.Dataset:
    """Twelve scans of six subjects scored, one that failed, one whose reference was not usable."""
    measured = volumes()
    results = [
        ScanScores(f"s{n:02d}", {"hypothalamus": numbers(0.6 + n / 40, predicted=measured[n, 0], reference=measured[n, 1])})
        for n in range(12)
    ]
    results.append(ScanScores("s12", missing={"hypothalamus": "truncated"}, reason="truncated", message=message))
    results.append(ScanScores("s13", missing={"hypothalamus": Reason.NO_REFERENCE}, reason="corrupted", message="the reference is broken"))
    entries = [
        ScanEntry(
            scan=result.scan,
            path="",
            entities={"subject": str(n // 2)},
            columns={name: values[n] for name, values in (columns or {}).items()},
        )
        for n, result in enumerate(results)
    ]
    return tabulate(results, entries)


def of(summary: xr.Dataset, name: str, *, stratum: str = "all", metric: str | None = None) -> float:
    chosen = summary[name].sel(stratum=stratum, region="hypothalamus")
    return float(chosen.sel(metric=metric) if metric else chosen)


def test_a_summary_against_the_metrics_themselves() -> None:
    measured, scores = volumes(), example()
    found = summarise(scores, resamples=RESAMPLES)
    dice, subjects = 0.6 + np.arange(12) / 40, np.arange(12) // 2
    expected = bootstrap(dice, subjects=subjects, resamples=RESAMPLES)
    assert tuple(of(found, name, metric="dice") for name in ("mean", "mean_low", "mean_high")) == pytest.approx(tuple(expected))
    assert of(found, "worst", metric="dice") == 0.6
    assert of(found, "median", metric="dice") == pytest.approx(np.median(dice))
    errors = measured[:, 0] - measured[:, 1]
    assert of(found, "worst", metric="volume_error_mm3") == pytest.approx(errors[np.abs(errors).argmax()])
    assert of(found, "bias_mm3") == pytest.approx(bland_altman(errors).bias.estimate)
    assert (of(found, "icc21"), of(found, "icc31")) == pytest.approx((icc21(measured).estimate, icc31(measured).estimate))
    ratio = measured[:, 0] / measured[:, 1]
    assert (of(found, "volume_ratio"), of(found, "volume_ratio_scatter")) == pytest.approx((ratio.mean(), ratio.std(ddof=1) / ratio.mean()))


def columns_of(found: xr.Dataset) -> list[tuple[float, ...]]:
    """Estimate and ends of all that has an interval and is of volumes."""
    names = ("bias{}_mm3", "limit_lower{}_mm3", "limit_upper{}_mm3", "icc21{}", "icc31{}")
    return [tuple(of(found, name.format(end)) for end in ("", "_low", "_high")) for name in names]


def intervals_of(agreement: PairedAgreement) -> list[tuple[float, ...]]:
    limits = agreement.limits
    return [tuple(interval) for interval in (limits.bias, limits.lower, limits.upper, agreement.icc21, agreement.icc31)]


def test_agreement_knows_whose_scan_it_is() -> None:
    measured, scores = volumes(), example()
    by_subject = paired_agreement(measured, subjects=np.arange(12) // 2, resamples=RESAMPLES)
    together, alone = (summarise(one, resamples=RESAMPLES) for one in (scores, scores.drop_vars("subject")))
    np.testing.assert_allclose(columns_of(together), intervals_of(by_subject), rtol=ROUNDING)
    np.testing.assert_allclose(columns_of(alone), intervals_of(paired_agreement(measured)), rtol=ROUNDING)
    assert of(alone, "icc31_low") == pytest.approx(icc31(measured).low)
    assert of(alone, "limit_upper_high_mm3") == pytest.approx(bland_altman(measured[:, 0] - measured[:, 1]).upper.high)


def test_failures_count_and_are_in_no_mean() -> None:
    found = summarise(example(), resamples=RESAMPLES)
    assert (of(found, "scored"), of(found, "failed")) == (12, 1)  # the broken reference is no failure of the prediction
    assert of(found, "failure_rate") == pytest.approx(1 / 13)
    assert 0 < of(found, "failure_rate_low") < 1 / 13 < of(found, "failure_rate_high") < 0.4
    nobody = summarise(example().isel(scan=[12]), resamples=RESAMPLES)
    assert of(nobody, "failure_rate") == 1.0
    assert np.isnan([of(nobody, "mean", metric="dice"), of(nobody, "bias_mm3"), of(nobody, "icc31")]).all()


def test_a_missed_region_is_counted_and_left_out_of_mean_distances() -> None:
    results = [
        ScanScores("a", {"hypothalamus": numbers(0.9, predicted=800.0, reference=810.0, hd95=1.0)}),
        ScanScores("b", {"hypothalamus": numbers(0.0, predicted=0.0, reference=800.0, hd95=np.inf)}),
    ]
    found = summarise(tabulate(results, [ScanEntry(scan=name, path="", entities={}, columns={}) for name in "ab"]), resamples=RESAMPLES)
    assert (of(found, "missed"), of(found, "mean", metric="hd95_mm"), of(found, "worst", metric="hd95_mm")) == (1, 1.0, np.inf)
    assert of(found, "mean", metric="dice") == pytest.approx(0.45)


def test_what_is_declared_is_what_is_there() -> None:
    found = summarise(example(), resamples=RESAMPLES)
    assert [*found.data_vars] == [variable.name for variable in SUMMARY]
    for variable in SUMMARY:
        assert found[variable.name].dims == variable.dims
        assert found[variable.name].attrs == variable.attributes


def test_strata() -> None:
    columns: dict[str, list[Any]] = {
        "sex": ["F", "M"] * 6 + ["F", None],
        "age": [21, 29, 30, 39.5, *range(40, 50)],
        "field": [1.5, 3.0] * 7,
        "height": [float(n) for n in range(14)],
    }
    found = strata(example(columns), by=["sex", "age", "field", "height"])
    sizes = {name: int(chosen.sum()) for name, chosen in found.items()}
    assert sizes == {
        "all": 14,
        "sex F": 7, "sex M": 6, "sex unknown": 1,
        "age 20 to 29": 2, "age 30 to 39": 2, "age 40 to 49": 10,
        "field 1.5": 7, "field 3": 7,
        "height 0 to 4.33333": 5, "height 4.33333 to 8.66667": 4, "height 8.66667 to 13": 5,
    }  # fmt: skip
    by_sex = summarise(example(columns), by=["sex"], resamples=RESAMPLES)
    assert of(by_sex, "mean", stratum="sex F", metric="dice") == pytest.approx(np.mean(0.6 + np.arange(0, 12, 2) / 40))
    assert of(by_sex, "failed", stratum="sex F") == 1
    assert of(by_sex, "failed", stratum="sex M") == 0
    with pytest.raises(RunError, match=r"no 'site' to group them by \(known: dataset, subject, sex"):
        strata(example(columns), by=["site"])


def test_whose_scan_it_is() -> None:
    scores = example({"dataset": ["a"] * 2 + ["b"] * 12})
    assert subjects_of(scores)[:4].tolist() == ["a/sub-0", "a/sub-0", "b/sub-1", "b/sub-1"]
    assert subjects_of(scores.drop_vars(["subject", "dataset"]))[0] == "/s00"


class Cells(HTMLParser):
    """Cells and unexpected elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.elements: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.inside = tag in ("td", "th")
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


def test_tables_hold_the_same_in_markdown_and_html_and_nothing_of_a_file_becomes_markup() -> None:
    evil = '<script>alert("1")</script> a|b\nc'
    scores = example({"sex": ["<b>F</b>"] * 14}, message=evil).assign_attrs(predicted="<i>out</i>")
    summary = summarise(scores, by=["sex"], resamples=RESAMPLES)
    shown, page = tables(scores, summary), Cells()
    drawn = html(evaluation_page(scores, summary))
    page.feed(drawn)
    assert not {"b", "i"} & {*page.elements}
    assert "<script>alert(" not in drawn  # scripts of the page's own there may be
    text = [" ".join(cell.split()) for cell in page.cells]
    written = markdown(evaluation_page(scores, summary))
    assert "<script>" not in written
    assert r"a\|b\nc" in written
    for table in shown:
        for row in (table.header, *table.rows):
            assert len(row) == len(table.header)
            assert all(" ".join(cell.split()) in text for cell in row)
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in written.splitlines() if line.startswith("|")]
    assert {*widths} <= {len(table.header) + 1 for table in shown}
    assert [table.title for table in shown] == ["Overlap and distance", "Volumes", "hypothalamus by stratum", "Failed"]
    assert "0.737 (" in written


def shown_in(title: str, scores: xr.Dataset) -> dict[str, str]:
    """Column → cell of the first row of a table."""
    found = {table.title: table for table in tables(scores, summarise(scores, resamples=RESAMPLES))}[title]
    return dict(zip(found.header, found.rows[0], strict=True))


def test_tables_show_how_often_it_failed_and_how_sure_the_limits_are() -> None:
    low, high = (100 * end for end in wilson(1, 13)[1:])
    assert shown_in("Overlap and distance", example())["failed %"] == f"7.7 ({low:.1f} to {high:.1f})"
    volumes_shown = shown_in("Volumes", example())
    for name in ("lower limit mm³", "upper limit mm³"):
        assert re.fullmatch(r"-?\d+ \(-?\d+ to -?\d+\)", volumes_shown[name])


def test_what_counts_as_error_is_said_beside_it() -> None:
    assert {"CV %, both as repeats", "MDC mm³, both as repeats"} <= {*shown_in("Volumes", example())}
    described = {variable.name: variable.long_name for variable in SUMMARY}
    for text in (described["within_subject_cv"], described["minimal_detectable_change_mm3"], " ".join(NOTES)):
        assert "a constant difference between the two counts as error" in text


def test_what_is_not_known_is_a_dash() -> None:
    for chosen in ([0], [12], [13]):
        scores = example().isel(scan=chosen)
        cells = [cell for table in tables(scores, summarise(scores, resamples=RESAMPLES))[:2] for row in table.rows for cell in row]
        assert "–" in cells
        assert not [cell for cell in cells if "nan" in cell or "– to" in cell or "to –" in cell]


def test_files_open_without_hypojax(tmp_path: Path) -> None:
    scores = example({"age": [31] * 14, "IQ (a/b)": [100.5] * 14, "big": [2**40] * 14, "int": ["ü"] * 14})
    summary = summarise(scores, resamples=RESAMPLES)
    paths = write_evaluation(scores, summary, tmp_path / "evaluation")
    before = snapshot(tmp_path)
    write_evaluation(scores, summary, tmp_path / "evaluation")
    assert snapshot(tmp_path) == before
    assert [path.name for path in paths] == [*NAMES]
    code = (
        f"import xarray; d = xarray.open_dataset({str(paths[0])!r}).load(); d.close(); "
        "print(d.dice.attrs['long_name'], '|', float(d.dice.sel(scan='s00', region='hypothalamus')), '|', d.status.values[12], '|', "
        "d.age.values[0], '|', d['IQ__a_b_'].values[0], '|', int(d.big.values[0]) == 2**40, '|', d.int_.values[0])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    long_name, *values = (part.strip() for part in shown.split("|"))
    assert long_name.startswith("Dice coefficient")
    assert values == ["0.6", "failed", "31", "100.5", "True", "ü"]
    frame = pd.read_csv(paths[1], sep="\t", na_values="n/a", keep_default_na=False)
    assert len(frame) == 14
    assert frame.set_index("scan").loc["s03", "dice"] == pytest.approx(0.675)
    assert frame.set_index("scan").loc["s12", "missing_reason"] == "truncated"


def test_the_summary_is_in_files_too(tmp_path: Path) -> None:
    scores = example({"sex": ["F", "M"] * 7})
    summary = summarise(scores, by=["sex"], resamples=RESAMPLES)
    paths = {path.name: path for path in write_evaluation(scores, summary, tmp_path)}
    with xr.open_dataset(paths["summary.nc"], engine="scipy") as found:
        xr.testing.assert_identical(found.load(), summary)
    regions, metrics = (pd.read_csv(paths[name], sep="\t", na_values="n/a") for name in ("summary.tsv", "summary_metrics.tsv"))
    assert regions[["stratum", "region"]].to_numpy().tolist() == [[name, "hypothalamus"] for name in ("all", "sex F", "sex M")]
    assert {*regions} == {"stratum", "region", *(variable.name for variable in SUMMARY if "metric" not in variable.dims)}
    for name in ("failure_rate", "failure_rate_low", "limit_upper_high_mm3", "pearson", "concordance", "volume_ratio_scatter"):
        assert regions[name][0] == pytest.approx(of(summary, name))
    assert [*metrics] == ["stratum", "region", "metric", "mean", "mean_low", "mean_high", "median", "worst", "metric_units"]
    rows = metrics.set_index(["stratum", "metric"])
    assert len(rows) == 3 * len(METRICS)
    assert rows.loc[("sex F", "dice"), "median"] == pytest.approx(of(summary, "median", stratum="sex F", metric="dice"))
    assert rows.loc[("all", "hd95_mm"), "metric_units"] == "mm"


def test_netcdf_gives_back_what_it_was_given(tmp_path: Path) -> None:
    scores = example({"sex": ["F", "M"] * 7})
    (tmp_path / "a.nc").write_bytes(netcdf(scores))
    with xr.open_dataset(tmp_path / "a.nc") as found:
        xr.testing.assert_identical(found.load(), scores)


def test_history_is_only_added_to(tmp_path: Path) -> None:
    store = small_store(tmp_path / "out" / "cohort.zarr")
    before = snapshot(tmp_path)
    summary = summarise(example(), resamples=RESAMPLES).assign_attrs(predicted="a", weights_box_sha256="ab12")
    assert read_history(tmp_path / "out").empty
    second = record(tmp_path / "out", summary.assign_attrs(weights_box_sha256="cd34"), date=DATE + timedelta(days=1))
    first = record(tmp_path / "out", summary, date=DATE)
    assert record(store.root, summary, date=DATE) == first != second
    found = read_history(tmp_path / "out")
    assert found.date.tolist() == [pd.Timestamp(DATE), pd.Timestamp(DATE + timedelta(days=1))]
    assert found.weights_box_sha256.tolist() == ["ab12", "cd34"]
    assert found.dice[0] == pytest.approx(of(summary, "mean", metric="dice"))
    assert found.icc31_low[0] == pytest.approx(of(summary, "icc31_low"))
    assert found[["stratum", "region"]].to_numpy().tolist() == [["all", "hypothalamus"]] * 2
    after = snapshot(tmp_path)
    assert {key: after[key] for key in before} == before
    assert store.verify() == ()
    with xr.open_zarr(store.root) as table:
        assert "scan" in table.dims


def test_a_broken_off_or_damaged_record_is_left_out_and_named(tmp_path: Path) -> None:
    store = small_store(tmp_path / "cohort.zarr")
    summary = summarise(example(), resamples=RESAMPLES)
    name = record(store.root, summary, date=DATE)
    other = store.root / EVALUATIONS / name.replace("2026", "2027")
    other.mkdir()
    (other / "zarr.json.partial").write_bytes(b'{"zarr_fo')
    assert len(read_history(store.root)) == 1
    path = store.root / EVALUATIONS / name / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["regions"][0]["dice"] = 0.99
    path.write_bytes(encode(document))
    assert read_history(store.root).empty
    (problem,) = store.verify()
    assert name in str(problem)
    assert "digest does not match" in str(problem)


def test_a_history_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no cohort store"):
        record(tmp_path, summarise(example(), resamples=RESAMPLES))
    assert [*tmp_path.iterdir()] == []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of a run: two phantoms that are segmented from their formula, fine enough for labels, and one scan that fails."""
    folder = tmp_path_factory.mktemp("run")
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1.0])
    voxels = np.round(render(Phantom(noise=10.0), shape=(76, 88, 76), affine=affine)).astype(np.int16)
    for number in (1, 2):
        write_nifti(folder / "bids" / f"sub-0{number}" / "anat" / f"sub-0{number}_T1w.nii.gz", voxels, affine)
    broken = folder / "bids" / "sub-03" / "anat" / "sub-03_T1w.nii.gz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"")
    (folder / "bids" / "participants.tsv").write_text("participant_id\tsex\nsub-01\tF\nsub-02\tM\nsub-03\tF\n")
    execute.run([folder / "bids"], out=folder / "out", segmenter=StandIn())
    return folder / "out"


def test_a_run_against_its_own_derivatives(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(run, run / "derivatives")
    assert found.scan.values.tolist() == ["sub-01", "sub-02"]
    assert (found.dice == 1).all()
    assert found.region.values[0] == "icv"
    assert found.sex.values.tolist() == ["F", "M"]
    assert found.attrs["weights_box_sha256"] == "stand-in"
    assert compare(run / "derivatives", run / "derivatives").attrs["hypojax"] == found.attrs["hypojax"]
    arguments = ["evaluate", str(run), str(run / "derivatives"), "--by", "sex", "--record", str(run), "--out", str(tmp_path / "e")]
    assert main(arguments) == OK
    shown = capsys.readouterr()
    assert "hypothalamus_left" in shown.out
    assert "0 of 2" in shown.out
    assert "2/2 sub-02 done" in shown.err
    history = read_history(run)
    assert history.stratum.unique().tolist() == ["all", "sex F", "sex M"]
    assert history.weights_box_sha256.unique().tolist() == ["stand-in"]
    assert main(["verify", str(run)]) == OK


def test_a_scan_that_failed_in_the_run_is_a_failure_for_the_same_reason(run: Path, tmp_path: Path) -> None:
    reference = tmp_path / "manual"
    write_nifti(reference / "sub-03_dseg.nii.gz", np.arange(8, dtype=np.uint8).reshape(2, 2, 2), np.eye(4))
    found = compare(run, reference)
    assert (found.reason.item(), found.status.item()) == (Reason.EMPTY_FILE, "failed")
    assert "it failed when it was run: the file is empty" in found.message.item()


def test_exit_codes_and_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predicted, reference = tmp_path / "predicted", tmp_path / "reference"
    labels = (np.arange(125) % 11).astype(np.uint8).reshape(5, 5, 5)
    for folder, names in (
        (predicted, ("sub-01_dseg", "sub-09_dseg")),
        (reference, ("sub-01_dseg", "sub-02_dseg", "sub-01_label-ICV_mask")),
    ):
        for name in names:
            write_nifti(folder / f"{name}.nii.gz", labels, np.eye(4))
    out = ["--out", str(tmp_path / "e")]
    assert main(["evaluate", str(predicted), str(reference), *out]) == SOME_FAILED
    shown = capsys.readouterr().err
    assert "no prediction for" in shown
    assert "predictions without a reference: 1" in shown
    assert "references of icv were left out" in shown
    (reference / "sub-01_dseg.nii.gz").unlink()
    assert main(["evaluate", str(predicted), str(reference), *out]) == NONE_SUCCEEDED
    assert main(["evaluate", str(tmp_path / "nowhere"), str(reference), *out]) == USAGE
    assert main(["evaluate", str(predicted), str(reference), "--by", "site", *out]) == USAGE
    assert "no 'site' to group them by" in capsys.readouterr().err


def test_importing_it_is_no_load_of_jax() -> None:
    code = "import sys, hypojax.evaluation, hypojax.metrics; print(sorted({'jax', 'flax', 'optax', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(("reason", "failed"), [(Reason.NO_PREDICTION, 1), (Reason.AMBIGUOUS_PAIR, 1), (Reason.NO_REFERENCE, 0)])
def test_a_reference_without_a_prediction_is_a_failure_and_one_that_cannot_be_used_is_none(reason: Reason, failed: int) -> None:
    results = [ScanScores(f"s{n}", {"hypothalamus": numbers(0.8, predicted=800 + n, reference=810.0 - n)}) for n in range(4)]
    results.append(ScanScores("s4", missing={"hypothalamus": reason}, reason=str(reason), message="it says why"))
    entries = [ScanEntry(scan=result.scan, path="", entities={"subject": result.scan}, columns={}) for result in results]
    summary = summarise(tabulate(results, entries), resamples=RESAMPLES)
    assert (of(summary, "scored"), of(summary, "failed")) == (4, failed)
    assert of(summary, "failure_rate") == pytest.approx(failed / (4 + failed))
