"""The command line: help that teaches and comes at once, exit codes, progress in a log, one sentence for every error."""

import subprocess
import sys
from pathlib import Path

import pytest
from standin import StandIn, write_phantom

from hypojax import execute
from hypojax.cli import INTERRUPTED, main
from hypojax.cli.progress_bars import Pace, duration
from hypojax.cli.screen import facts
from hypojax.cli.verb import NONE_SUCCEEDED, OK, SOME_FAILED, USAGE
from hypojax.cli.verbs import VERBS
from hypojax.execute import Outcome, ScanResult, output
from hypojax.segmenter.segmenter import Segmenter

HEAVY = ("jax", "xarray", "zarr", "dask", "pandas", "scipy", "numpy")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, where a verb would load weights."""
    standin = StandIn()
    monkeypatch.setattr(Segmenter, "load", lambda weights=None, *, ensemble=False, batch=1: standin)
    monkeypatch.setattr(output, "weights_sha256", lambda folder, ensemble: output.weights_of(standin))
    return standin


def scans(folder: Path, *, good: int = 0, bad: int = 0) -> str:
    for number in range(good):
        write_phantom(folder / f"good{number}.nii.gz")
    for number in range(bad):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"bad{number}.nii.gz").write_bytes(b"")
    return str(folder)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_each_verb_teaches_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == OK
    shown = capsys.readouterr().out
    assert f"$ hypojax {verb}" in shown
    assert "--debug" in shown


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == OK
    shown = capsys.readouterr().out
    assert all(f"• {verb}" in shown for verb in VERBS)


def test_the_end_of_the_process_looks_for_no_garbage() -> None:
    code = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); from hypojax.cli import main; main(['--version'])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "True"


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys; from hypojax.cli import main; main(['run', '--help']); print(sorted(set(sys.modules) & set({HEAVY})))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["run"], ["run", "in"], ["run", "in", "out", "--batch", "many"], ["status"], ["run", "a", "b", "--nonsense"]]
)
def test_wrong_usage_is_code_1(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == USAGE
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("good", "bad", "code"), [(1, 0, OK), (1, 1, SOME_FAILED), (0, 1, NONE_SUCCEEDED)])
def test_exit_code_of_a_run(tmp_path: Path, network: StandIn, good: int, bad: int, code: int) -> None:
    folder, out = scans(tmp_path / "in", good=good, bad=bad), str(tmp_path / "out")
    assert main(["run", folder, out]) == code
    assert main(["status", out]) == code
    assert main(["verify", out]) == OK


def test_a_run_ends_with_a_summary(tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scans(tmp_path / "in", good=1, bad=1)
    (tmp_path / "in" / "sub-1_bold.nii.gz").write_bytes(b"")
    main(["run", folder, str(tmp_path / "out"), "--batch", "2", "--no-derivatives"])
    shown = capsys.readouterr()
    note, *log = [line for line in shown.err.splitlines() if "is ignored here" not in line]  # where this was started with nohup or &
    assert note.startswith("note: 1 image was left out because of the name: 1 bold")
    assert log[0] == "2 scans to process, 0 finished before"
    assert log[1] == "in this process, on none"
    assert log[2].startswith("1/2 failed: scan 'bad0': the file is empty")
    assert log[3].startswith("2/2 good0 done in ")
    assert log[3].endswith("1 failed)")
    for word in ("hypothalamus_left", "empty_file", "scans done", "1 bold"):
        assert word in shown.out
    assert not (tmp_path / "out" / "derivatives").exists()


def test_the_verbs_one_after_the_other(tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = scans(tmp_path / "in", good=1), str(tmp_path / "out")
    assert main(["ingest", folder, out]) == OK
    assert "1/1 good0 read in " in capsys.readouterr().err
    assert main(["status", out]) == NONE_SUCCEEDED
    assert main(["segment", out]) == OK
    assert main(["export", out]) == OK
    assert main(["status", out]) == OK
    capsys.readouterr()
    shard = tmp_path / "out" / "cohort.zarr" / "native" / "good0" / "c" / "0" / "0" / "0"
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    assert main(["verify", out]) == SOME_FAILED
    assert "good0" in capsys.readouterr().out


def test_scans_that_still_wait_after_segmenting_are_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome((ScanResult("sub-01", "done"), ScanResult("sub-02", "pending")))
    monkeypatch.setattr(execute, "segment_store", lambda out, *, settings, callback: outcome)
    assert main(["segment", str(tmp_path)]) == SOME_FAILED


@pytest.mark.parametrize("option", [["--batch", "-1"], ["--batch", "0"], ["--read-ahead", "0"]])
def test_numbers_of_scans_that_are_none(tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scans(tmp_path / "in", bad=1), str(tmp_path / "out"), *option]) == USAGE
    shown = capsys.readouterr().err
    assert "must be 1 or more" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "out").exists()


def test_a_forgotten_output_folder_is_said(tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scans(tmp_path / "site-a", good=1), scans(tmp_path / "site-b", good=1)]) == USAGE
    assert "looks like a folder of scans" in capsys.readouterr().err
    assert not (tmp_path / "site-b" / "cohort.zarr").exists()


def test_the_rate_is_that_of_this_run() -> None:
    results = tuple(ScanResult(f"sub-{number}", "done") for number in range(100))
    assert facts(Outcome(results, kept=40, processed=10, seconds=5.0))["time"] == "5 s (2 scans/s)"
    assert facts(Outcome(results, kept=100, seconds=5.0))["time"] == "5 s"


def test_info_names_versions_and_weights(network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == OK
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("hypojax", "jax", "zarr", "weights_head_sha256", "stand-in"))


def test_an_unforeseen_error_is_a_sentence_and_debug_shows_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(weights: Path | None = None, *, ensemble: bool = False, batch: int = 1) -> StandIn:
        raise ZeroDivisionError("no such thing")

    monkeypatch.setattr(Segmenter, "load", broken)
    arguments = ["run", scans(tmp_path / "in", good=1), str(tmp_path / "out")]
    assert main(arguments) == USAGE
    shown = capsys.readouterr().err
    assert "error: unexpected ZeroDivisionError: no such thing" in shown
    assert "Traceback" not in shown
    assert main([*arguments, "--debug"]) == USAGE
    assert "Traceback" in capsys.readouterr().err


def test_debug_shows_where_a_scan_failed(tmp_path: Path, network: StandIn) -> None:
    folder = tmp_path / "in"
    write_phantom(folder / "one.nii.gz", poison=True)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import standin; "
        "from hypojax.segmenter.segmenter import Segmenter; "
        "Segmenter.load = lambda weights=None, *, ensemble=False, batch=1: standin.StandIn(); from hypojax.cli import main; "
        f"sys.exit(main(['run', {str(folder)!r}, {str(tmp_path / 'out')!r}, *sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", code]
    plain, debug = (
        subprocess.run([*command, *flags], capture_output=True, text=True, check=False) for flags in ([], ["--debug", "--retry-failed"])
    )
    assert plain.returncode == debug.returncode == NONE_SUCCEEDED
    assert "Traceback" not in plain.stderr
    assert 'raise ZeroDivisionError("poisoned")' in debug.stderr


def test_an_interrupt_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(weights: Path | None = None, *, ensemble: bool = False, batch: int = 1) -> StandIn:
        raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "load", interrupted)
    assert main(["run", scans(tmp_path / "in", good=1), str(tmp_path / "out")]) == INTERRUPTED
    assert "run the same command again to continue" in capsys.readouterr().err


def test_pace_and_duration() -> None:
    assert Pace(4).text(done=0) == "starting"
    assert "scans/s" in Pace(4).text(done=2)
    assert [duration(seconds) for seconds in (0.2, 60.0, 3600.0)] == ["0 s", "1 min 00 s", "1 h 00 min"]
