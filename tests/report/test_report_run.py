"""Reports as a whole: every kind of cohort, resumed, of hostile names, and to be passed on."""

import base64
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_cohorts import FAILURES, HOSTILE, made_cohort, stored_cohort

import hypojax
from hypojax.reason import Reason, RunError
from hypojax.reporting import page_workers
from hypojax.reporting.page_log import LOG, DrawnPage, PageLog, page_inputs
from hypojax.reporting.page_workers import PageResult, PageWorker
from hypojax.reporting.report_data import ReportSettings, page_files, read_report_data, report_data
from hypojax.reporting.report_run import FIGURES, REPORT, SHARED, claim_folder, report, write_report
from hypojax.schema import REGIONS
from hypojax.store import CohortStore

MEGABYTE = 1_000_000

CALL = "import sys; from hypojax.cli import main; sys.exit(main(sys.argv[1:]))"

ONE = ReportSettings(jobs=1)

SECRETS = (b"secret", b"home/somebody", b"sub-0", b"sub-9", b"2021-03", b"2022-02", b"20210304")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a report, but the log, whose lines come as pages are finished."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != LOG}


def test_a_cohort_of_one_scan_with_every_kind_of_failure_during_a_run(tmp_path: Path) -> None:
    """Each failure is on the page with its reason; what waits is said; a second report draws nothing again."""
    stored_cohort(tmp_path, 1, failures=FAILURES, pending=["sub-90"])
    found = report(tmp_path, settings=ONE)
    assert (found.pages, found.unchanged, found.failed, found.waiting) == (1, 0, (), 1)
    page = found.index.read_text(encoding="utf-8")
    assert all(scan in page for scan in FAILURES)
    assert "1 scan of the cohort not measured yet" in found.sentences[0]
    before = contents(found.index.parent)
    again = report(tmp_path, settings=ONE)
    assert (again.pages, again.unchanged) == (0, 1)
    assert contents(again.index.parent) == before


def test_a_cohort_without_a_measured_scan(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 0, failures={"sub-01": Reason.TRUNCATED}, pending=["sub-02"])
    found = report(tmp_path, settings=ONE)
    assert (found.pages, found.waiting) == (0, 1)
    assert "sub-01" in found.index.read_text(encoding="utf-8")


def test_where_there_is_no_cohort_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        report(tmp_path)
    assert caught.value.reason is Reason.NOTHING_FOUND
    assert hypojax.report is report


def test_a_bucket_needs_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="--out FOLDER"):
        report("s3://bucket/out")


def test_scans_that_are_gone_lose_their_pages_and_changed_ones_are_drawn_again(tmp_path: Path) -> None:
    """A page that compares its scan with the cohort is drawn again when the cohort changes."""
    stored_cohort(tmp_path, 3)
    first = report(tmp_path, settings=ONE)
    folder = first.index.parent
    assert (first.pages, first.failed) == (3, ())
    (folder / "scans" / "left-behind.html").write_text("of another version")
    (folder / "scans" / "sub-03.html").write_text("cut off")
    store = CohortStore.open(tmp_path / "cohort.zarr")
    store.remove(["sub-02"])
    found = report(tmp_path, settings=ONE)
    assert (found.pages, found.unchanged) == (2, 0)
    assert not [file for file in contents(folder) if "sub-02" in file or "left-behind" in file]
    assert b"sub-02" not in b"".join(contents(folder).values())


def test_only_scans_that_were_named_get_a_page(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 3)
    found = report(tmp_path, settings=ReportSettings(scans=("sub-02",), jobs=1))
    assert [path.name for path in (found.index.parent / "scans").glob("*.html")] == ["sub-02.html"]
    with pytest.raises(RunError, match="sub-2: no such scan; is it 'sub-02'"):
        report(tmp_path, settings=ReportSettings(scans=("sub-2",)))
    with pytest.raises(RunError, match="--columns agee: no such column; is it 'age'"):
        report(tmp_path, settings=ReportSettings(columns=("agee",)))


def test_a_page_that_cannot_be_drawn_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypojax.reporting import scan_page

    whole = scan_page.scan_page

    def fragile(data: object, scan: str) -> dict[str, bytes]:
        if scan == "sub-02":
            raise ZeroDivisionError("\x1b[31mbad")
        return whole(data, scan)

    monkeypatch.setattr(scan_page, "scan_page", fragile)
    stored_cohort(tmp_path, 3)
    found = report(tmp_path, settings=ONE)
    assert found.pages == 2
    assert found.sentences == (r"scan 'sub-02': its page cannot be drawn: ZeroDivisionError: \x1b[31mbad",)
    assert "scans/sub-02.html" not in found.index.read_text(encoding="utf-8")
    monkeypatch.undo()
    mended = report(tmp_path, settings=ONE)
    assert (mended.pages, mended.unchanged, mended.failed) == (1, 2, ())


def test_processes_draw_the_pages_that_one_draws_and_one_that_dies_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_cohort(tmp_path, 3)
    data = read_report_data(tmp_path, ONE)
    write_report(data, tmp_path / "one")
    monkeypatch.setattr(page_workers, "FEW", 2)
    many = report(tmp_path, out=tmp_path / "many", settings=ReportSettings(jobs=2))
    assert (many.pages, many.failed) == (3, ())
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    monkeypatch.setattr(page_workers, "COMMAND", ("false",))
    assert "the process that drew its page died" in PageWorker(b"").draw("sub-01", "sub-01").message


def test_a_log_that_broke_off_or_is_of_another_version_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in "abc":
        (tmp_path / "scans" / f"{name}.html").write_bytes(b"1234")
    lines = [DrawnPage(f"scans/{name}.html", "x", {f"scans/{name}.html": 4}).line for name in "ab"]
    (tmp_path / LOG).write_text(f'{lines[0]}[1, 2]\n{{"page": 3}}\n{lines[1][:-20]}')
    log = PageLog(tmp_path)
    assert log.has("scans/a.html", "x")
    assert not log.has("scans/a.html", "other")
    assert not log.has("scans/b.html", "x")
    log.begin(["scans/a.html"])
    assert [path.name for path in (tmp_path / "scans").iterdir()] == ["a.html"]


def test_the_inputs_of_a_page_are_its_scan_the_others_and_the_settings() -> None:
    cohort = made_cohort(4)
    data = report_data(cohort, ONE)
    same = page_inputs(report_data(cohort, ReportSettings(jobs=7)))
    assert page_inputs(data) == same
    other = cohort.assign(volume_mm3=cohort.volume_mm3 * np.where(cohort.scan == "sub-0001", 1.001, 1.0)[:, None])
    for changed in (
        report_data(other, ONE),
        report_data(cohort, ReportSettings(whole_head=True)),
        report_data(cohort.isel(scan=[0, 1, 2]), ONE),
    ):
        assert not set(page_inputs(changed).values()) & set(same.values())


def test_no_two_scans_share_a_file_and_no_name_leaves_the_folder() -> None:
    names = ["sub-01", "SUB-01", "../../etc/passwd", "a/b", "a b", "", ".", "con", "ü", "é" * 300, HOSTILE, "x" * 400, "x" * 401]
    files = page_files(names)
    assert len({file.casefold() for file in files.values()}) == len(names)
    assert all(re.fullmatch(r"scans/[A-Za-z0-9_-]+\.html", file) and len(file) < 110 for file in files.values())


def test_text_of_tables_and_files_is_text_on_every_page(tmp_path: Path) -> None:
    """Hostile names of scans and people, messages and groups: no script of theirs, no terminal escape, in any file."""
    columns = {name: {"group": HOSTILE, "sex": HOSTILE, "age": 30, HOSTILE: HOSTILE} for name in ("sub-01", "sub-02", HOSTILE)}
    stored_cohort(tmp_path, 2, failures={HOSTILE: Reason.TRUNCATED}, columns=columns)
    (tmp_path / "qc.tsv").write_text(f"scan\trating\tcomment\trater\ttime\nsub-01\tdoubt\t{HOSTILE}\t{HOSTILE}\t\n", encoding="utf-8")
    found = report(tmp_path, settings=ONE)
    assert (found.pages, found.failed) == (2, ())
    for name, data in contents(found.index.parent).items():
        if not name.startswith("static/"):
            assert b"<script>alert" not in data, name
            assert b"\x1b" not in data, name
            assert re.search(rb"""(?:href|src)\s*=\s*["']?\s*javascript:""", data) is None, name


def embedded(data: bytes) -> bytes:
    """What lies in a file as base64, decompressed where it is compressed."""
    found = []
    for text in re.findall(rb"[A-Za-z0-9+/]{200,}={0,2}", data):
        raw = base64.b64decode(text[: len(text) // 4 * 4])
        found.append(raw)
        for kind in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
            try:
                found.append(zlib.decompressobj(kind).decompress(raw))
            except zlib.error:
                continue
    return b"".join(found)


def test_a_report_to_pass_on_has_no_name_path_or_date_in_any_byte(tmp_path: Path) -> None:
    secrets = {
        "group": "Secretgroup",
        "sex": "F",
        "site": "Secretsite",
        "acq_time": "2021-03-04T05:06:07",
        "nickname": "Secretnick",
        "iq": 113,
    }
    stored_cohort(
        tmp_path / "Secretfolder", 3, failures={"Secretscan": Reason.TRUNCATED}, pending=["sub-90"],
        columns={f"sub-{number:02d}": {**secrets, "age": 40 + number} for number in range(1, 91)},
    )  # fmt: skip
    ratings = "scan\trating\tcomment\trater\ttime\nsub-01\tdoubt\tSecretcomment\tSecretrater\t2022-02-03T04:05:06\n"
    (tmp_path / "Secretfolder" / "qc.tsv").write_text(ratings)
    found = report(tmp_path / "Secretfolder", settings=ReportSettings(share=True, columns=("age",), jobs=1))
    assert found.index.parent.name == SHARED
    assert found.pages == 3
    for name, data in {**contents(found.index.parent), LOG: (found.index.parent / LOG).read_bytes()}.items():
        if name.startswith("static/niivue"):
            continue
        for bytes_ in (name.encode(), data, embedded(data)):
            lower = bytes_.lower()
            for secret in (*SECRETS, str(tmp_path).encode().lower()):
                assert secret not in lower, (name, secret, lower[max(0, lower.find(secret) - 80) : lower.find(secret) + 80])
    assert b"scan-0002" in found.index.read_bytes()
    assert not re.search(rb"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]\b", found.index.read_bytes())


def test_a_report_to_pass_on_and_one_with_names_do_not_share_a_folder(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 1)
    shared = ReportSettings(share=True, jobs=1)
    report(tmp_path, settings=ONE)
    with pytest.raises(RunError, match=r"a report to share needs a folder of its own"):
        report(tmp_path, out=tmp_path / REPORT, settings=shared)
    claim_folder(tmp_path / SHARED, share=True)
    (tmp_path / SHARED / FIGURES).mkdir()  # as `--share --figure` leaves it
    assert report(tmp_path, settings=shared).pages == 1
    with pytest.raises(RunError, match=r"holds a report to share"):
        report(tmp_path, out=tmp_path / SHARED, settings=ONE)


def test_two_reports_are_never_written_into_one_folder(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 2)
    refused = []

    class Second:
        def started(self, *, total: int, kept: int) -> None: ...
        def noted(self, text: str) -> None: ...

        def finished(self, result: PageResult) -> None:
            with pytest.raises(RunError, match=r"another report is being written into .*report: wait") as caught:
                report(tmp_path, settings=ReportSettings(scans=("sub-01",), jobs=1))
            refused.append(caught.value.reason)

    assert report(tmp_path, settings=ONE, callback=Second()).pages == 2
    assert refused == [Reason.BUSY] * 2
    assert report(tmp_path, settings=ONE).unchanged == 2, "none was deleted, and the folder is free again"


@pytest.mark.parametrize("share", [False, True])
def test_no_file_is_lost_in_a_folder_that_is_no_report(tmp_path: Path, *, share: bool) -> None:
    """A report deletes what lies in its folder ``scans`` and is no page: it must be its own."""
    stored_cohort(tmp_path / "out", 1)
    theirs = tmp_path / "theirs" / "scans" / "sub-01_T1w.nii.gz"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"years of work")
    with pytest.raises(RunError, match=r"theirs .*--out FOLDER"):
        report(tmp_path / "out", out=tmp_path / "theirs", settings=ReportSettings(share=share, jobs=1))
    assert contents(tmp_path / "theirs") == {"scans/sub-01_T1w.nii.gz": b"years of work"}


def test_numbers_on_the_page_are_those_of_volumes_tsv(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 2)
    folder = report(tmp_path, settings=ONE).index.parent
    volumes = pd.read_csv(tmp_path / "volumes.tsv", sep="\t", dtype={"scan": str}).set_index(["scan", "region"])["volume_mm3"]
    index = (folder / "index.html").read_text(encoding="utf-8")
    for scan in ("sub-01", "sub-02"):
        page = (folder / "scans" / f"{scan}.html").read_text(encoding="utf-8")
        for region in REGIONS[1:]:
            assert f">{volumes[scan, region]:,.1f}<" in page, (scan, region)
        assert f"{volumes[scan, 'hypothalamus']:.0f}" in index.replace(",", "")


@pytest.mark.slow
def test_a_report_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    stored_cohort(tmp_path, 14)
    report(tmp_path, out=tmp_path / "whole", settings=ONE)
    command = [sys.executable, "-c", CALL, "report", str(tmp_path), "--out", str(tmp_path / "killed"), "--jobs", "2", "--quiet"]
    with subprocess.Popen(command, start_new_session=True) as process:
        log = tmp_path / "killed" / LOG
        while process.poll() is None and (not log.is_file() or log.read_bytes().count(b"\n") < 4):
            time.sleep(0.02)
        assert process.poll() is None, "it ended before it was killed"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "killed" / "index.html").exists()
    found = report(tmp_path, out=tmp_path / "killed", settings=ONE)
    assert found.unchanged >= 4
    assert found.pages + found.unchanged == 14
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_two_thousand_scans_get_pages_of_doubtful_ones_only_and_few_megabytes(tmp_path: Path) -> None:
    data = report_data(made_cohort(2000, failing=0.02), ReportSettings())
    found = write_report(data, tmp_path / "report")
    assert found.failed == ()
    assert 0 < found.pages < 400
    assert (tmp_path / "report" / "index.html").stat().st_size < 5 * MEGABYTE
    assert sum(map(len, contents(tmp_path / "report").values())) < 120 * MEGABYTE
    pages = [data for name, data in contents(tmp_path / "report").items() if name.startswith("scans/")]
    assert sum(map(len, pages)) / found.pages < 0.6 * MEGABYTE
