"""The plan: it recovers what scans cost, grows with what there is to do, and refuses what cannot fit."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_scans import nifti_header
from standin import StandIn, write_phantom

from hypojax import execute
from hypojax.cli import main
from hypojax.cli.planning import facts
from hypojax.cli.verb import OK, SOME_FAILED, USAGE
from hypojax.demonstration import sample_scan
from hypojax.execute import budget, calibration, projection
from hypojax.execute.budget import Size, held, in_flight, read_sizes, refuse_unfit
from hypojax.execute.calibration import Calibration, Trial, broken, calibrate, choose, disk_bytes
from hypojax.execute.costs import Workers, fitted
from hypojax.execute.outcome import ScanResult
from hypojax.execute.projection import Plan, plan, project
from hypojax.grid import centred_grid, resample
from hypojax.reason import Reason, RunError
from hypojax.scans import Scan, discover, read, write_nifti
from hypojax.settings import RunSettings, bytes_of

FIXED, RATE = 0.5, 0.05
"""Seconds of a made-up scan, and for each million voxels."""

BASE, HELD_RATE = 600e6, 1.2
"""Resident bytes of a made-up process, and for each byte that its scans hold."""

STORED, STORED_RATE = 4e5, 1.1
"""Bytes written of a made-up scan, and for each byte of its file."""

PLENTY = 10**15

FIELDS = ((96, 2.2, "int16"), (160, 1.4, "int16"), (256, 0.9, "float32"), (320, 0.75, "int16"))
"""Voxels a side, mm, type: from a quick scan to the finest that a scanner makes."""

FLAT = 1.05
"""Peak over 60 scans to that over 10, 1.025 when measured: the worst meeting of scans on the line need not be among the first ten."""


def size(voxels: int, *, scan: str = "sub-01", voxel_bytes: int = 2) -> Size:
    return Size(scan, Path(f"{scan}.nii.gz"), voxels, voxel_bytes, file_bytes=voxels)


def known(sizes: Sequence[Size], *, settings: RunSettings | None = None, problem: str = "") -> Calibration:
    """A calibration of scans that cost exactly what the constants say; the last fails where there is a problem."""
    flight = in_flight(settings or RunSettings(), batch=1, cores=2)
    samples = [
        Trial(
            size=each,
            seconds=FIXED + RATE * each.voxels / 1e6,
            cpu_seconds=2 * (FIXED + RATE * each.voxels / 1e6),
            peak_bytes=round(BASE + HELD_RATE * flight * each.held_bytes),
            disk_bytes=STORED + STORED_RATE * each.file_bytes,
            problem=problem if each is sizes[-1] else "",
        )
        for each in sizes
    ]
    return Calibration(samples=tuple(samples), cores=2, batch=1, sent=4, startup_s=5.0)


def projected(sizes: Sequence[Size], *, settings: RunSettings | None = None, workers: Workers | None = None) -> Plan:
    chosen = settings or RunSettings()
    made = known([size(1_000_000), size(10_000_000), size(40_000_000)], settings=chosen)
    return project(
        tuple(sizes), (), kept=0, place=Path(), settings=chosen, workers=workers or Workers(memory_bytes=PLENTY), calibration=made
    )


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three readable scans and one whose header is none."""
    for number in range(3):
        write_phantom(tmp_path / "in" / f"sub-0{number}_T1w.nii.gz")
    (tmp_path / "in" / "sub-09_T1w.nii.gz").write_bytes(b"no image at all")
    return tmp_path / "in"


def planned(inputs: Path, *, out: Path | None = None, settings: RunSettings | None = None, workers: Workers | None = None) -> Plan:
    return plan([inputs], calibration=known([size(63_536), size(10_000_000)]), out=out, settings=settings, workers=workers)


def test_scans_that_are_excluded_are_not_planned_for(scans: Path, tmp_path: Path) -> None:
    exclude = tmp_path / "left.txt"
    exclude.write_text("sub-00\nsub-09\n")
    for out in (None, tmp_path / "out"):
        made = planned(scans, out=out, settings=RunSettings(exclude=exclude))
        assert [size.scan for size in made.sizes] == ["sub-01", "sub-02"]
        assert not made.refused
        assert f"2 scans left out, as {exclude} says" in made.notes


def test_a_fit_recovers_known_costs() -> None:
    costs = fitted(known([size(1_000_000), size(7_000_000), size(30_000_000, voxel_bytes=4)]), RunSettings())
    assert (costs.seconds.fixed, costs.seconds.rate) == pytest.approx((FIXED, RATE))
    assert (costs.resident.fixed, costs.resident.rate) == pytest.approx((BASE, HELD_RATE))
    assert (costs.disk.fixed, costs.disk.rate) == pytest.approx((STORED, STORED_RATE))
    assert (costs.low, costs.high) == pytest.approx((1, 1))


def test_a_fit_to_scans_of_one_size_gives_what_they_cost() -> None:
    costs, alike = fitted(known([size(5_000_000)] * 4), RunSettings()), size(5_000_000)
    assert costs.seconds.at(5.0) == pytest.approx(FIXED + RATE * 5)
    assert costs.resident.at(3.0 * alike.held_bytes) == pytest.approx(BASE + HELD_RATE * 3 * alike.held_bytes)


def test_a_sample_that_failed_counts_for_nothing_and_larger_scans_are_not_taken_for_free() -> None:
    small, large = size(1_000_000), size(400_000_000)
    costs = fitted(known([small, large], problem="it is no head"), RunSettings())
    assert costs.largest_held == 3 * small.held_bytes
    assert costs.peak_bytes(3.0 * large.held_bytes) > 3 * large.held_bytes
    with pytest.raises(RunError, match="no sample scan of 1 could be segmented, the first: it is no head"):
        fitted(known([small], problem="it is no head"), RunSettings())


@given(st.lists(st.integers(10**5, 10**8), min_size=1, max_size=8), st.integers(10**5, 10**8), st.integers(1, 9))
def test_projections_grow_with_scans_and_settings_and_shrink_with_workers(voxels: list[int], more: int, workers: int) -> None:
    sizes = [size(count) for count in voxels]
    plain, longer = projected(sizes), projected([*sizes, size(more)])
    assert longer.disk_bytes > plain.disk_bytes
    assert longer.seconds.about > plain.seconds.about
    assert longer.memory_bytes >= plain.memory_bytes
    assert projected(sizes, settings=RunSettings(read_ahead=4)).memory_bytes >= plain.memory_bytes
    assert projected(sizes, workers=Workers(memory_bytes=PLENTY, gpus=8)).memory_bytes >= plain.memory_bytes
    crew = projected(sizes, workers=Workers(count=workers, memory_bytes=PLENTY))
    assert crew.seconds.about <= plain.seconds.about
    assert crew.disk_bytes == plain.disk_bytes
    assert plain.seconds.low < plain.seconds.about < plain.seconds.high


def test_time_is_the_sum_of_the_scans_shared_by_the_workers() -> None:
    sizes = [size(2_000_000), size(10_000_000)] * 50
    assert projected(sizes).seconds.about == pytest.approx(5 + 50 * (2 * FIXED + RATE * 12))
    assert projected(sizes, workers=Workers(count=4)).seconds.about == pytest.approx(5 + 25 * (FIXED + RATE * 6))


def test_the_walltime_of_a_worker_is_the_longest_likely_time_and_room_for_slower_nodes() -> None:
    many = [size(10**7, scan=f"sub-{number}") for number in range(4000)]
    one, eight = (projected(many, workers=Workers(count=count)) for count in (1, 8))
    assert 1.5 * one.seconds.high / 60 < one.walltime < 1.5 * one.seconds.high / 60 + 4
    assert eight.walltime < one.walltime / 6
    assert projected([size(10**7)]).walltime == 10


def test_headers_alone_are_read_and_refused_ones_are_named(scans: Path) -> None:
    made = planned(scans, out=scans.parent / "out")
    assert [(each.voxels, each.voxel_bytes) for each in made.sizes] == [(38 * 44 * 38, 2)] * 3
    assert [each.file_bytes for each in made.sizes] == [each.path.stat().st_size for each in made.sizes]
    assert [(each.scan, each.reason) for each in made.refused] == [("sub-09", Reason.NOT_AN_IMAGE)]
    assert not (scans.parent / "out").exists()


def test_what_is_done_already_costs_nothing(scans: Path) -> None:
    execute.run([scans / "sub-01_T1w.nii.gz"], out=scans.parent / "out", segmenter=StandIn())
    made = planned(scans, out=scans.parent / "out")
    assert (made.kept, [each.scan for each in made.sizes]) == (1, ["sub-00", "sub-02"])
    with pytest.raises(RunError, match="every scan is done in"):
        plan([scans / "sub-01_T1w.nii.gz"], out=scans.parent / "out")


def test_a_dicom_series_is_as_large_as_its_files(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(bytes(1000))
    ((found,), refused) = read_sizes([Scan("series", tmp_path)])
    assert (found.voxels, found.held_bytes, refused) == (1500, 9000, ())


def test_a_full_disk_does_not_fit(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda place: SimpleNamespace(free=10**6))
    made = planned(scans)
    assert not made.fits
    assert "disk: about 1.6 MB will be written and 1.0 MB are free" in made.shortages[0]
    assert "--no-derivatives" in made.shortages[0]
    assert "--no-derivatives" not in planned(scans, settings=RunSettings(derivatives=False)).shortages[0]


def test_too_little_memory_does_not_fit(scans: Path) -> None:
    assert planned(scans, workers=Workers(memory_bytes=700_000_000)).fits
    (plain,) = planned(scans, workers=Workers(memory_bytes=600_000_000)).shortages
    assert "memory: about 662 MB a worker is needed and there are 600 MB; leave out the largest scans" in plain
    (batched,) = planned(scans, settings=RunSettings(batch=8, read_ahead=4), workers=Workers(memory_bytes=3 * 10**8)).shortages
    assert "try --batch 4 --read-ahead 2" in batched


def test_the_free_memory_of_this_machine_is_the_room_of_a_plan_for_it(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "memory_free", lambda: 10**8)
    assert [sentence.partition(":")[0] for sentence in planned(scans).shortages] == ["memory"]
    assert planned(scans, workers=Workers(count=4)).fits


def test_notes_say_what_the_figures_do_not_know(scans: Path) -> None:
    notes = " ".join(planned(scans, workers=Workers(count=4, cores=16, gpus=1)).notes)
    assert "the time is that of 2 cores" in notes
    assert "without a GPU" in notes
    assert "--memory" in notes
    assert planned(scans).notes == ()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"cores": 0}, {"gpus": -1}])
def test_a_cluster_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(RunError, match="it must be"):
        Workers(**wrong)


def test_samples_reach_from_the_smallest_to_the_largest() -> None:
    sizes = [size(voxels, scan=str(voxels)) for voxels in range(100, 0, -1)]
    assert [each.voxels for each in choose(sizes, count=4)] == [1, 34, 67, 100]
    assert [each.voxels for each in choose(sizes, count=1)] == [100]
    assert len(choose(sizes[:2], count=4)) == 2
    assert held(sizes, count=3) == 6 * (100 + 99 + 98)


@given(st.integers(1, 5), st.integers(1, 8), st.integers(3, 20))
def test_every_sample_fills_the_line_in_whole_batches(count: int, batch: int, flight: int) -> None:
    sent = calibration.schedule(count, batch=batch, flight=flight)
    assert [scan for scan, _ in sent] == sorted(scan for scan, _ in sent)
    assert [group for _, group in sent[:batch]] == [calibration.UNCOUNTED] * batch
    for scan in range(count):
        counted = [number for number, (_, group) in enumerate(sent) if group == scan]
        assert len(counted) >= flight
        assert len(counted) % batch == counted[0] % batch == 0


def test_marks_become_costs_of_a_scan() -> None:
    results = [ScanResult(f"probe{number:05d}", "done") for number in range(4)]
    results[3] = ScanResult("probe00003", "failed", "no_brain", "scan 'probe00003': it is no head")
    readings = [calibration.Reading(result, 10.0 + 2 * number, 3.0 * number, 100 + number) for number, result in enumerate(results)]
    first, second = calibration.samples(readings, [calibration.UNCOUNTED, 0, 0, 1], {1: 50, 2: 70, 3: 5})
    assert first == {"seconds": 2.0, "cpu_seconds": 3.0, "peak_bytes": 102, "disk_bytes": 60.0, "problem": ""}
    assert second["problem"] == "it is no head"


def test_the_probe_measures_the_real_line(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "load_segmenter", lambda settings: StandIn())
    paths = [str(scans / f"sub-0{number}_T1w.nii.gz") for number in range(2)]
    answer = calibration.probe(paths, settings=RunSettings(), folder=scans.parent, cores=2, begun=0.0)
    assert (answer["batch"], answer["sent"], answer["device_bytes"]) == (1, 10, None)
    for sample in answer["samples"]:
        assert sample["seconds"] > 0
        assert sample["problem"] == ""
        written = sum(path.stat().st_size for path in (scans.parent / "out" / "cohort.zarr").glob("*/probe00001/**/*"))
        assert sample["disk_bytes"] > written / 2
    assert json.loads(json.dumps(answer)) == answer


def test_the_peak_of_a_process_is_its_own_and_not_that_of_its_parent() -> None:
    ballast = np.ones(1 << 26)  # half a gigabyte, touched
    code = "from hypojax.execute.calibration import peak_bytes; print(peak_bytes())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 5e7 < int(shown) < ballast.nbytes / 2


def test_a_calibration_tells_why_it_could_not_be_made(scans: Path) -> None:
    with pytest.raises(RunError) as refused:
        calibrate([size(1)], settings=RunSettings(weights=scans))
    assert refused.value.reason == Reason.WEIGHTS_MISSING
    killed = broken(subprocess.CompletedProcess([], returncode=-9, stdout="", stderr=""))
    assert killed["reason"] == Reason.OUT_OF_MEMORY
    assert "exit code 3): ValueError: odd" in broken(subprocess.CompletedProcess([], 3, "", "Traceback\nValueError: odd\n"))["message"]


UNIFIED_FILES = {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 1\ninactive_file 200\n"}
SEPARATE_FILES = {"memory.limit_in_bytes": "900", "memory.usage_in_bytes": "100", "memory.stat": "total_inactive_file 0\n"}


@pytest.mark.parametrize(
    ("membership", "files", "left"),
    [("0::/job", UNIFIED_FILES, 500), ("0::/job", UNIFIED_FILES | {"memory.max": "max"}, None), ("4:cpu,memory:/job", SEPARATE_FILES, 800)],
)
def test_limits_of_containers_and_batch_systems_count(
    membership: str, files: dict[str, str], left: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "CGROUPS", tmp_path)
    (group, *above) = budget.control_groups(f"3:pids:/other\n{membership}\n")
    group[0].mkdir(parents=True)
    for name, content in files.items():
        (group[0] / name).write_text(content)
    assert [budget.left_in(*each) for each in (group, *above)] == [left, None]
    monkeypatch.setattr(budget, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(budget, "machine_free", lambda: 10**6)
    (tmp_path / "membership").write_text(membership)
    assert budget.memory_free() == (left or 10**6)


def test_a_run_that_cannot_fit_is_refused_from_file_sizes(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = discover([scans]).scans
    refuse_unfit(found, out=scans.parent / "out")
    monkeypatch.setattr(budget, "disk_free", lambda place: 1000)
    with pytest.raises(RunError, match="on the disk at least, and 1 kB are free") as full:
        refuse_unfit(found, out=scans.parent / "out")
    assert full.value.reason == Reason.DISK_FULL
    monkeypatch.undo()
    monkeypatch.setattr(budget, "memory_free", lambda: 200_000_000)
    with pytest.raises(RunError, match="scan 'sub-00' alone takes 200 MB") as small:
        refuse_unfit(found, out=scans.parent / "out")
    assert small.value.reason == Reason.OUT_OF_MEMORY


def test_a_scan_that_no_process_may_hold_fails_alone_from_its_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two megabytes that may well be two thousand million voxels of one byte, which take twelve gigabytes to work on."""
    write_phantom(tmp_path / "in" / "good.nii.gz")
    header = nifti_header(np.zeros((2, 2, 2), np.uint8), affine=np.diag([0.2, 0.2, 0.2, 1.0]), dim=[3, 1270, 1270, 1270, 1, 1, 1, 1])
    (tmp_path / "in" / "large.nii.gz").write_bytes(gzip.compress(header + np.random.default_rng(0).bytes(2_100_000), 1))
    tracemalloc.start()
    try:
        outcome = execute.run([tmp_path / "in"], out=tmp_path / "out", settings=RunSettings(memory="8GB"), segmenter=StandIn())
        assert tracemalloc.get_traced_memory()[1] < 500_000_000  # the voxels alone are 2,048,383,000 bytes
    finally:
        tracemalloc.stop()
    good, large = outcome.results
    assert (good.status, large.reason) == ("done", Reason.TOO_LARGE)
    for said in ("scan 'large'", "1270×1270×1270 voxels of uint8 take 12.3 GB", "7.8 GB are available", "--memory"):
        assert said in large.message
    made = planned(tmp_path / "in", workers=Workers(memory_bytes=8 * 10**9))
    assert [refusal.scan for refusal in made.refused] == ["large"]
    assert not planned(tmp_path / "in", workers=Workers(memory_bytes=10**11)).refused
    assert facts(made)["largest scan"] == "200 MB of memory with the network; a scan may take 8.0 GB"
    capsys.readouterr()


def test_the_memory_that_a_process_may_take_counts_groups_and_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MEMBERSHIP", tmp_path / "none")
    machine = budget.memory_limit()
    assert budget.machine_free() <= machine
    monkeypatch.setattr(budget, "CGROUPS", tmp_path)
    monkeypatch.setattr(budget, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text("0::/job/step\n")
    (tmp_path / "job" / "step").mkdir(parents=True)
    (tmp_path / "job" / "step" / "memory.max").write_text("max\n")
    (tmp_path / "job" / "memory.max").write_text("5000000\n")
    assert budget.memory_limit() == 5_000_000
    monkeypatch.setattr(budget.resource, "getrlimit", lambda kind: (4_000_000 if kind == budget.resource.RLIMIT_AS else -1, -1))
    assert budget.memory_limit() == 4_000_000


def test_the_check_before_a_run_reads_few_headers(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(budget, "read_sizes", lambda scans, **_: (looked.extend(scan.id for scan in scans), ((), ()))[1])
    gone = Scan("gone", scans / "gone.nii.gz")
    refuse_unfit([*discover([scans]).scans, gone] * 20, out=scans)
    assert len(looked) == budget.LOOKED_AT


@pytest.mark.parametrize(("free", "code"), [(10**12, OK), (1000, SOME_FAILED)])
def test_the_command_shows_the_plan_and_says_whether_it_fits(
    free: int, code: int, scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(projection, "calibrate", lambda chosen, **_: known(chosen))
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    assert main(["plan", str(scans), str(scans.parent / "out"), "--workers", "2", "--memory", "16GB"]) == code
    shown = capsys.readouterr()
    assert "3 (1 refused by their headers)" in shown.out
    assert "workers" in shown.out
    assert "refused: scan 'sub-09'" in shown.err
    assert ("name another OUT" in shown.err) == (code == SOME_FAILED)


def test_wrong_usage_is_explained(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan"]) == USAGE
    assert main(["plan", str(scans), "--sample", "0"]) == USAGE
    assert main(["plan", str(scans), "--memory", "much"]) == USAGE
    assert "--memory much is not an amount of memory" in capsys.readouterr().err
    assert bytes_of("2GiB") == 1 << 31
    assert main(["plan", str(scans), "--memory", "16"]) == USAGE
    assert "--memory 16 is 16 bytes, which no scan fits into; name the unit, as in 16GB" in capsys.readouterr().err


def write_head(path: Path, *, side: int, mm: float, dtype: str) -> Path:
    """The head that ships with hypojax, on a cube of so many voxels of this size."""
    image = read("colin27", sample_scan())
    grid = centred_grid(np.eye(3), shape=(side, side, side), spacing=mm, centre=np.array([0.0, -15.0, 5.0]))
    write_nifti(path, resample(image.scaled(), image.affine, grid).astype(dtype), grid.affine)
    return path


def measured_run(inputs: Path, out: Path) -> list[int]:
    """Peak resident memory of a run in a process of its own, by the time each scan was finished, bytes."""
    code = (
        "import json, sys; from pathlib import Path; from hypojax import execute; from hypojax.execute.calibration import ProbeCallback;"
        "from hypojax.store import limit_threads; limit_threads(2); probed = ProbeCallback();"
        "outcome = execute.run([Path(sys.argv[1])], out=Path(sys.argv[2]), callback=probed);"
        "assert not outcome.failed, outcome.failures; print(json.dumps([mark.peak_bytes for mark in probed.readings]))"
    )
    command = [sys.executable, "-c", code, str(inputs), str(out)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def test_each_scan_has_its_own_bytes_and_its_share_of_the_cohort(tmp_path: Path) -> None:
    for name, size in {"native/probe00000/c": 8192, "native/probe00001/c": 4096, "image/c/0": 16384, "image/c/1": 16384}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(range(256)) * (size // 256))
    found = disk_bytes(tmp_path)
    assert found[0] - found[1] == 4096
    assert sum(found.values()) >= 45056


def table_of(path: Path, files: Sequence[Path]) -> Path:
    """A table that names files, each as often as it stands there."""
    path.write_text("\n".join(["scan\tpath", *(f"{number:03d}\t{file}" for number, file in enumerate(files)), ""]))
    return path


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A head in several fields of view."""
    folder = tmp_path_factory.mktemp("heads")
    return [write_head(folder / f"head{side}.nii.gz", side=side, mm=mm, dtype=dtype) for side, mm, dtype in FIELDS]


@pytest.mark.slow
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 2, 1), (0, 0, 0, 3, 0, 0), (2, 2, 2, 2, 2)], ids=["mixed", "one large", "alike"])
@pytest.mark.long
def test_a_projection_bounds_the_measured_peak_and_is_less_than_twice_it(order: tuple[int, ...], heads: list[Path], tmp_path: Path) -> None:
    inputs = table_of(tmp_path / "scans.tsv", [heads[number] for number in order])
    made = plan([inputs], out=tmp_path / "out")
    peak = measured_run(inputs, tmp_path / "out")[-1]
    print(f"projected {made.memory_bytes / 1e6:.0f} MB, measured {peak / 1e6:.0f} MB")
    assert peak <= made.memory_bytes <= 2 * peak
    written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    print(f"projected {made.disk_bytes / 1e6:.0f} MB, written {written / 1e6:.0f} MB")
    assert written <= made.disk_bytes <= 2 * written


@pytest.mark.long
def test_a_projection_bounds_the_peak_over_real_scans(shared: Path, tmp_path: Path) -> None:
    files = [*sorted((shared / "scans").glob("*_T1w.nii.gz")), *sorted((shared / "bids" / "ds000011").glob("sub-0[1-4]/anat/*_T1w.nii.gz"))]
    inputs = table_of(tmp_path / "scans.tsv", files)
    made, peak = plan([inputs], out=tmp_path / "out"), measured_run(inputs, tmp_path / "out")[-1]
    print(f"projected {made.memory_bytes / 1e6:.0f} MB, measured {peak / 1e6:.0f} MB")
    assert peak <= made.memory_bytes <= 2 * peak


@pytest.mark.slow
@pytest.mark.long
def test_the_peak_over_sixty_scans_is_that_over_ten(heads: list[Path], tmp_path: Path) -> None:
    peaks = measured_run(table_of(tmp_path / "scans.tsv", [heads[number % 3] for number in range(60)]), tmp_path / "out")
    print(f"after 10 scans {peaks[9] / 1e6:.0f} MB, after 60 {peaks[-1] / 1e6:.0f} MB")
    assert peaks[-1] <= FLAT * peaks[9]
