"""`hypojax bids`: people measured in calls of their own make one cohort; labels, sessions, columns added later, and what is refused."""

import json
import os
import subprocess
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from standin import StandIn, write_phantom

from hypojax import execute
from hypojax.cli import bids_verb, main
from hypojax.cli.verb import NONE_SUCCEEDED, OK, SOME_FAILED, USAGE
from hypojax.execute import output
from hypojax.scans import bids_check
from hypojax.segmenter import compile_cache
from hypojax.segmenter.segmenter import Segmenter


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, where a verb would load weights; no validator, and no pages, which tests of reports draw."""
    standin = StandIn()
    monkeypatch.setattr(Segmenter, "load", lambda weights=None, *, ensemble=False, batch=1: standin)
    monkeypatch.setattr(output, "weights_sha256", lambda folder, ensemble: output.weights_of(standin))
    monkeypatch.setattr(bids_check, "VALIDATORS", ())
    monkeypatch.setattr(bids_verb, "show_report", lambda screen, out: screen.answer("pages drawn"))
    return standin


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Two people, the second with two sessions, of which one has two images."""
    root = tmp_path / "bids"
    write_phantom(root / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    for session, image in (("a", ""), ("b", "_run-1"), ("b", "_run-2")):
        write_phantom(root / "sub-02" / f"ses-{session}" / "anat" / f"sub-02_ses-{session}{image}_T1w.nii.gz")
    (root / "dataset_description.json").write_text(json.dumps({"Name": "two people", "BIDSVersion": "1.10.0"}))
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t31\nsub-02\t32\n")
    return root


def call(bids: Path, *arguments: str) -> int:
    return main(["bids", str(bids), str(bids.parent / "out"), *arguments])


def rows(bids: Path) -> pd.DataFrame:
    table = pd.read_csv(bids.parent / "out" / "volumes.tsv", sep="\t", dtype={"subject": str})
    return table[table.region == "icv"].set_index("scan")


@pytest.fixture
def validator(monkeypatch: pytest.MonkeyPatch) -> str:
    """The BIDS validator, where the shell finds it."""
    pytest.importorskip("bids_validator_deno", reason="the extra 'test' has it")
    files = metadata.files("bids-validator-deno") or []
    program = next(Path(str(file.locate())).resolve() for file in files if file.name == "bids-validator-deno")
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return str(program)


def test_people_measured_one_by_one_make_the_cohort_of_all_at_once(bids: Path, network: StandIn, validator: str) -> None:
    for label in ("sub-02", "01"):
        assert call(bids, "participant", "--participant-label", label) == OK
    assert network.batches == [1] * 4
    assert main(["run", str(bids), str(bids.parent / "whole")]) == OK
    assert call(bids, "group") == OK
    whole = pd.read_csv(bids.parent / "whole" / "volumes.tsv", sep="\t", dtype={"subject": str})
    whole = whole[whole.region == "icv"].set_index("scan")
    pd.testing.assert_frame_equal(rows(bids).drop(columns="seconds"), whole.drop(columns="seconds"), check_like=True)
    out = bids.parent / "out"
    assert execute.verify(out) == ()
    assert not list(out.glob(".hypojax.shard*"))
    (out / "report").mkdir()
    (out / "report" / "index.html").write_text("a page")
    assert json.loads((out / "dataset_description.json").read_text())["GeneratedBy"][0]["Name"] == "hypojax"
    done = subprocess.run([validator, str(out), "--recursive", "--format", "json"], capture_output=True, check=False)
    assert [issue for issue in json.loads(done.stdout)["issues"]["issues"] if issue["severity"] == "error"] == []


def test_the_same_participant_again_does_nothing_and_one_who_comes_later_joins(
    bids: Path, network: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert call(bids, "participant", "--participant-label", "01") == OK
    assert len(network.batches) == 1
    assert call(bids, "group") == OK
    assert "3 scans of the dataset not in the cohort (sub-02_ses-a, sub-02_ses-b_run-1" in capsys.readouterr().err
    (bids / "participants.tsv").write_text("participant_id\tage\tgroup\nsub-01\t31\tpatient\nsub-02\t33\tcontrol\n")
    assert call(bids, "participant", "--participant-label", "02", "--session-label", "a") == OK
    assert call(bids, "group", "--group-column", "group") == USAGE  # one person a group
    shown = capsys.readouterr()
    assert "pages drawn" in shown.out
    assert "error:" in shown.err
    assert rows(bids).group.to_dict() == {"sub-01": "patient", "sub-02_ses-a": "control"}


def test_sessions_and_several_images_of_one(bids: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(bids, "participant", "--session_label", "ses-b", "--n_cpus", "64", "--json") == OK
    assert sorted(rows(bids).index) == ["sub-02_ses-b_run-1", "sub-02_ses-b_run-2"]
    assert "run" in rows(bids)
    assert call(bids, "participant", "--participant_label", "02", "01", "--session_label", "b") == OK  # all is done
    assert "no T1w image of sub-01 was found" in capsys.readouterr().err
    assert len(network.batches) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["participant", "--participant-label", "01", "4"], "there is no participant '4' in {bids}; there are: 01, 02"),
        (["participant", "--participant-label", "02", "--session-label", "c"], "there is no session 'c' in {bids}; there are: a, b"),
        (["participant", "--session-label", "2"], "there are: a, b"),
        (["group"], "first run: hypojax bids {bids} {out} participant"),
        (["group", "--participant-label", "01"], "--participant-label has no effect with group"),
        (["participant", "--group-column", "age"], "give it to group"),
        (["participant", "--n-cpus", "0"], "--n-cpus is 0"),
        (["both"], "participant"),
    ],
)
def test_what_is_refused(bids: Path, network: StandIn, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(bids, *arguments) == USAGE
    shown = " ".join(capsys.readouterr().err.split())
    assert said.format(bids=bids, out=bids.parent / "out") in shown
    assert not (bids.parent / "out" / "cohort.zarr").exists()


def test_a_failed_scan_is_told_by_the_exit_code_and_tried_again_when_asked(bids: Path, network: StandIn) -> None:
    image = bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    good = image.read_bytes()
    image.write_bytes(good[:1000])
    assert call(bids, "participant", "--participant-label", "01") == NONE_SUCCEEDED
    assert call(bids, "participant", "--session-label", "a") == OK
    assert call(bids, "group") == SOME_FAILED
    image.write_bytes(good)
    assert call(bids, "participant", "--participant-label", "01", "--retry-failed") == OK
    assert execute.status(bids.parent / "out").failed == 0


def test_what_is_no_dataset_is_refused_unless_the_check_is_skipped(
    bids: Path, network: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    (bids / "dataset_description.json").write_text('{"Name": "three"}')
    assert call(bids, "participant") == USAGE
    assert "dataset_description.json does not say BIDSVersion; correct it, or give --skip-bids-validation" in capsys.readouterr().err
    assert call(bids, "group", "--skip-bids-validation") == USAGE
    assert call(bids, "group", "--skip_bids_validator") == USAGE
    assert capsys.readouterr().err.count("first run: hypojax bids") == 2


def test_the_validator_is_asked_where_it_is_installed(bids: Path, validator: str, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    bids_check.check_dataset(bids, say=said.append)
    assert said == [f"{bids}: the BIDS validator found no error"]
    (bids / "sub-01" / "notes.txt").write_text("")
    assert call(bids, "participant") == USAGE
    assert "NOT_INCLUDED (/sub-01/notes.txt)" in capsys.readouterr().err


def test_temporary_files_and_compiled_networks_go_to_the_work_folder(
    bids: Path, network: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (compile_cache.FOLDER, "TMPDIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(compile_cache, "use_compile_cache", lambda: None)  # which this process would keep
    assert call(bids, "group", "-w", str(tmp_path / "work")) == USAGE  # nothing was measured yet
    assert os.environ[compile_cache.FOLDER] == str(tmp_path / "work" / "compiled")
    assert os.environ["TMPDIR"] == str(tmp_path / "work" / "tmp")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its cores")
def test_as_many_cores_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[list[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5, 3, 9})
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: chosen.append(cores))
    bids_verb.use_cores(2)
    assert chosen == [[3, 5]]
