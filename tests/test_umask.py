"""Files and folders follow the umask of whoever runs: closed with 077, open to the group with 027."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cluster_recipes import example
from standin import StandIn, write_phantom
from tiny_segmenter import BOX, drawn

from hypojax import evaluation as evaluate
from hypojax import execute
from hypojax.checkpoint import save_checkpoint
from hypojax.cli import main
from hypojax.execute.deploy import write_recipes
from hypojax.training.loop import save_tree

pytestmark = pytest.mark.floor


@pytest.fixture(params=[0o077, 0o027], ids=["077", "027"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of this process while the test runs."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def wrongly_open_or_closed(folder: Path, umask: int) -> list[str]:
    """Files and folders whose rights are not those that the umask leaves; scripts may be run by whoever may read them."""
    wrong = []
    for path in (folder, *folder.rglob("*")):
        mode, full = stat.S_IMODE(path.stat().st_mode), 0o777 if path.is_dir() or path.suffix == ".sh" else 0o666
        wrong += [f"{path.relative_to(folder)}: {mode:o}"] if mode != full & ~umask else []
    return wrong


def test_a_run_its_export_and_its_evaluation(tmp_path: Path, umask: int) -> None:
    for number in range(2):
        write_phantom(tmp_path / "in" / f"sub-0{number}_T1w.nii.gz")
    out = tmp_path / "made" / "out"
    execute.run([tmp_path / "in"], out=out, segmenter=StandIn())
    scores = evaluate.compare(out, out)
    summary = evaluate.summarise(scores)
    evaluate.write_evaluation(scores, summary, tmp_path / "made" / "evaluation")
    evaluate.record(out, summary)
    execute.export(out)
    execute.run([tmp_path / "in"], out=out, segmenter=StandIn())
    assert len(list(out.rglob("*"))) > 40
    assert wrongly_open_or_closed(tmp_path / "made", umask) == []


def test_weights_states_and_recipes(tmp_path: Path, umask: int) -> None:
    write_recipes(example(), tmp_path / "made" / "recipes")
    network = drawn(BOX, seed=1)
    save_checkpoint(tmp_path / "made" / "box.safetensors", network.weights, network=network.network, header={})
    save_tree(tmp_path / "made" / "state.safetensors", {"weights": np.zeros(3, np.float32)})
    assert wrongly_open_or_closed(tmp_path / "made", umask) == []


def test_sets_of_subjects(tmp_path: Path, umask: int) -> None:
    table = tmp_path / "participants.tsv"
    ages = np.random.default_rng(1).normal(50, 10, 20).round(1)
    table.write_text("participant_id\tage\n" + "".join(f"sub-{number:02d}\t{age}\n" for number, age in enumerate(ages)))
    assert main(["split", str(table), "--size", "0.3", "--match", "age", "--out", str(tmp_path / "made")]) == 0
    assert wrongly_open_or_closed(tmp_path / "made", umask) == []
