"""Weights on disk: round trip, and every way a file can be wrong."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from jaxtyping import PyTree

from hypojax.checkpoint import load_checkpoint, save_checkpoint, sha256
from hypojax.reason import Reason, RunError
from hypojax.release import SUMS, released_folder
from hypojax.unet import UNet
from hypojax.unet_config import UNetConfig

NETWORK = UNetConfig(outputs=2, widths=(4, 8), coarse=1)


def weights_of(seed: int) -> PyTree:
    return nnx.state(UNet(NETWORK, rngs=nnx.Rngs(seed)))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "head.safetensors"
    digest = save_checkpoint(path, weights_of(3), network=NETWORK, header={"stage": "head"})
    (tmp_path / SUMS).write_text(f"{digest}  head.safetensors\n")
    return path


def test_round_trip(stored: Path) -> None:
    read = load_checkpoint(stored)
    assert read.network == NETWORK
    assert read.header == {"stage": "head"}
    for ours, theirs in zip(jax.tree.leaves(read.weights), jax.tree.leaves(weights_of(3)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_saving_twice_gives_the_same_bytes(stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "again.safetensors"
    assert save_checkpoint(other, weights_of(3), network=NETWORK, header={"stage": "head"}) == sha256(stored)


def test_any_flipped_bit_is_refused(stored: Path) -> None:
    good, rng = stored.read_bytes(), np.random.default_rng(0)
    for position in rng.integers(0, len(good), 20):
        bad = bytearray(good)
        bad[position] ^= 1 << int(rng.integers(8))
        stored.write_bytes(bytes(bad))
        with pytest.raises(RunError, match="SHA-256") as error:
            load_checkpoint(stored)
        assert error.value.reason is Reason.WEIGHTS_CORRUPTED


def test_truncated_and_missing_are_refused(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:1000])
    with pytest.raises(RunError, match="reinstall") as error:
        load_checkpoint(stored)
    assert error.value.reason is Reason.WEIGHTS_CORRUPTED
    stored.unlink()
    with pytest.raises(RunError, match="are missing") as error:
        load_checkpoint(stored)
    assert error.value.reason is Reason.WEIGHTS_MISSING


def test_a_file_that_is_no_checkpoint_is_refused(stored: Path) -> None:
    stored.write_bytes(b"not tensors at all")
    with pytest.raises(RunError, match="cannot be used"):
        load_checkpoint(stored, expected=sha256(stored))


def test_a_file_without_sum_is_refused(stored: Path) -> None:
    (stored.parent / SUMS).write_text("")
    with pytest.raises(RunError, match="no entry"):
        load_checkpoint(stored)


def test_weights_of_another_network_are_refused(stored: Path, tmp_path: Path) -> None:
    other, path = UNetConfig(outputs=2, widths=(4, 16)), tmp_path / "other.safetensors"
    with pytest.raises(RunError, match="do not fit"):
        save_checkpoint(path, weights_of(0), network=other, header={})
    assert not path.exists()
    with pytest.raises(RunError, match="do not fit") as error:
        _ = replace(load_checkpoint(stored), network=other).weights
    assert error.value.reason is Reason.WEIGHTS_CORRUPTED


@pytest.mark.parametrize("stage", ["head", "box"])
def test_released_weights_load(stage: str) -> None:
    checkpoint = load_checkpoint(released_folder() / f"{stage}.safetensors")
    assert checkpoint.header["stage"] == stage
