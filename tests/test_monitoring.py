"""Drift: what moved is found and said, what did not is not, and too few scans are too few."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from generated_cohort import generated, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hypojax.cli import main
from hypojax.evaluation.archive import record
from hypojax.monitoring import DriftResult, Limits, compare, drift
from hypojax.monitoring.batches import chosen
from hypojax.monitoring.comparison import compare_repeats
from hypojax.monitoring.difference import adjusted_ratio, holm, paired_ratio, ratio, share, superiority, typical_change
from hypojax.monitoring.drift_page import drift_page, sentences, verdict
from hypojax.monitoring.limits import Choice
from hypojax.monitoring.measures import covariates
from hypojax.pages import html, markdown
from hypojax.reason import RunError

STATISTICS = {"mean": 0.0, "mean_low": -0.01, "mean_high": 0.01, "median": 0.0, "worst": -0.1}

SURE = 1e-4
"""Probability with which a test of chance may fail, were all well."""


def names(found: DriftResult) -> set[str]:
    return {finding.measure.name for finding in found.moved}


def revisited(cohort: xr.Dataset, *, sessions: int) -> xr.Dataset:
    """The same with every scan so many times, as sessions of one subject."""
    copies = np.repeat(np.arange(cohort.sizes["scan"]), sessions)
    subjects = np.array([f"{cohort.scan.values[0]}-{number}" for number in copies], object)
    ids = np.array([f"{subject}_ses-{number % sessions}" for number, subject in enumerate(subjects)], object)
    paths = np.array([f"/data/{scan}_T1w.nii.gz" for scan in ids], object)
    return cohort.isel(scan=copies).assign_coords(scan=ids, subject=("scan", subjects)).assign(path=("scan", paths))


def said(found: DriftResult) -> str:
    return "\n".join(sentences(found))


# Each difference against a slower twin


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), sizes=st.tuples(st.integers(5, 40), st.integers(5, 40)), rounded=st.booleans())
def test_tests_agree_with_scipy(seed: int, sizes: tuple[int, int], rounded: bool) -> None:
    random = np.random.default_rng(seed)
    first, second = (random.lognormal(size=size) for size in sizes)
    welch = stats.ttest_ind(np.log(second), np.log(first), equal_var=False)
    found = ratio(first, second)
    assert found.p == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval()
    assert found.effect[1:] == pytest.approx((np.expm1(interval.low), np.expm1(interval.high)))
    if rounded:
        first, second = first.round(), second.round()
    rank = superiority(first, second)
    pairs = np.sign(second[None] - first[:, None])
    assert rank.effect.estimate == pytest.approx(pairs.mean() / 2)
    if rank.effect.low < rank.effect.estimate:
        assert rank.p == pytest.approx(stats.brunnermunzel(first, second).pvalue)
    ones = (first > 1).astype(float), (second > 1).astype(float)
    if 0 < ones[0].sum() + ones[1].sum() < sum(sizes):
        part = share(*ones)
        assert part.effect.low - 1e-12 <= ones[1].mean() - ones[0].mean() <= part.effect.high + 1e-12
    size = min(sizes)
    assert paired_ratio(first[:size] + 1, second[:size] + 1).p == pytest.approx(
        stats.ttest_rel(np.log(second[:size] + 1), np.log(first[:size] + 1)).pvalue
    )


def test_difference_of_shares_by_the_published_example() -> None:
    """56 of 70 against 48 of 80: 0.2 with 0.0524 to 0.3339 (Newcombe 1998, table II, example (a), method 10)."""
    found = share(np.repeat([1.0, 0.0], [48, 32]), np.repeat([1.0, 0.0], [56, 14]))
    assert found.effect == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_holm_by_its_definition() -> None:
    """A hypothesis falls where it and all with smaller p pass alpha over those left; adjusted p say the same for every alpha."""
    values = np.random.default_rng(0).random(7) ** 3
    adjusted = np.array(holm(values.tolist()))
    for alpha in np.linspace(0.01, 0.99, 50):
        fallen = set()
        for step, test in enumerate(np.argsort(values)):
            if values[test] > alpha / (len(values) - step):
                break
            fallen.add(int(test))
        assert set(np.flatnonzero(adjusted <= alpha).tolist()) == fallen


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), size=st.integers(5, 40), rounded=st.booleans())
def test_typical_change_is_the_median_of_all_means_of_two(seed: int, size: int, rounded: bool) -> None:
    random = np.random.default_rng(seed)
    first, steps = random.normal(size=size), random.normal(0.2, 1, size)
    second = first + (steps.round() if rounded else steps)
    steps = second - first
    found = typical_change(first, second)
    means = [(steps[i] + steps[j]) / 2 for i in range(size) for j in range(i, size)]
    assert found.effect.estimate == pytest.approx(np.median(means) / stats.median_abs_deviation(first, scale="normal"), abs=1e-9)
    assert found.effect.low <= found.effect.estimate <= found.effect.high
    if not rounded:
        assert found.p == pytest.approx(stats.wilcoxon(second, first).pvalue)


def test_the_interval_of_a_typical_change_keeps_its_confidence() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        first = random.normal(size=25)
        unit = stats.median_abs_deviation(first, scale="normal")
        covered += typical_change(first, first + 0.3 + random.standard_t(3, 25)).effect.holds(float(0.3 / unit))
    low, high = stats.binom.ppf([SURE, 1 - SURE], 400, 0.95)
    assert low <= covered <= high


def test_adjusting_takes_out_what_head_size_explains() -> None:
    """Heads a tenth larger, 5 % taken off: the coefficient of least squares, and an interval that holds the truth in 95 %."""
    covered = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        size, group = random.normal(0, 0.1, 200), np.arange(200) >= 120
        size[group] += 0.1
        volume = np.exp(0.6 * size + random.normal(0, np.where(group, 0.08, 0.04)) + np.log(0.95) * group)
        found = adjusted_ratio(volume[~group], volume[group], given=(size[~group, None], size[group, None]))
        fit = np.linalg.lstsq(np.stack([np.ones(200), group, size], axis=1), np.log(volume))[0]
        assert found.effect.estimate == pytest.approx(np.expm1(fit[1]))
        covered += found.effect.holds(-0.05)
    low, high = stats.binom.ppf([SURE, 1 - SURE], 100, 0.95)
    assert low <= covered <= high


def test_the_interval_at_equal_head_size_carries_the_error_of_the_slope() -> None:
    """Groups far apart in head size, alike in number and spread: the interval of least squares."""
    random = np.random.default_rng(0)
    group, size = np.arange(400) >= 200, random.normal(0, 0.1, 400)
    size[group] += 0.3
    volume = np.exp(0.6 * size + random.normal(0, 0.05, 400))
    found = adjusted_ratio(volume[~group], volume[group], given=(size[~group, None], size[group, None]))
    design = np.stack([np.ones(400), group, size], axis=1)
    fit, rest, _, _ = np.linalg.lstsq(design, np.log(volume))
    error = np.sqrt(rest[0] / 397 * np.linalg.inv(design.T @ design)[1, 1])
    reach = stats.t.ppf(0.975, 397) * error
    assert np.log1p([found.effect.low, found.effect.high]) == pytest.approx([fit[1] - reach, fit[1] + reach], abs=0.05 * reach)


@pytest.mark.parametrize("sizes", [(200, 30), (25, 25)])
def test_each_test_keeps_its_level_and_each_interval_its_confidence(sizes: tuple[int, int]) -> None:
    """No difference, 400 times: p below 0.05 in about 5 %, also where the spreads differ; intervals hold zero in about 95 %."""
    random = np.random.default_rng(1)
    alarms = {ratio: 0, superiority: 0}
    covered = dict(alarms)
    for _ in range(400):
        first, second = np.exp(random.normal(0, 0.1, sizes[0])), np.exp(random.normal(0, 0.2, sizes[1]))
        for test in alarms:
            found = test(first, second)
            alarms[test] += found.p < 0.05
            covered[test] += found.effect.holds(0.0)
    low, high = stats.binom.ppf([SURE, 1 - SURE], 400, 0.05)
    assert all(low <= count <= high + 4 for count in alarms.values())  # four more: Brunner and Munzel's is approximate
    assert all(400 - high - 4 <= count <= 400 - low for count in covered.values())


# Whole comparisons of cohorts with a known truth


@pytest.mark.parametrize("times", [20, pytest.param(300, marks=pytest.mark.long)])
def test_no_shift_raises_few_alarms(times: int) -> None:
    """The same cohort drawn twice, no slack by limits: alarms in no more comparisons than alpha allows."""
    strict = Limits(volume=0.0, quality=0.0, share=0.0)
    alarms = sum(bool(compare(generated(150, seed=seed), generated(60, seed=1000 + seed), limits=strict).moved) for seed in range(times))
    assert alarms <= stats.binom.ppf(1 - SURE, times, 0.05)


def test_sessions_of_one_subject_are_no_independent_scans() -> None:
    """The same cohort drawn twice, four sessions a subject: no more alarms than without them, and the counts are of subjects."""
    strict, alarms = Limits(volume=0.0, quality=0.0, share=0.0), 0
    for seed in range(12):
        reference, new = generated(80, seed=seed), generated(40, seed=1000 + seed, name="new")
        found = compare(revisited(reference, sessions=4), revisited(new, sessions=4), limits=strict)
        alarms += bool(found.moved)
        if seed == 0:
            once = {(one.measure.name, one.test): one for one in compare(reference, new, limits=strict).findings}
            for one in found.findings:
                twin = once[one.measure.name, one.test]
                assert one.scans == twin.scans
                assert one.difference is not None
                assert twin.difference is not None
                assert one.difference.effect == pytest.approx(twin.difference.effect, nan_ok=True)
                assert one.difference.p == pytest.approx(twin.difference.p)
            assert {one.counted for one in found.findings} == {"subjects"}
            assert any(note.startswith("reference: 320 scans of 80 subjects: one value per subject") for note in found.notes)
            assert any(note.startswith("new batch: 160 scans of 40 subjects") for note in found.notes)
    assert alarms <= stats.binom.ppf(1 - SURE, 12, 0.05)


def test_more_sessions_on_one_side_are_no_drift() -> None:
    """One scan in ten has a part cut off: among three independent sessions of a subject nearer one in four; no batch moved."""
    random = np.random.default_rng(1)
    reference, new = revisited(generated(400, seed=0, failing=0.0), sessions=3), generated(400, seed=1, failing=0.0, name="new")
    for side in (reference, new):
        side["icv_cut_off"].values[:] = np.where(random.random(side.sizes["scan"]) < 0.1, 0.01, 0.0)
        side["flagged"].loc[{"flag": "noisy"}] = random.random(side.sizes["scan"]) < 0.1
    assert not names(compare(reference, new)) & {"icv_cut_off", "flag noisy"}


def test_a_shift_of_three_per_cent_is_found_in_400_scans() -> None:
    """Ten cohorts with hypothalami 3 % smaller: found in nine at least and said, with intervals that hold the truth in eight."""
    comparisons = [compare(generated(800, seed=seed), generated(400, seed=1000 + seed, factor=0.97)) for seed in range(10)]
    adjusted = [next(one for one in found.findings if one.measure.name == "adjusted volume_mm3 hypothalamus") for found in comparisons]
    differences = [one.difference for one in adjusted if one.difference is not None]
    assert sum(one.moved for one in adjusted) >= 9
    assert sum(difference.effect.holds(-0.03) for difference in differences) >= 8
    assert all(difference.detectable < 0.03 for difference in differences)
    assert sum("volume_mm3 icv" in names(found) for found in comparisons) <= 2
    assert sum("No image measure moved" in said(found) for found in comparisons) >= 7
    pattern = (
        r"hypothalamus at equal head size, age and sex: 3\.. % smaller than the reference \(95 % CI 2\.. to 4\..\), 39. against 78. scans"
    )
    assert any(re.search(pattern, said(found)) for found in comparisons)


def test_larger_heads_are_told_from_larger_hypothalami() -> None:
    """Heads 5 % larger: the volumes move, at equal head size they do not, and that is said."""
    found = compare(generated(800, seed=0), generated(400, seed=1, head=1.05))
    assert {"volume_mm3 icv", "volume_mm3 hypothalamus"} <= names(found)
    assert not any(name.startswith("adjusted") for name in names(found))
    assert "The people scanned may explain the shift of the hypothalamus" in said(found)


def test_older_people_are_told_from_atrophy() -> None:
    """Thirty years at 0.2 % a year: smaller, but not at equal age, which the table knows."""
    found = compare(generated(800, seed=0), generated(400, seed=1, ages=(80.0, 5.0)))
    assert "volume_mm3 hypothalamus" in names(found)
    assert "adjusted volume_mm3 hypothalamus" not in names(found)
    assert "at equal head size, age and sex" in said(found)


def test_a_change_of_scanner_is_found_and_said() -> None:
    """Noise half as high again is a signal to noise of two thirds."""
    found = compare(generated(3000, seed=0), generated(1000, seed=1, noise=1.5))
    assert "quality_noise" in names(found)
    assert "signal to noise fell by a third" in said(found)
    assert "check the scanner" in said(found)
    assert not any(name.startswith("volume") for name in names(found))


def test_failures_voxels_and_flags_are_found() -> None:
    reference, new = generated(300, seed=0), generated(100, seed=1, failing=0.15)
    new = new.assign(voxel_size_mm=new.voxel_size_mm * 1.2)
    new["flagged"].loc[{"flag": "uncertain"}] = np.arange(100) % 4 == 0
    found = compare(reference, new)
    assert {"failed", "voxel_volume_mm3", "flag uncertain"} <= names(found)
    assert "scans that failed: " in said(found)
    assert "points more" in said(found)
    assert "flag noisy" not in names(found)


def test_the_same_mean_with_another_spread_is_another_distribution() -> None:
    reference, new = generated(800, seed=0), generated(400, seed=1)
    wide = new.volume_mm3.sel(region="hypothalamus")
    new["volume_mm3"].loc[{"region": "hypothalamus"}] = 900 * (wide / 900) ** 2.5
    found = compare(reference, new)
    assert [one.test for one in found.moved if one.measure.name == "volume_mm3 hypothalamus"] == ["Kolmogorov-Smirnov"]
    assert "hypothalamus: another distribution (standard deviation 2" in said(found)


def test_a_tiny_but_certain_shift_is_within_limits() -> None:
    """Half a per cent in 20,000 scans is no chance, and no matter."""
    found = compare(generated(20_000, seed=0), generated(20_000, seed=1, factor=0.995))
    adjusted = next(one for one in found.findings if one.measure.name == "adjusted volume_mm3 hypothalamus")
    assert adjusted.p_adjusted < 0.05
    assert adjusted.verdict == "within limits"
    few = compare(generated(60, seed=0), generated(30, seed=1))
    assert next(one for one in few.findings if one.measure.name == "volume_mm3 hypothalamus").verdict == "not shown"
    assert "A shift of the hypothalamus of less than" in verdict(few)


def test_what_has_no_interval_is_never_within_limits() -> None:
    """Two draws of 5,000 from one distribution: the gap is far below its limit, yet no interval says how large it may be."""
    found = compare(generated(5000, seed=0), generated(5000, seed=1))
    gaps = [one for one in found.findings if one.test == "Kolmogorov-Smirnov"]
    assert all(one.difference is not None and one.difference.effect.estimate < one.limit for one in gaps)
    assert {one.verdict for one in gaps} == {"not shown"}


# The same scans twice


def test_two_versions_of_the_weights_are_compared_scan_by_scan() -> None:
    """30 scans, 2 % larger the second time: nothing between groups so small, plain within scans; single scans far off are named."""
    first = generated(30, seed=0, failing=0.0)
    random = np.random.default_rng(1)
    second = first.assign(volume_mm3=first.volume_mm3 * 1.02 * np.exp(random.normal(0, 0.003, first.volume_mm3.shape)))
    found = compare_repeats(first, second)
    assert {"volume_mm3 icv", "volume_mm3 hypothalamus"} <= names(found)
    assert not compare(first, second).moved
    hypothalamus = next(one for one in found.findings if one.measure.name == "volume_mm3 hypothalamus")
    assert hypothalamus.difference is not None
    assert hypothalamus.difference.effect.holds(0.02)
    assert hypothalamus.within_scan_cv == pytest.approx(0.0145, abs=0.002)  # 2 % apart, over the root of 2
    assert "larger than before" in said(found)
    assert "30 scans measured twice" in said(found)
    assert not compare_repeats(first, first).moved
    second["volume_mm3"].loc[{"scan": "sub-0003", "region": "hypothalamus"}] *= 1.3
    assert any("sub-0003 +3" in note for note in compare_repeats(first, second).notes)


def test_versions_that_scatter_without_a_bias_moved_too() -> None:
    first = generated(40, seed=0, failing=0.0)
    random = np.random.default_rng(1)
    step = random.permutation(np.repeat([-0.04, 0.04], 20))
    second = first.assign(volume_mm3=first.volume_mm3 * np.exp(xr.DataArray(step, dims="scan")))
    found = compare_repeats(first, second)
    assert "volume_mm3 hypothalamus" in names(found)
    assert "hypothalamus: single scans vary, within-scan CV 2.8 %; on average " in said(found)  # 4 % over the root of 2


def test_a_trivial_change_of_quality_in_every_scan_is_within_limits_and_half_a_deviation_is_not() -> None:
    """0.0001 % more in 40 of 40 scans is certain and no matter; half a standard deviation is both certain and a matter."""
    first = generated(40, seed=0, failing=0.0)
    contrast = first.quality_contrast
    for change, verdict_is in ((contrast * 1e-6, "within limits"), (-0.5 * contrast.std(), "moved")):
        found = compare_repeats(first, first.assign(quality_contrast=contrast + change))
        one = next(one for one in found.findings if one.measure.name == "quality_contrast")
        assert one.p_adjusted < 1e-5
        assert one.verdict == verdict_is
    assert re.search(r"contrast near the hypothalamus: median 5\.\d+ against \d\.\d+, 0\.[45]\d SD lower than before", said(found))
    assert re.search(r"\| −0\.[45]\d SD \(−0\.[45]\d to −0\.[45]\d\) \| ± 0\.2 SD \|", markdown(drift_page(found)))


def test_pairs_of_one_subject_count_once() -> None:
    first = revisited(generated(30, seed=0, failing=0.0), sessions=2)
    second = first.assign(volume_mm3=first.volume_mm3 * 1.03 * np.exp(np.random.default_rng(1).normal(0, 0.01, first.volume_mm3.shape)))
    found = compare_repeats(first, second)
    assert "30 subjects measured twice" in said(found)
    assert any(note.startswith("measured twice: 60 scans of 30 subjects") for note in found.notes)


def test_any_change_of_what_never_varied_is_beyond_its_limit() -> None:
    first = generated(40, seed=0, failing=0.0)
    found = compare_repeats(first, first.assign(nonfinite_voxels=first.nonfinite_voxels + 3))
    assert names(found) == {"nonfinite_voxels"}
    assert "∞ SD higher than before" in said(found)


# From the command line


def test_verb_writes_what_moved_and_says_it_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = stored(tmp_path / "reference", generated(120, seed=0))
    same = stored(tmp_path / "same", generated(60, seed=1, name="new"))
    noisy = stored(tmp_path / "noisy", generated(60, seed=2, name="new", noise=1.5), weights="cd34")
    out = tmp_path / "out"
    assert main(["drift", str(reference), str(same), "--out", str(out)]) == 0
    assert "Nothing moved beyond its limits" in capsys.readouterr().out
    assert main(["drift", str(reference), str(noisy), "--out", str(out)]) == 2
    shown = capsys.readouterr()
    assert "signal to noise fell by" in " ".join(shown.out.split())
    assert "made with other software or weights: weights_head_sha256 ab12 → cd34" in " ".join(shown.err.split())
    table = pd.read_csv(out / "drift.tsv", sep="\t")
    assert table.loc[table.verdict == "moved", "measure"].tolist().count("quality_noise") == 2
    assert "signal to noise fell by" in (out / "drift.md").read_text()
    page = (out / "drift.html").read_text()
    assert "signal to noise fell by" in page
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "").replace("https://", ""), "the page needs nothing from elsewhere"


def test_one_cohort_is_compared_with_itself_by_date_or_column(tmp_path: Path) -> None:
    early, late = generated(100, seed=0), generated(50, seed=1, name="late", noise=1.6)
    late["scanner"] = ("scan", np.full(50, "Prisma", object))
    dates = pd.date_range("2023-01-01", periods=150, freq="D").strftime("%Y-%m-%dT%H:%M:%S")
    both = xr.concat([early, late], "scan").assign_coords(acq_time=("scan", dates.to_numpy(dtype=object)))
    both["acq_time"].values[3] = ""
    out = str(stored(tmp_path / "both", both))
    place = ["--out", str(tmp_path / "out")]
    for choice in (["--since", "2023-04-11"], ["--select", "scanner=Prisma"]):
        assert main(["drift", out, *choice, *place]) == 2
        assert "(n = 100)" in (tmp_path / "out" / "drift.md").read_text() or "(n = 9" in (tmp_path / "out" / "drift.md").read_text()
    assert "without a date" not in (tmp_path / "out" / "drift.md").read_text()
    for wrong, what in (
        ([], "name a NEW, or give --since or --select"),
        (["--since", "last week"], "year-month-day"),
        (["--since", "2031-01-01"], "the new batch has no scans"),
        (["--since", "2023-04-11", "--date", "sex"], "contains no dates"),
        (["--select", "scanner"], "column=value"),
        (["--select", "colour=red"], "no column 'colour'"),
        (["--minimum", "1"], "minimum is 1"),
        (["--volume", "-1"], "volume is -1"),
    ):
        assert main(["drift", out, *wrong, *place]) == 1, what


def dated(**columns: list[object]) -> xr.Dataset:
    """Scans with columns of dates."""
    count = len(next(iter(columns.values())))
    kinds = {name: object if any(isinstance(value, str) for value in values) else float for name, values in columns.items()}
    found = {name: ("scan", np.array(values, kinds[name])) for name, values in columns.items()}
    return xr.Dataset(coords={"scan": [str(number) for number in range(count)], **found})


@pytest.mark.parametrize(
    ("dates", "new"),
    [
        (["2023-01-01", "2024-06-30", "2024-07-01T10:00:00"], [False, True, True]),
        (["2023-01-01", "", "2024-07-01"], [False, False, True]),
        ([20230101.0, float("nan"), 20240701.0], [False, False, True]),
        (["20230101", "20240630", "20240630101112.5"], [False, True, True]),
        (["2023", "2024", "2025"], [False, False, True]),
        (["2024-05", "2024-06", "2024-07"], [False, False, True]),
        (["1900-01-01T00:00:00", "1850-01-01", "2024-07-01T00:00:00.000Z"], [False, False, True]),
        (["1500-01-01", "30.06.2024", "2024-06-30T00:30:00+02:00"], [False, False, False]),
    ],
)
def test_new_scans_are_told_by_whatever_date_they_have(dates: list[object], new: list[bool]) -> None:
    mask, notes = chosen(dated(acq_time=dates), Choice(since="2024-06-30"))
    assert mask.tolist() == new
    said = " ".join(notes)
    assert ("without a date" in said) == any(value in ("", "30.06.2024") or value != value for value in dates)  # noqa: PLR0124 (NaN)
    assert ("gives only a year or month" in said) == ("2024" in dates or "2024-06" in dates)
    assert ("before 1926" in said) == any(str(value).startswith(("1900", "1850", "1500")) for value in dates)


def test_the_column_of_dates_is_the_first_that_has_any() -> None:
    cohort = dated(acq_time=["", ""], scan_date=["2023-01-01", "2025-01-01"])
    assert chosen(cohort, Choice(since="2024-06-30"))[0].tolist() == [False, True]
    with pytest.raises(RunError, match="contains no dates"):
        chosen(dated(acq_time=["", ""]), Choice(since="2024-06-30"))


def test_a_value_is_selected_as_the_table_has_it() -> None:
    for values, value in (([1.0, 2.0], "1"), ([1e7, float("nan")], "10000000"), (["01", "1"], "01")):
        assert chosen(dated(site=values), Choice(select=(f"site={value}",)))[0].tolist() == [True, False]


def test_ages_in_months_and_years_are_one_covariate() -> None:
    years, months = generated(60, seed=1), generated(60, seed=2)
    months = months.rename(age="age_months").assign_coords(age_months=("scan", months.age.values * 12))
    ages = covariates(years, months)["age"]
    assert np.nanmedian(ages[1]) == pytest.approx(np.nanmedian(generated(60, seed=2).age.values))


def test_the_same_files_with_other_weights_are_paired(tmp_path: Path) -> None:
    first = generated(30, seed=0, failing=0.0)
    old = stored(tmp_path / "old", first)
    new = stored(tmp_path / "new", first.assign(volume_mm3=first.volume_mm3 * 1.03), weights="cd34")
    place = ["--out", str(tmp_path / "out")]
    assert main(["drift", str(old), str(new), *place]) == 2
    assert "30 scans measured twice" in (tmp_path / "out" / "drift.md").read_text()
    assert main(["drift", str(old), str(old), *place]) == 0
    grown = stored(tmp_path / "grown", xr.concat([first, generated(25, seed=1, name="late")], "scan"))
    assert main(["drift", str(old), str(grown), *place]) == 0
    assert "30 scans of the new batch also in the reference" in (tmp_path / "out" / "drift.md").read_text()
    moved = first.assign(path=("scan", np.array([f"/other/{n}.nii" for n in range(30)], object)))
    other = stored(tmp_path / "other", moved, weights="cd34")
    assert main(["drift", str(old), str(other), *place]) == 0
    assert "30 ids in both for different files" in (tmp_path / "out" / "drift.md").read_text()
    assert main(["drift", str(old), str(other), "--same", "yes", *place]) == 0
    assert "measured twice" in (tmp_path / "out" / "drift.md").read_text()


def recorded(out: Path, *evaluations: tuple[str, float]) -> None:
    """Evaluations of one day each, intervals of 0.01 either side: against what, and the Dice."""
    for day, (reference, dice) in enumerate(evaluations, start=1):
        shape = {"stratum": ["all", "old"], "region": ["hypothalamus", "left_posterior"], "metric": ["dice"]}
        sizes = {name: len(values) for name, values in shape.items()}
        numbers = {name: (tuple(shape), np.full(list(sizes.values()), dice + step)) for name, step in STATISTICS.items()}
        flat = {"scored": (("stratum", "region"), np.full((2, 2), 24.0)), "bias_mm3": (("stratum", "region"), np.full((2, 2), -7.0))}
        about = {"reference": reference, "weights_box_sha256": "ab12"}
        record(out, xr.Dataset({**numbers, **flat}, coords=shape, attrs=about), date=datetime(2026, 1, day, tzinfo=UTC))


def test_recorded_evaluations_are_shown_over_time(tmp_path: Path) -> None:
    """Three evaluations of one store against two references: a table of all, a sentence for the reference met twice."""
    out = stored(tmp_path / "out", generated(60, seed=0))
    recorded(out, ("teacher", 0.86), ("atlas", 0.7), ("teacher", 0.8))
    found = drift(out, choice=Choice(select=("sex=F",)), out=tmp_path / "drift")
    assert len(found.trend) == 3
    assert [path.name for path in found.paths] == ["drift.tsv", "drift.md", "drift.html"]
    assert found.paths[1].read_text() == markdown(drift_page(found))
    assert "| 2026-01-03 | teacher | hypothalamus | ab12 | 24 | 0.800 (0.790 to 0.810) | -7 |" in markdown(drift_page(found))
    told = "evaluation against teacher: Dice of the hypothalamus fell from 0.860 to 0.800 since 2026-01-01, beyond both intervals"
    assert told in markdown(drift_page(found))
    assert told in html(drift_page(found))


@pytest.mark.parametrize(("dice", "code"), [(0.7, 2), (0.885, 0), (0.95, 2)])
def test_an_evaluation_beyond_the_interval_of_the_one_before_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dice: float, code: int
) -> None:
    """Dice of 0.90 with 0.89 to 0.91: an interval that lies apart counts, in the exit code too; one that touches does not."""
    out, place = stored(tmp_path / "out", generated(120, seed=0)), tmp_path / "drift"
    recorded(out, ("teacher", 0.9), ("teacher", dice))
    assert main(["drift", str(out), "--select", "sex=F", "--quality", "1", "--volume", "1", "--share", "1", "--out", str(place)]) == code
    shown = " ".join("".join(capsys.readouterr()).split())
    assert ("1 recorded evaluation is outside the interval of the previous one" in shown) == (code == 2)
    assert f"from 0.900 to {dice:.3f} since 2026-01-01, {'beyond both' if code else 'within the'} intervals" in shown
    table = pd.read_csv(place / "drift.tsv", sep="\t")
    line = table[table["kind"] == "evaluation"].iloc[0]
    assert line["verdict"] == ("moved" if code else "not shown")
    assert (line["effect_low"], line["effect_high"]) == pytest.approx((dice - 0.92, dice - 0.88))
    page = (place / "drift.md").read_text()
    assert "| intervals apart |" in page
    assert "Evaluations: the last against the one before" in page


def test_an_evaluation_says_nothing_of_too_few_scans(tmp_path: Path) -> None:
    few = stored(tmp_path / "few", generated(12, seed=0, failing=0.0))
    recorded(few, ("teacher", 0.9), ("teacher", 0.9))
    place = ["--select", "sex=F", "--out", str(tmp_path / "drift")]
    assert main(["drift", str(few), *place]) == 3
    recorded(few, ("atlas", 0.9), ("atlas", 0.7))
    assert main(["drift", str(few), *place]) == 2


# What is not as it should be


def test_few_failed_and_missing_scans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = generated(100, seed=0)
    one = compare(reference, generated(1, seed=1, failing=0.0))
    assert not one.moved
    assert not one.compared
    assert "Too few scans to compare" in verdict(one)
    all_failed = compare(reference, generated(40, seed=1, failing=1.1))
    assert names(all_failed) == {"failed"}
    assert "scans that failed: 100.0 % against" in said(all_failed)
    regions = [region for region in reference.region.values if "posterior" not in region and region != "icv"]
    fewer = compare(reference, generated(40, seed=1).sel(region=regions))
    assert any("only the reference has" in note and "volume_mm3 left_posterior" in note for note in fewer.notes)
    assert not any(finding.measure.kind == "adjusted volume" for finding in fewer.findings)
    for found in (one, all_failed, fewer):
        assert markdown(drift_page(found)).count("\n| ") == len(found.findings) + 2
        assert html(drift_page(found)).endswith("</html>\n")
    place = ["--out", str(tmp_path / "out")]
    few = [str(stored(tmp_path / name, generated(size, seed=size, name=name))) for name, size in (("many", 30), ("few", 3))]
    assert main(["drift", *few, *place]) == 3
    assert main(["drift", few[0], str(tmp_path / "nowhere"), *place]) == 1
    assert "no cohort store at" in " ".join(capsys.readouterr().err.split())


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**20), sizes=st.tuples(st.integers(1, 30), st.integers(1, 30)), missing=st.floats(0, 1))
def test_whatever_is_missing_there_is_an_answer(seed: int, sizes: tuple[int, int], missing: float) -> None:
    """Values gone at random, constants, small batches: findings for every measure, pages that can be written, no warning."""
    random = np.random.default_rng(seed)
    sides = []
    for size in sizes:
        side = generated(size, seed=seed, failing=0.3)
        numbers = {
            name: column.where(random.random(column.shape) > missing) for name, column in side.data_vars.items() if column.dtype == float
        }
        sides.append(side.assign(numbers))
    for found in (compare(*sides, limits=Limits(minimum=2)), compare_repeats(*sides, limits=Limits(minimum=2))):
        assert len(found.findings) >= 20
        assert verdict(found)
        assert markdown(drift_page(found))
        assert html(drift_page(found))


def test_a_real_table_with_and_without_a_shift(shared: Path) -> None:
    """Intracranial volumes of IXI, 291 people: halves drawn at random agree; one half made 4 % smaller does not."""
    table = pd.read_csv(shared / "tables" / "ixi_dlmuse_volumes.csv").set_index("ID")["702"]
    people = pd.read_csv(shared / "tables" / "ixi_demographics.csv").set_index("ID").loc[table.index]
    whole = generated(len(table), seed=0, failing=0.0).assign_coords(
        age=("scan", people.Age.to_numpy(float)), sex=("scan", people.Sex.to_numpy(object))
    )
    whole["volume_mm3"].loc[{"region": "icv"}] = table.to_numpy(float)
    half = np.random.default_rng(0).permutation(len(table)) % 2 == 0
    reference, new = whole.isel(scan=half), whole.isel(scan=~half)
    assert "volume_mm3 icv" not in names(compare(reference, new))
    shrunk = new.assign(volume_mm3=new.volume_mm3 * xr.where(new.region == "icv", 0.94, 1.0))
    assert "volume_mm3 icv" in names(compare(reference, shrunk))


def test_limits_refuse_what_cannot_be() -> None:
    for wrong in ({"alpha": 0.0}, {"alpha": 1.0}, {"share": float("nan")}):
        with pytest.raises(RunError, match=next(iter(wrong))):
            Limits(**wrong)
