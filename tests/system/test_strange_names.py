"""Files with names of every kind that a disk takes, and tables with paths that no disk takes: each scan has its row, all others go on."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from child import PATIENCE, RUN, environment
from standin import AFFINE, StandIn, phantom_voxels, write_phantom
from test_plan import known, size

from hypojax import execute
from hypojax.cli import main
from hypojax.cohort import open_cohort
from hypojax.execute import output
from hypojax.reason import Reason, visible
from hypojax.scans import write_nifti
from hypojax.segmenter.segmenter import Segmenter

LONGEST = 255 - len(".nii.gz")
"""Bytes of a file's name, as Linux has it."""

NAMES = [
    "x" * 233,
    "sub-01_acq-" + "a" * (LONGEST - 15) + "_T1w",
    "sub-" + "9" * (LONGEST - 5),
    "é" * (LONGEST // 2),
    "脳" * (LONGEST // 3),
    os.fsdecode(b"Andr\xe9_T1"),
    os.fsdecode(b"Andr\xe8_T1"),
    "red\x1b[31m",
    "c1\x9b2J",
    "two\nlines",
    "cr\rerror: forged",
    "tab\tbed",
    "\u202egnp.exe",
    "bell\x07[red]markup:bomb:",
    "-rf",
    "--help",
    " blank ",
    "~root",
    "zarr.json",
    "ledger",
    "$(reboot)",
    "a'b\"c",
    "back\\slash",
    "%2E",
    unicodedata.normalize("NFC", "Jörg"),
    unicodedata.normalize("NFD", "Jörg"),
]
"""Names of images without their suffix."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    for number, name in enumerate(NAMES):
        write_nifti(folder / "temporary", phantom_voxels() + number, AFFINE)  # no scan is that of another
        (folder / "temporary").rename(folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    standin = StandIn()
    monkeypatch.setattr(Segmenter, "load", lambda weights=None, *, ensemble=False, batch=1: standin)
    monkeypatch.setattr(output, "weights_sha256", lambda folder, ensemble: output.weights_of(standin))
    return standin


def ids(scans: Path) -> set[str]:
    """What the cohort calls the scans."""
    return {visible(path.name.removesuffix(".nii.gz").removesuffix("_T1w")) for path in scans.glob("*.nii.gz")}


def printable(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.slow
def test_every_name_gets_its_row_and_every_verb_copes(
    scans: Path, tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", str(scans), str(out)]) == 0, capsys.readouterr().err
    assert main(["run", str(scans), str(out), "--check"]) == 0
    assert sum(network.batches) == len(list(scans.iterdir()))  # the second run did none again
    for verb in ("export", "status", "verify"):
        assert main([verb, str(out)]) == 0
    assert main(["drift", str(out), str(out), "--out", str(tmp_path / "drift")]) in (0, 3)
    assert main(["evaluate", str(out), str(out), "--out", str(tmp_path / "evaluation")]) == 0
    shown = capsys.readouterr()
    assert printable(shown.out)
    assert printable(shown.err)
    cohort = open_cohort(out)
    assert set(cohort.scan.values) == ids(scans)
    assert set(cohort.status.values) == {"done"}
    assert set(pd.read_parquet(out / "volumes.parquet").scan) == ids(scans)
    maps = list((out / "derivatives").rglob("*_dseg.nii.gz"))
    assert len(maps) == len(cohort.scan)
    for path in [*tmp_path.rglob("*.tsv"), *tmp_path.rglob("*.md"), *tmp_path.rglob("*.html"), *tmp_path.rglob("*.json")]:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        assert printable(text.replace("\t", "")), path
        assert path.suffix != ".json" or path.is_dir() or json.loads(text)


@pytest.mark.slow
def test_every_name_travels_to_workers_and_back(tmp_path: Path) -> None:
    some = tmp_path / "in"
    for name in (os.fsdecode(b"Andr\xe9_T1"), "red\x1b[31m"):
        write_phantom(some / f"{name}.nii.gz", mark=len(name))
    write_phantom(some / "temporary").rename(some / ("x" * 233 + ".nii.gz"))
    (some / os.fsdecode(b"b\xe9d.nii.gz")).write_bytes(b"")
    command = [sys.executable, RUN, str(some), str(tmp_path / "out"), "--cluster", "local", "--workers", "1"]
    ended = subprocess.run(command, env=environment(), capture_output=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 2, ended.stderr.decode()
    assert printable(ended.stderr.decode())
    assert "4/4" in ended.stderr.decode()
    assert sorted(open_cohort(tmp_path / "out").status.values) == ["done", "done", "done", "failed"]


PATHS = {
    "nul": "ba\0d.nii.gz",
    "home": "~nobody-here/scan.nii.gz",
    "long": "x" * 300 + ".nii.gz",
    "deep": "/".join(["d" * 200] * 30) + ".nii.gz",
    "circle": "circle.nii.gz",
    "folder": ".",
    "up": "../../../../../../../../../../nowhere.nii.gz",
    "escape": "\x1b[2J.nii.gz",
    "through": "first.nii.gz/inside.nii.gz",
}
"""Scan → its path in a table."""


@pytest.mark.slow
def test_paths_that_cannot_be_fail_their_row_and_name_it(tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    write_phantom(tmp_path / "in" / "first.nii.gz")
    (tmp_path / "in" / "circle.nii.gz").symlink_to("circle.nii.gz")
    table, out = tmp_path / "in" / "scans.tsv", tmp_path / "out"
    lines = ["scan\tpath", "good\tfirst.nii.gz", *(f"{scan}\t{path}" for scan, path in PATHS.items())]
    table.write_bytes("\n".join(lines).encode())
    assert main(["run", str(table), str(out)]) == 2
    assert main(["run", str(table), str(out), "--retry-failed"]) == 2
    for verb, code in (("status", 2), ("verify", 0), ("export", 2)):
        assert main([verb, str(out)]) == code
    shown = capsys.readouterr()
    assert printable(shown.out)
    assert printable(shown.err)
    cohort = open_cohort(out)
    rows = {str(scan): cohort.sel(scan=scan) for scan in cohort.scan.values}
    assert rows.pop("good").status.item() == "done"
    assert set(rows) == set(PATHS)
    for scan, row in rows.items():
        assert row.status.item() == "failed"
        assert row.reason.item() in (Reason.UNREADABLE, Reason.NOT_AN_IMAGE), scan
        assert str(table) in row.message.item(), scan
        assert f" {list(PATHS).index(scan) + 3} " in row.message.item().partition("listed in")[2], scan


def test_a_plan_names_the_rows_that_cannot_be(tmp_path: Path) -> None:
    write_phantom(tmp_path / "first.nii.gz")
    (tmp_path / "scans.tsv").write_bytes(b"scan\tpath\ngood\tfirst.nii.gz\nnul\tba\0d.nii.gz\n")
    made = known([size(10_000), size(20_000)])
    (refused,) = execute.plan([tmp_path / "scans.tsv"], calibration=made).refused
    assert refused.scan == "nul"
    assert "NUL byte" in refused.message
    assert str(tmp_path / "scans.tsv") in refused.message
