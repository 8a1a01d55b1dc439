"""`hypojax train` from end to end on examples of seconds: killed and terminated runs end with the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from hypojax.checkpoint import load_checkpoint, save_checkpoint
from hypojax.cli import main
from hypojax.cli.verb import OK, USAGE
from hypojax.release import released_folder, weights_files, weights_sha256
from hypojax.training.loop import starting_state
from hypojax.training.train_config import read_config
from hypojax.training.train_log import read_history
from hypojax.training.train_record import digests, read_record, released_weights
from hypojax.training.training import starting_weights, train_network
from hypojax.training.weights import write_sums

ROOT = Path(__file__).parents[1]
NAMES = ("a", "b", "c", "d")

CONFIG = """
stage = "box"
folds = 2
[loop]
steps = 24
every = 2
validate = 4
warmup = 2
batch = 1
seed = 3
[loop.network]
outputs = 11
widths = [4, 8]
[box]
shape = [16, 16, 16]
"""


def make_examples(folder: Path) -> Path:
    """Four heads of noise with a bright hypothalamus, two of them whole; two folds."""
    rng = np.random.default_rng(0)
    where = np.indices((72, 72, 72)) - 35.5
    ball = (where**2).sum(0) < 6**2
    posteriors = np.zeros((len(NAMES), 72, 72, 72, 10), np.uint8)
    posteriors[:, ball & (where[2] < 0), 1], posteriors[:, ball & (where[2] > 0), 6] = 255, 255
    images = (50 * ((where**2).sum(0) < 30**2) + 50 * ball + rng.normal(20, 3, (len(NAMES), 72, 72, 72))).astype(np.float32)
    cranium = np.full(images.shape, 255, np.uint8)
    cranium[:2, :, :5] = 0
    folder.mkdir()
    np.savez(folder / "boxes.npz", names=np.array(NAMES), images=images, posteriors=posteriors, intracranial=cranium)
    (folder / "folds.tsv").write_text("name\tfold\n" + "".join(f"{name}\t{number % 2}\n" for number, name in enumerate(NAMES)))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and examples."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "tiny.toml").write_text(CONFIG)
    make_examples(folder / "examples")
    return folder


def command(place: Path, out: Path, *options: str) -> list[str]:
    return ["train", str(place / "tiny.toml"), "--examples", str(place / "examples"), "--out", str(out), *options]


def begun(place: Path, out: Path, *options: str, until: int) -> subprocess.Popen[str]:
    """The verb in a process of its own, once its log has a line of such a step."""
    code = "import sys; from hypojax.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    arguments = [sys.executable, "-c", code, *command(place, out, *options)]
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE)
    while process.poll() is None and not any(entry.step >= until for entry in read_history(out / "fold1")):
        time.sleep(0.05)
    return process


@pytest.mark.slow
def test_a_run_killed_and_terminated_ends_with_the_same_weights(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(command(place, whole, "--fold", "1")) == OK
    shown = capsys.readouterr().err
    for words in ("fold1: 24 steps", "step 4/24  loss ", "held out: score ", "dice_subunits", "trained for 24 steps; best at step "):
        assert words in shown

    killed = begun(place, broken, "--fold", "1", until=2)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    stopped = begun(place, broken, "--fold", "1", until=8)
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate()
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "interrupted and saved at step " in said
    assert read_history(broken / "fold1")[-1].step < 24
    assert main(command(place, broken, "--fold", "1")) == OK

    for name in ("state", "best"):
        ours, theirs = (load_file(folder / "fold1" / f"{name}.safetensors") for folder in (broken, whole))
        assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)
        assert set(ours) == set(theirs)
    assert (whole / "fold1" / "log.png").stat().st_size > 5000
    validated = [(entry.step, entry.scores) for entry in read_history(broken / "fold1") if entry.scores]
    assert validated == [(entry.step, entry.scores) for entry in read_history(whole / "fold1") if entry.scores]
    assert [step for step, _ in validated] == [4, 8, 12, 16, 20, 24]


@pytest.mark.long
def test_all_trains_every_fold_and_a_network_learns_on_from_one(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "all"
    assert main(command(place, out, "--all", "--steps", "6")) == OK
    for fold in (0, 1):
        record = read_record(out / f"fold{fold}")
        assert record is not None
        assert record.held_out == (("a", "c"), ("b", "d"))[fold]
        assert record.learnt == digests(("b", "d") if fold == 0 else ("a", "c"))
        assert (record.loop.seed, record.loop.steps, record.precision) == (3 + fold, 6, "float32")
    before = (out / "fold1" / "state.safetensors").read_bytes()
    assert main(command(place, out, "--all", "--steps", "6")) == OK
    assert (out / "fold1" / "state.safetensors").read_bytes() == before
    weights, _, step = released_weights(out / "fold0")
    assert step == 6
    assert main(command(place, out, "--all", "--steps", "8")) == USAGE
    assert "loop.steps was 6, now it is 8" in capsys.readouterr().err

    (place / "on.toml").write_text(f"start = '{out / 'fold0'}'\n" + CONFIG)
    on = read_config(place / "on.toml")
    for ours, theirs in zip(jax.tree.leaves(starting_weights(on)), jax.tree.leaves(weights), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    capsys.readouterr()
    assert main(command(place, out, "--steps", "1")) == OK  # fewer than the warmup of the configuration
    folder = out / "weights"
    assert f"hypojax run --weights {folder}" in capsys.readouterr().out
    weights, _, _ = released_weights(out / "all")
    files = weights_files(folder)
    assert files["head"][0].read_bytes() == (released_folder() / "head.safetensors").read_bytes()
    made = load_checkpoint(files["box"][0], expected=weights_sha256(folder)["weights_box_sha256"])
    for ours, theirs in zip(jax.tree.leaves(made.weights), jax.tree.leaves(weights), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("training", "refused", "unsure"),
    [
        ({"learnt": digests(["a", "b"])}, "start = '{start}' learnt from b, held out now; start from weights that did not", ()),
        ({"learnt": digests(["a", "c"]), "maybe_learnt": ["d"]}, "", ("d",)),
        ({"learnt": digests(["a", "c"])}, "", ()),
        ({"held_out": ["b", "d"]}, "", ()),  # of a version that did not say whom it learnt from
        ({"held_out": ["a", "b"]}, "start = '{start}' learnt from d, held out now", ()),  # the same people in other folds
        ({}, "", ("b", "d")),
    ],
)
def test_a_start_that_learnt_from_those_held_out_is_refused_or_noted(  # noqa: PLR0917 - fixtures and a case
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    training: dict[str, object],
    refused: str,
    unsure: tuple[str, ...],
) -> None:
    """Fold 1 holds out b and d."""
    monkeypatch.setattr("hypojax.training.training.run_loop", lambda *_, **__: SimpleNamespace(step=0))
    start, config = tmp_path / "start.safetensors", read_config(place / "tiny.toml")
    weights = starting_state(config.loop).weights
    made = {"loop": {"steps": 3, "learning_rate": 0.1, "seed": 1}, "steps_done": 3}
    header = {"stage": "box", "normalisation": "z", "training": made | training}
    write_sums(tmp_path, {start.name: save_checkpoint(start, weights, network=config.loop.network, header=header)})
    (tmp_path / "tiny.toml").write_text(f"start = '{start}'\n{CONFIG}")
    arguments = ["train", str(tmp_path / "tiny.toml"), "--examples", str(place / "examples"), "--out", str(tmp_path / "out"), "--fold", "1"]
    code = main(arguments)
    said, record = " ".join(capsys.readouterr().err.split()), read_record(tmp_path / "out" / "fold1")
    if refused:
        assert code == USAGE
        assert refused.format(start=start) in said
        assert record is None
        return
    assert record is not None
    assert record.maybe_learnt == unsure
    assert set(record.learnt) == set(digests(["a", "c"]))
    assert ("may have learnt from " + ", ".join(unsure) in said) == bool(unsure)


@pytest.mark.long
def test_who_is_kept_for_a_test_stands_in_the_record(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "never.toml").write_text("never = ['d']\n" + CONFIG)
    config = replace(read_config(place / "never.toml"), examples=place / "examples", out=tmp_path)
    four = replace(config, loop=replace(config.loop, steps=4))
    train_network(four)
    assert not any(entry.scores for entry in read_history(tmp_path / "all"))  # nor validated on
    train_network(four, fold=0)
    record = read_record(tmp_path / "fold0")
    assert record is not None
    assert record.held_out == ("a", "c", "d")
    (place / "never.toml").write_text("never = ['D']\n" + CONFIG)
    assert main(["train", str(place / "never.toml"), "--examples", str(place / "examples"), "--out", str(tmp_path / "other")]) == USAGE
    assert "never names D, which" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fold", "0", "--all"], "give one of them"),
        (["--fold", "7"], "there is no fold 7"),
        (["--examples", "nowhere"], "boxes.npz is not there; make them with"),
        (["--steps", "0"], "loop.steps is 0"),
    ],
)
def test_wrong_usage_is_a_sentence(place: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(place, tmp_path, *options)) == USAGE
    shown = capsys.readouterr().err
    assert said in " ".join(shown.split())
    assert "Traceback" not in shown
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_head_learns_and_is_validated_too(tmp_path: Path) -> None:
    """One label map and three real heads of balls; the first head is held out."""
    radius = np.sqrt(((np.indices((112, 112, 96)) - np.array([55.5, 55.5, 47.5])[:, None, None, None]) ** 2).sum(0))
    examples = tmp_path / "examples"
    examples.mkdir()
    np.savez(
        examples / "heads.npz", names=np.array(["a", "b", "c"]), images=np.stack([(radius < 35) * 1.0] * 3).astype(np.float16),
        centres=np.array([[55.5, 50, 47.5]] * 3), intracranial=np.stack([255 * (radius < 32).astype(np.uint8)] * 3),
        intracranial_known=np.array([True, True, False]),
    )  # fmt: skip
    coarse = np.kron(np.select([radius < 30, radius < 32, radius < 35], [1, 2, 3], 0), np.ones((2, 2, 2))).astype(np.uint8)
    np.savez(
        examples / "maps.npz", labels=coarse[None], values=np.array([0, 2, 24, 507]), centres=np.array([[111.0, 100, 95]]),
        intracranial=np.array([False, True, True, False]), names=np.array(["m"]),
    )  # fmt: skip
    np.savez(examples / "poses.npz", names=np.array(["m", "a"]), to_template=np.stack([np.eye(3, 4)] * 2))
    (examples / "folds.tsv").write_text("name\tfold\na\t0\nb\t1\nc\t1\nroi\t0\n")
    path = tmp_path / "head.toml"
    path.write_text(
        "stage = 'head'\nfolds = 2\n[loop]\nsteps = 4\nevery = 2\nvalidate = 2\nwarmup = 1\nbatch = 1\n"
        "[loop.network]\noutputs = 6\nwidths = [4, 8]\n[head]\nshape = [32, 32, 32]\n"
    )
    config = replace(read_config(path), examples=examples, out=tmp_path / "out")
    outcome = train_network(config, fold=0)
    assert outcome.finished
    assert outcome.best is not None
    assert 0 <= outcome.best.scores["dice"] <= 1
    assert 0 < outcome.best.scores["place_mm"] < 200
    table = json.loads((tmp_path / "out" / "fold0" / "record.json").read_text())
    assert set(table["examples_sha256"]) == {"heads.npz", "maps.npz", "poses.npz"}
