"""The training loop: a killed run goes on bit for bit, also on several devices; it stops early, in two precisions, and it learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PyTree
from toy_training import make_toy

from hypojax.reason import Reason, RunError
from hypojax.training.loop import BEST, STATE, Precision, State, load_state, load_tree, run_loop, settled_precision
from hypojax.training.train_log import SilentTraining, read_history
from hypojax.unet_config import UNetConfig

ROUNDING = 1e-5
"""Between a mean over four examples and the mean of two means of two, after six steps."""

DEVICES = Path(__file__).with_name("toy_training.py")


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


class Killer(SilentTraining):
    """Kills a run after a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def stepped(self, step: int, loss: float) -> None:
        if step == self._step:
            raise Killed


def equal(one: PyTree, other: PyTree) -> bool:
    """Whether two trees hold the same bits."""
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@pytest.mark.parametrize("step", [1, 5, 6, 7])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, step: int) -> None:
    toy = make_toy(steps=8, every=2)
    whole = run_loop(toy, jnp.float32(1), tmp_path / "whole")
    with pytest.raises(Killed):
        run_loop(toy, jnp.float32(1), tmp_path / "killed", callback=Killer(step))
    resumed = run_loop(toy, jnp.float32(1), tmp_path / "killed")
    assert equal(resumed, whole)
    steps, again = ([(entry.step, entry.loss) for entry in read_history(tmp_path / name)] for name in ("whole", "killed"))
    assert steps == again


def test_an_interrupted_run_saves_at_once_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    toy = make_toy(steps=8, every=4)
    whole = run_loop(toy, jnp.float32(1), tmp_path / "whole")
    asked = iter([False, False, True])
    stopped = run_loop(toy, jnp.float32(1), tmp_path / "stopped", interrupted=lambda: next(asked))
    assert int(stopped.step) == 3
    assert equal(load_state(tmp_path / "stopped" / STATE, toy.start), stopped)
    assert equal(run_loop(toy, jnp.float32(1), tmp_path / "stopped"), whole)
    assert [entry.step for entry in read_history(tmp_path / "stopped")] == [3, 4, 8]


class Countdown:
    """True the n-th time it is asked."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self) -> bool:
        self._left -= 1
        return self._left == 0


@pytest.mark.parametrize("kill", [None, 2, 4, 5])
def test_patience_ends_a_run_at_the_same_step_killed_or_not(tmp_path: Path, kill: int | None) -> None:
    """The third validation is the best and two without a better one follow; the memory is the log."""
    folder, marks = tmp_path / "run", [0.5, 0.6, 0.8, 0.8, 0.7, 0.9]
    toy = make_toy(steps=20, every=1, validate=1, patience=2)

    def score(weights: PyTree) -> dict[str, float]:
        return {"score": marks[len(read_history(folder))]}

    if kill is not None:
        with pytest.raises(Killed):
            run_loop(toy, jnp.float32(1), folder, score=score, callback=Killer(kill))
    assert int(run_loop(toy, jnp.float32(1), folder, score=score).step) == 5
    assert [entry.scores["score"] for entry in read_history(folder)] == marks[:5]
    third = run_loop(toy, jnp.float32(1), tmp_path / "third", interrupted=Countdown(3))
    assert equal(load_tree(folder / BEST, toy.start.averaged), third.averaged)
    assert int(run_loop(toy, jnp.float32(1), folder, score=score).step) == 5


@pytest.mark.floor
def test_a_run_validates_now_and_then_and_at_its_end(tmp_path: Path) -> None:
    toy = make_toy(steps=5, every=1, validate=2)
    run_loop(toy, jnp.float32(1), tmp_path, score=lambda weights: {"score": 1.0})
    assert [entry.step for entry in read_history(tmp_path) if entry.scores] == [2, 4, 5]


def test_a_line_that_a_kill_cut_short_is_written_again(tmp_path: Path) -> None:
    toy = make_toy(steps=4, every=2)
    run_loop(toy, jnp.float32(1), tmp_path, interrupted=Countdown(2))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')
    run_loop(toy, jnp.float32(1), tmp_path)
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [2, 4]


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    run_loop(make_toy(steps=3), jnp.float32(1), tmp_path)
    with pytest.raises(RunError, match="another network") as caught:
        run_loop(make_toy(steps=3, network=UNetConfig(outputs=1, widths=(4, 6))), jnp.float32(1), tmp_path)
    assert caught.value.reason is Reason.OTHER_SETTINGS
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(RunError, match="cannot be read"):
        run_loop(make_toy(steps=3), jnp.float32(1), tmp_path)


def test_training_learns(tmp_path: Path) -> None:
    run_loop(make_toy(steps=120, every=40, validate=40), jnp.float32(1), tmp_path)
    first, _, last = read_history(tmp_path)
    assert last.loss < first.loss / 2


@pytest.mark.slow
def test_mixed_precision_learns_the_same_with_float32_weights(tmp_path: Path) -> None:
    """The network is wide enough for the kernel gradient of our own to run in bfloat16 too."""
    wide = UNetConfig(outputs=1, widths=(12,))
    states = {
        name: run_loop(make_toy(steps=30, precision=name, network=wide), jnp.float32(1), tmp_path / name)
        for name in ("float32", "bfloat16")
    }
    losses = {name: read_history(tmp_path / name)[-1].loss for name in states}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(states["bfloat16"].weights))
    assert not equal(states["bfloat16"].weights, states["float32"].weights)
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.1)


def broken() -> jax.Array:
    raise jax.errors.JaxRuntimeError("INTERNAL: no algorithm worked\nand more")


def test_auto_takes_bfloat16_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled_precision("auto", broken) == Precision("float32", "bfloat16 gains nothing on a CPU")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert settled_precision("auto", lambda: jnp.ones(())).name == "bfloat16"
    assert settled_precision("auto", lambda: jnp.full((), jnp.nan)).name == "float32"
    fallen = settled_precision("auto", broken)
    assert fallen.name == "float32"
    assert fallen.reason.endswith("INTERNAL: no algorithm worked")
    assert settled_precision("float32", broken).name == "float32"


def on_devices(count: int, out: Path) -> tuple[State, State]:
    """The toy trained in a process with so many virtual devices: in one go, and interrupted."""
    flags = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, str(DEVICES), str(count), str(out)], env=flags, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    start = make_toy(steps=6).start
    return load_state(out / "whole.safetensors", start), load_state(out / "resumed.safetensors", start)


@pytest.mark.slow
def test_two_devices_share_the_examples_of_a_step(tmp_path: Path) -> None:
    """An interrupted run on two devices goes on bit for bit; one device with the same batch gives the same to rounding."""
    whole, resumed = on_devices(2, tmp_path / "two")
    assert equal(whole, resumed)
    one, _ = on_devices(1, tmp_path / "one")
    assert int(one.step) == int(whole.step) == 6
    # The moments too: Adam's steps would be the same with gradients twice as large.
    for ours, theirs in zip(jax.tree.leaves((whole.weights, whole.optimiser)), jax.tree.leaves((one.weights, one.optimiser)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING)
