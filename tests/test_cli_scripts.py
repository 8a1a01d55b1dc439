"""The command line for scripts and shells: version, slips of the pen, quiet and JSON, colours, completion, exit codes in the help."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from standin import StandIn, write_phantom

import hypojax
from hypojax.cli import main
from hypojax.cli.completion import options, script
from hypojax.cli.verb import NONE_SUCCEEDED, OK, SOME_FAILED, USAGE
from hypojax.cli.verbs import VERBS
from hypojax.execute import output
from hypojax.segmenter.segmenter import Segmenter

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38)(?:;\d+)*m")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sound and an empty scan, and the stand-in where a verb would load weights."""
    standin = StandIn()
    monkeypatch.setattr(Segmenter, "load", lambda weights=None, *, ensemble=False, batch=1: standin)
    monkeypatch.setattr(output, "weights_sha256", lambda folder, ensemble: output.weights_of(standin))
    write_phantom(tmp_path / "in" / "good.nii.gz")
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"")
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a verb prints with ``--json``: one line, whose exit code is that of the process."""
    code = main([*arguments, "--json"])
    line, rest = capsys.readouterr().out.split("\n", 1)
    found: dict[str, Any] = json.loads(line)
    assert rest == ""
    assert (found["verb"], found["exit_code"]) == (arguments[0], code)
    return found


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version_is_a_line_on_standard_output(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == OK
    assert capsys.readouterr().out == f"hypojax {hypojax.__version__}\n"


@pytest.mark.parametrize(
    ("written", "meant"), [("segmnet", "`segment`"), ("Run", "`run`"), ("evalute", "`evaluate`"), ("xyzzy", "hypojax run bids/")]
)
def test_a_misspelt_verb_is_met_with_the_one_that_was_meant(written: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([written, "out"]) == USAGE
    shown = " ".join(capsys.readouterr().err.split())
    assert f"no verb '{written}'" in shown
    assert meant in shown


def test_a_misspelt_option_is_met_with_the_one_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "in", "out", "--retry-faild"]) == USAGE
    assert "--retry-failed" in capsys.readouterr().err


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_each_verb_says_its_exit_codes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == OK
    assert re.search(r"Exit code: 0 .*1 ", " ".join(capsys.readouterr().out.split()))


def test_every_stage_of_a_run_is_one_json_document(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans, out = str(study / "in"), str(study / "out")
    ingested = document(capsys, "ingest", scans, out)
    assert (ingested["exit_code"], ingested["scans"]["waiting"], ingested["scans"]["failed"]) == (SOME_FAILED, 1, 1)
    assert document(capsys, "segment", out)["exit_code"] == SOME_FAILED
    found = document(capsys, "run", scans, out)
    assert found["scans"] == {"done": 1, "failed": 1, "waiting": 0, "kept": 1}
    assert found["failures"][0]["scan"] == "bad"
    assert found["failures"][0]["reason"] == "empty_file"
    assert found["volumes_mm3"]["hypothalamus"]["count"] == 1
    assert Path(found["paths"]["volumes.tsv"]).is_file()
    for verb in ("status", "export"):
        assert document(capsys, verb, out)["scans"]["done"] == 1
    assert document(capsys, "verify", out)["problems"] == []
    (study / "out" / "cohort.zarr" / "native" / "good" / "c" / "0" / "0" / "0").unlink()
    damaged = document(capsys, "verify", out)
    assert (damaged["exit_code"], damaged["problems"][0]["scan"]) == (SOME_FAILED, "good")
    assert document(capsys, "info")["facts"]["weights_head_sha256"] == "stand-in"


def test_verbs_of_tables_are_json_documents_too(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = study / "people.tsv", str(study / "out")
    table.write_text("participant_id\tage\tsex\n" + "".join(f"sub-{n:02d}\t{20 + n}\t{'MF'[n % 2]}\n" for n in range(12)))
    split = document(capsys, "split", str(table), "--folds", "3", "--out", str(study / "split"))
    assert sorted(split["subjects"].values()) == [4, 4, 4]
    assert all(Path(path).is_file() for path in split["paths"])
    main(["run", str(study / "in"), out, "--quiet"])
    capsys.readouterr()
    drift = document(capsys, "drift", out, out, "--same", "no", "--out", str(study / "drift"))
    assert (drift["exit_code"], drift["compared"]) == (NONE_SUCCEEDED, 0)
    assert "Too few scans to compare" in drift["verdict"]
    scored = document(capsys, "evaluate", f"{out}/derivatives", f"{out}/derivatives", "--out", str(study / "evaluation"))
    assert sum(scored["scans"].values()) == 1


def test_what_stops_a_verb_stands_in_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "status", str(tmp_path / "größe\udce9"))
    assert found["exit_code"] == USAGE
    assert "no cohort store" in found["errors"][0]


def test_quiet_leaves_results_and_errors_alone(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans, out = str(study / "in"), str(study / "out")
    assert main(["run", scans, out, "--quiet"]) == SOME_FAILED
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "empty_file" in shown.out
    assert main(["run", "/nowhere", out, "--quiet"]) == USAGE
    assert "/nowhere does not exist" in capsys.readouterr().err


def test_drift_of_no_scans_shows_no_nan(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "in" / "good.nii.gz").unlink()
    out = str(study / "out")
    main(["run", str(study / "in"), out])
    capsys.readouterr()
    assert main(["drift", out, out, "--same", "no", "--out", str(study / "drift")]) == NONE_SUCCEEDED
    shown = capsys.readouterr()
    pages = [(study / "drift" / f"drift.{kind}").read_text(encoding="utf-8") for kind in ("md", "html")]
    assert not any("nan" in text for text in (shown.out, shown.err, *pages))
    assert "Too few scans to compare: 1 new against 1" in shown.out


def on_a_terminal(arguments: list[str], environment: Mapping[str, str]) -> bytes:
    """What a process shows on a terminal."""
    ours, its = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM")}
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from hypojax.cli import main; sys.exit(main(sys.argv[1:]))", *arguments],
        stdout=its, stderr=its, stdin=its, env={**kept, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(its)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the end of a terminal
        pass
    finally:
        os.close(ours)
        process.wait()
    return shown


@pytest.mark.parametrize("arguments", [["status", "/nowhere"], ["run", "--help"]])
def test_no_color_is_heeded(arguments: list[str]) -> None:
    assert COLOUR.search(on_a_terminal(arguments, {}))
    assert not COLOUR.search(on_a_terminal(arguments, {"NO_COLOR": "1"}))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_options_that_shells_complete_are_those_of_the_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([verb, "--help"])
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    lines = re.findall(r"^[^-\w]*(--?[a-z].*)$", shown, re.MULTILINE)
    named = {option for line in lines for option in re.findall(r"--[a-z-]+", line.split("  ")[0])}
    assert set(options(VERBS[verb])) == {option for option in named if option != "--help"}


COMPLETE = {
    "bash": """source "$1"; t() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMPREPLY=(); _hypojax; echo "${COMPREPLY[*]}"; }
t hypojax ver; t hypojax run --retry; t hypojax segment --retr; t hypojax run /et; complete -p hypojax""",
    "zsh": 'autoload -Uz compinit; compinit -u -D; source "$1"; whence -w _hypojax; echo $_comps[hypojax]',
    "fish": 'source $argv[1]; complete -C "hypojax ver"; complete -C "hypojax run --retry"; complete -C "hypojax run /et"',
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_take_the_completion(tmp_path: Path, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == OK
    file = tmp_path / "completion"
    file.write_text(capsys.readouterr().out)
    assert file.read_text().rstrip() == script(shell, VERBS).rstrip()  # type: ignore[arg-type]
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    quiet = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    command = [shell, *quiet, "-c", COMPLETE[shell], *([] if shell == "fish" else [shell]), str(file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)})
    lines = shown.stdout.splitlines()
    assert shown.stderr == ""
    if shell == "bash":
        assert lines == ["verify", "--retry-failed", "--retry-failed", "", "complete -o bashdefault -o default -F _hypojax hypojax"]
    elif shell == "zsh":
        assert lines == ["_hypojax: function", "_hypojax"]
    else:
        assert [line.split("\t")[0] for line in lines] == ["verify", "--retry-failed", "/etc/"]


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "powershell"]) == USAGE
