"""Configurations: what a file may say, which errors name file and key, and that a record keeps every setting."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists, sampled_from, text

from hypojax.reason import Reason, RunError
from hypojax.training.examples import drawing_odds, held_out_maps, held_out_names, load_boxes, load_maps, refuse_unknown
from hypojax.training.head import HeadConfig
from hypojax.training.train_config import RELEASED, LoopConfig, parse_config, read_config
from hypojax.training.train_record import TrainRecord, check_same, read_record, released_weights, write_record
from hypojax.unet_config import UNetConfig

MAINTENANCE = Path(__file__).parents[1] / "pipelines" / "maintenance"

SMALLEST = """
stage = "box"
[loop.network]
outputs = 11
"""


def write(folder: Path, content: str) -> Path:
    path = folder / "run.toml"
    path.write_text(content, encoding="utf-8")
    return path


NETWORKS = {
    "box": UNetConfig(outputs=11),
    "box_swell": UNetConfig(outputs=11),
    "distil": UNetConfig(outputs=11),
    "head": UNetConfig(outputs=2, stem=2),
    "head_held_out": UNetConfig(outputs=2, stem=2),
    "head_pose": UNetConfig(outputs=6, stem=2, coarse=3),
}


@pytest.mark.parametrize("name", ["box", "box_swell", "distil", "head", "head_held_out", "head_pose"])
def test_each_shipped_configuration_is_read_and_says_its_command(name: str) -> None:
    path = RELEASED if name == "box" else MAINTENANCE / f"{name}.toml"
    config = read_config(Path("box") if name == "box" else path)
    opening = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert f"hypojax train {'box' if name == 'box' else f'pipelines/maintenance/{name}.toml'}" in opening
    assert all(word in opening for word in ("Hardware:", "Time:", "Result:"))
    assert config.stage == ("head" if "head" in name else "box")
    assert config.loop.network == NETWORKS[name]


def test_what_a_table_leaves_out_keeps_the_default_of_its_place(tmp_path: Path) -> None:
    """The box has a rotation of its own, which a table with another shift must not reset to that of any warp."""
    config = read_config(write(tmp_path, SMALLEST + "[box.warp]\nshift = 2\n"))
    assert config.box.warp == replace(parse_config({"stage": "box", "loop": {"network": {"outputs": 11}}}).box.warp, shift=2.0)
    assert config.box.warp.rotation == 13.0
    assert isinstance(config.box.warp.shift, float)


@pytest.mark.parametrize(
    ("content", "key", "what"),
    [
        ("stage = 'box'", "loop", "is missing"),
        ("stage = 'brain'\n[loop.network]\noutputs = 11", "stage", "'box' or 'head'"),
        ("stage = 'box'\n[loop]\nsteps = 10", "loop.network", "is missing"),
        ("stage = box", "", "is not TOML"),
        ("stage = 'box'\n[loop]\nstepz = 10\n[loop.network]\noutputs = 11", "loop.stepz", "did you mean 'steps'"),
        ("stage = 'box'\n[loop]\nsteps = 'many'\n[loop.network]\noutputs = 11", "loop.steps", "a whole number"),
        ("stage = 'box'\n[loop]\nsteps = true\n[loop.network]\noutputs = 11", "loop.steps", "a whole number"),
        ("stage = 'box'\n[loop]\nsteps = 10.5\n[loop.network]\noutputs = 11", "loop.steps", "a whole number"),
        ("stage = 'box'\n[loop]\nsteps = 50\n[loop.network]\noutputs = 11", "loop.steps", "more than loop.warmup"),
        ("stage = 'box'\n[loop]\nvalidate = 150\n[loop.network]\noutputs = 11", "loop.validate", "multiple of loop.every"),
        ("stage = 'box'\n[loop]\nbatch = 0\n[loop.network]\noutputs = 11", "loop.batch", "1 or more"),
        (SMALLEST + "widths = 16", "loop.network.widths", "a list"),
        (SMALLEST + "widths = [16, 'wide']", "loop.network.widths[1]", "a whole number"),
        (SMALLEST + "[box]\nshape = [32, 32]", "box.shape", "must have 3"),
        (SMALLEST + "[box]\nshape = [32, 32, 30]", "box.shape", "multiples of 8"),
        (SMALLEST + "[box]\nshape = [32, 32, 48]", "box.shape", "the whole box has"),
        (SMALLEST + "[box]\npairs = 5.0", "box.pairs", "box.swell is 0"),
        (SMALLEST + "[box]\nwarp = 3", "box.warp", "must be a table: [box.warp]"),
        (SMALLEST + "[head]\nreal = 0.5", "[head]", "has no effect"),
        ("folds = 1\n" + SMALLEST, "folds", "2 or more"),
        ("stage = 'head'\n[loop.network]\noutputs = 11", "loop.network.outputs", "needs 2 or 6"),
    ],
)  # fmt: skip
def test_errors_name_file_and_key(tmp_path: Path, content: str, key: str, what: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(RunError) as caught:
        read_config(path)
    assert caught.value.reason is Reason.USAGE
    assert str(caught.value).startswith(f"{path}: {key}" if key else str(path))
    assert what in str(caught.value)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read_config(tmp_path / "none.toml")


def test_a_fold_has_a_seed_and_a_folder_of_its_own(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, SMALLEST.replace("[loop.network]", "out = 'runs/x'\n[loop]\nseed = 7\n[loop.network]")))
    assert config.of_fold(None) == replace(config, out=Path("runs/x/all"))
    assert (config.of_fold(3).loop.seed, config.of_fold(3).out) == (10, Path("runs/x/fold3"))
    starting = replace(config, start=Path("w/box{-fold}.safetensors"))
    assert [starting.of_fold(fold).start for fold in (None, 3)] == [Path("w/box.safetensors"), Path("w/box-fold3.safetensors")]


@settings(max_examples=25)  # each writes and reads a file
@given(
    steps=integers(101, 9999),
    rate=floats(1e-6, 1),
    real=floats(0, 1),
    words=text(),
    fold=sampled_from([None, 0, 4]),
    held_out=lists(text(), max_size=3),
)
def test_a_record_keeps_every_setting(  # noqa: PLR0917 - what hypothesis draws
    steps: int, rate: float, real: float, words: str, fold: int | None, held_out: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    loop = LoopConfig(UNetConfig(outputs=2, widths=(8, 16), stem=2), steps=steps, learning_rate=rate)
    whole = record(loop=loop, example=HeadConfig(real=real), history=words, fold=fold, held_out=tuple(held_out))
    write_record(folder, whole)
    assert read_record(folder) == whole
    check_same(folder, old=whole, new=whole)


def record(**changes: Any) -> TrainRecord:  # noqa: ANN401 - any setting
    """A record with some settings of its own."""
    return replace(TrainRecord("head", LoopConfig(UNetConfig(outputs=2)), HeadConfig(), "heads.npz, maps.npz"), **changes)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"fold": 2}, "fold"),
        ({"example": HeadConfig(real=0.1)}, "example.real"),
        ({"examples_sha256": {"heads.npz": "12"}}, "examples_sha256"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(RunError, match=f"{key}.* was ") as caught:
        check_same(tmp_path, old=record(), new=record(**changes))
    assert caught.value.reason is Reason.OTHER_SETTINGS
    check_same(tmp_path, old=record(), new=record(start="elsewhere", history="told anew", device="another", precision="bfloat16"))


def test_records_of_another_form_are_refused(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    for content in ("{", "{}", '{"stage": "box", "loop": {}, "example": {}, "examples": ""}'):
        (tmp_path / "record.json").write_text(content, encoding="utf-8")
        with pytest.raises(RunError, match=r"record\.json"):
            read_record(tmp_path)


def test_a_folder_without_a_run_has_no_weights(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no training run"):
        released_weights(tmp_path)


def test_what_is_missing_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"boxes\.npz is not there; make them with") as caught:
        load_boxes(tmp_path, whole_heads=0.5)
    assert caught.value.reason is Reason.NOTHING_FOUND


def test_folds_are_those_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "folds.tsv").write_text("name\tfold\na\t0\nb\t1\nc\t0\n", encoding="utf-8")
    assert held_out_names(tmp_path, fold=0, folds=2) == {"a", "c"}
    with pytest.raises(RunError, match="there is no fold 5"):
        held_out_names(tmp_path, fold=5, folds=2)
    with pytest.raises(RunError, match="has 2 folds, the configuration says folds = 5"):
        held_out_names(tmp_path, fold=0, folds=5)


def test_what_is_kept_for_a_test_is_never_learnt_from(tmp_path: Path) -> None:
    names = np.array(["one", "two", "three"])
    labels = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 2, 2, 2), np.uint8)
    inside = np.array([False, True, True])
    centres = np.arange(9.0).reshape(3, 3)
    np.savez(tmp_path / "maps.npz", names=names, labels=labels, values=np.array([0, 2, 24]), intracranial=inside, centres=centres)
    learnt, kept = load_maps(tmp_path, held_out=["two"]), held_out_maps(tmp_path, held_out=["two"])
    assert np.unique(learnt.labels).tolist() == [0, 2]
    assert np.unique(kept.labels).tolist() == [1]
    np.testing.assert_array_equal(kept.centres, centres[1:2])
    assert load_maps(tmp_path).labels.shape[0] == 3
    for load, names_held in ((load_maps, names.tolist()), (held_out_maps, [])):
        with pytest.raises(RunError, match=r"maps\.npz"):
            load(tmp_path, held_out=names_held)
    refuse_unknown(["two"], tmp_path, ["maps.npz"])
    with pytest.raises(RunError, match=r"never names tow, which .* has not; it has one, three, two"):
        refuse_unknown(["two", "tow"], tmp_path, ["maps.npz"])


@given(whole=integers(0, 20), stripped=integers(1, 40), share=floats(0, 1))
def test_whole_heads_are_drawn_with_their_share(whole: int, stripped: int, share: float) -> None:
    kinds = np.arange(whole + stripped) < whole
    odds = drawing_odds(kinds, share)
    assert odds.sum() == pytest.approx(1, abs=1e-5)
    assert odds[kinds].sum() == pytest.approx(share if whole else 0, abs=1e-5)
    assert np.ptp(odds[~kinds]) == 0


def test_a_record_stands_in_plain_names() -> None:
    """Those that the model cards read."""
    assert {"stage", "loop", "example", "held_out", "history", "fold"} <= set(asdict(record()))
