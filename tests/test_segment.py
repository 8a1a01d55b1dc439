"""The segmenter: batches, devices and storage order change nothing; both stages land where they should on real scans."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from affines import affine_of, rotation
from standin import AFFINE, SHAPE, phantom_voxels
from tiny_segmenter import Small, tiny

from hypojax import schema
from hypojax.checkpoint import load_checkpoint, save_checkpoint, sha256
from hypojax.demonstration import sample_scan
from hypojax.grid import Affine, centred_grid, resample, to_voxel, to_world
from hypojax.preprocessing import foreground, intensity
from hypojax.preprocessing.foreground import find_head
from hypojax.preprocessing.intensity import BRIGHTEST
from hypojax.preprocessing.normalisation import constants
from hypojax.reason import HypojaxError, Reason, RunError
from hypojax.release import SUMS, released_folder
from hypojax.scans import read
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE
from hypojax.segmenter.forward import place_of
from hypojax.segmenter.segmenter import Segmentation, Segmenter, Surroundings, _suited, box_grid, box_input, recentred

LARGEST_DISTANCE = 4.0
"""Millimetres between our centre of the hypothalamus and the teacher's (issue: "where they should")."""

EQUAL_LABELS = 0.995
"""Share of structure voxels that must agree between storage orders: interpolation weights differ in their last bit."""

HALF_A_STEP = 0.5
"""Of a posterior × 255: a mean is rounded to whole steps."""

ANOTHER_PLACE = 0.05
"""Change of the volume when the box lies up to 3 mm elsewhere: it is centred anew, to 3 mm."""

DEVICES = Path(__file__).parent / "devices.py"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load()


def load(path: Path) -> tuple[np.ndarray, Affine]:
    image = read(path.name, path)
    return image.scaled(), image.affine


def centre_of(found: Segmentation) -> np.ndarray:
    """Centre of our hypothalamus in the world, mm."""
    whole = found.subunits.sum(axis=0, dtype=np.int64)
    return to_world(found.box_grid.affine, np.argwhere(whole > 127)).mean(axis=0)


def dice(ours: np.ndarray, theirs: np.ndarray) -> float:
    return 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())


@pytest.mark.parametrize("name", ["ds000011/sub-07", "ds002748/sub-08"])
def test_held_out_scan_lands_on_the_teacher(segmenter: Segmenter, shared: Path, name: str) -> None:
    source, subject = name.split("/")
    found = segmenter.segment(*load(shared / "bids" / source / subject / "anat" / f"{subject}_T1w.nii.gz"))
    labels, affine = load(shared / "labels/hypothalamus_teacher" / source / f"{subject}_dseg.nii.gz")
    assert np.linalg.norm(centre_of(found) - to_world(affine, np.argwhere(labels > 0)).mean(axis=0)) < LARGEST_DISTANCE


def test_left_follows_anatomy_not_storage(segmenter: Segmenter, shared: Path) -> None:
    volume, affine = load(shared / "bids/ds000011/sub-01/anat/sub-01_T1w.nii.gz")
    found = segmenter.segment(volume, affine)
    turned = np.eye(4)
    turned[:3, :3] = affine[:3, :3][:, [2, 0, 1]] * np.array([1, -1, 1])
    turned[:3, 3] = to_world(affine, np.array([volume.shape[0] - 1, 0, 0]))
    stored = np.ascontiguousarray(volume[::-1].transpose(2, 0, 1))
    again = segmenter.segment(stored, turned)
    for ours, theirs in ((found.subunits, again.subunits), (found.intracranial[None], again.intracranial[None])):
        assert dice(ours.sum(0, dtype=int) > 127, theirs.sum(0, dtype=int) > 127) >= EQUAL_LABELS
    left = to_world(found.box_grid.affine, np.argwhere(found.subunits[:5].sum(0, dtype=int) > 127))[:, 0].mean()
    right = to_world(found.box_grid.affine, np.argwhere(found.subunits[5:].sum(0, dtype=int) > 127))[:, 0].mean()
    assert left < right


def test_brightness_moves_the_posteriors_little(segmenter: Segmenter, shared: Path) -> None:
    """Gain and offset of the stored values cancel in the z-score."""
    volume, affine = load(shared / "bids/ds002748/sub-08/anat/sub-08_T1w.nii.gz")
    plain, scaled = segmenter.segment(volume, affine), segmenter.segment(volume * 3.7 + 1000, affine)
    assert dice(plain.subunits.sum(0, dtype=int) > 127, scaled.subunits.sum(0, dtype=int) > 127) > 0.99
    assert scaled.subunits.sum(dtype=float) == pytest.approx(plain.subunits.sum(dtype=float), rel=0.02)


def test_noise_alone_is_segmented_without_error(segmenter: Segmenter) -> None:
    noise = np.random.default_rng(0).normal(size=(40, 50, 60)).astype(np.float32)
    found = segmenter.segment(noise, np.diag([3.0, 3.0, 3.0, 1.0]))
    assert found.intracranial.shape == HEAD_SHAPE
    assert found.subunits.shape == (10, *BOX_SHAPE)


def test_place_is_the_mean_near_the_peak() -> None:
    index = np.moveaxis(np.indices((20, 21, 22)), 0, -1)
    logits = -0.5 * ((index - np.array([8.3, 12.0, 9.6])) ** 2).sum(-1) / 2**2
    logits[0, 0, 0] = -1.0
    place, located = place_of(jnp.asarray(logits, jnp.float32))
    np.testing.assert_allclose(place, [8.3, 12.0, 9.6], atol=0.05)
    assert 0.9 < float(located) < 1


def test_a_box_is_centred_anew_on_a_structure_far_from_its_middle() -> None:
    posteriors = np.zeros((10, *BOX_SHAPE), np.uint8)
    posteriors[3, 20:26, 10:16, 17:23] = 255
    grid = box_grid(np.diag([1.0, 1.0, 1.0, 1.0]), np.array([5.0, -3.0, 2.0]))
    centre = recentred(grid, posteriors)
    assert centre is not None
    np.testing.assert_allclose(centre, grid.centre + grid.affine[:3, :3] @ [3.0, -7.0, 0.0], atol=1e-9)
    assert recentred(grid, np.roll(posteriors, (-2, 7), axis=(1, 2))) is None
    assert recentred(grid, np.zeros_like(posteriors)) is None
    np.testing.assert_allclose(to_voxel(grid.affine, grid.centre), [19.5, 19.5, 19.5])


def labels_of(devices: int, batch: int, folder: Path) -> dict[str, np.ndarray]:
    """Label maps of three scans from a process with so many virtual devices."""
    out = folder / f"{devices}-{batch}.npz"
    flags = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(DEVICES), str(devices), str(batch), str(out)]
    done = subprocess.run(command, env=flags, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as stored:
        return dict(stored)


@pytest.mark.slow
def test_devices_and_batch_give_the_same_labels(tmp_path: Path) -> None:
    """1, 2 and 4 devices, 1, 2 and 3 scans at once on each, and `jax.pmap` itself: the same labels."""
    one = labels_of(1, 1, tmp_path)
    assert all(one["hypothalamus"].any(axis=(1, 2, 3)))
    for devices, batch in ((1, 3), (2, 2), (4, 1)):
        other = labels_of(devices, batch, tmp_path)
        for name in ("hypothalamus", "intracranial"):
            np.testing.assert_array_equal(other[name], one[name], err_msg=f"{devices} devices, batch {batch}")
        np.testing.assert_array_equal(other["pmapped"], other["hypothalamus"], err_msg=f"pmap on {devices} devices")


def test_one_device_is_the_default(segmenter: Segmenter) -> None:
    assert segmenter.batch % len(jax.local_devices()) == 0
    assert segmenter.provenance["weights_head_sha256"] == segmenter.weights["head"]


@pytest.mark.slow
def test_several_networks_are_averaged(segmenter: Segmenter) -> None:
    image = read("colin27", sample_scan())
    boxes = load_checkpoint(released_folder() / "box.safetensors")
    other = replace(boxes, arrays={name: leaf * np.float32(1.01) for name, leaf in boxes.arrays.items()})
    head = load_checkpoint(released_folder() / "head.safetensors")
    volume = image.scaled()
    one, two, both = (Segmenter(head, networks).segment(volume, image.affine) for networks in ([boxes], [other], [boxes, other]))
    apart = np.abs(both.subunits - (one.subunits.astype(np.float32) + two.subunits) / 2)
    assert both.box_grid.centre.tolist() == one.box_grid.centre.tolist()
    assert apart.max() <= HALF_A_STEP
    assert both.views.shape == (4, 10)
    np.testing.assert_array_equal(both.views[:2], one.views)


def test_a_block_is_segmented_as_the_head_it_was_cut_from(segmenter: Segmenter) -> None:
    image = read("colin27", sample_scan())
    volume = image.scaled()
    whole = segmenter.segment(volume, image.affine)
    corner = np.round(to_voxel(image.affine, whole.box_grid.centre)).astype(int) - 40
    block = volume[corner[0] : corner[0] + 80, corner[1] : corner[1] + 80, corner[2] : corner[2] + 80]
    moved = image.affine @ np.block([[np.eye(3), corner[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
    found = segmenter.segment_near(block, moved, centre=whole.box_grid.centre + np.array([9.0, -6.0, 5.0]))
    assert not found.intracranial.any()
    volumes = [result.subunits.sum(dtype=np.float64) / 255 for result in (whole, found)]
    assert abs(volumes[1] / volumes[0] - 1) < ANOTHER_PLACE


def several(count: int) -> list[tuple[np.ndarray, Affine]]:
    """Phantoms that differ by their noise, and so in everything that the tiny networks say of them."""
    noise = [np.random.default_rng(number).normal(0, 20, SHAPE).astype(np.float32) for number in range(count)]
    return [(phantom_voxels() + each, AFFINE) for each in noise]


def assert_same(found: Sequence[Segmentation], expected: Sequence[Segmentation]) -> None:
    """Bit for bit, whatever the devices took."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("intracranial", "subunits", "views"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
        assert (ours.located, ours.statistics) == (theirs.located, theirs.statistics)
        for grid, other in ((ours.head_grid, theirs.head_grid), (ours.box_grid, theirs.box_grid)):
            np.testing.assert_array_equal(grid.affine, other.affine)


def test_a_prepared_scan_is_segmented_as_any_other(segmenter: Segmenter) -> None:
    image = read("colin27", sample_scan())
    volume = image.scaled()
    (found,) = segmenter.segment_batch([segmenter.prepare(volume, image.affine)])
    assert_same([found], [segmenter.segment(volume, image.affine)])
    assert found.device_seconds > 0
    head = find_head(volume, image.affine)
    step_by_step = intensity.zscore(resample(volume, image.affine, head.grid, fill=head.statistics.background), head.statistics)
    np.testing.assert_array_equal(segmenter.prepare(volume, image.affine).image, step_by_step)


def test_prepared_and_not_may_be_mixed() -> None:
    network, scans = tiny(batch=2), several(3)
    assert_same(network.segment_batch([network.prepare(*scans[0]), *scans[1:]]), network.segment_batch(scans))
    assert network.segment_batch([]) == []
    found = tiny().segment_batch(scans)
    assert not any((one.subunits == other.subunits).all() for one, other in pairwise(found))  # so that no test mistakes one for another


@pytest.mark.parametrize("error", [jax.errors.JaxRuntimeError, MemoryError])
def test_out_of_memory_halves_the_batch_and_changes_no_result(caplog: pytest.LogCaptureFixture, error: type[Exception]) -> None:
    devices = len(jax.local_devices())
    network, scans = tiny(batch=8), several(9)
    device = Small(network, most=2 * devices, error=error)
    with caplog.at_level(logging.WARNING, logger="hypojax"):
        found = network.segment_batch(scans)
    assert_same(found, tiny(batch=2).segment_batch(scans))
    assert network.batch == 2 * devices
    assert device.sizes[:3] == [8 * devices, 4 * devices, 2 * devices]
    assert set(device.sizes[3:]) == {2 * devices}  # the last, single scan too: one shape, one compilation
    assert len(caplog.records) == 2
    network.segment_batch(scans[:1])
    assert set(device.sizes[3:]) == {2 * devices}  # from then on


def test_memory_that_ends_between_the_stages_costs_the_batch_its_first_stage_again() -> None:
    network, scans = tiny(batch=4), several(4)
    device = Small(network, most=4)
    run, failed = network._boxes[0], []

    def once(images: np.ndarray) -> tuple[jax.Array, ...]:
        if not failed:
            failed.append(len(images))
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return run(images)

    network._boxes = (once, *network._boxes[1:])
    assert_same(network.segment_batch(scans), tiny(batch=2).segment_batch(scans))
    assert failed == [4]
    assert device.sizes[0] == 4
    assert network.batch == 2


def test_no_room_for_one_scan_is_said() -> None:
    network = tiny(batch=2)
    device = Small(network, most=0)
    with pytest.raises(HypojaxError, match="does not suffice for 1 at a time") as error:
        network.segment_batch(several(2))
    assert error.value.reason == Reason.OUT_OF_MEMORY
    assert network.batch == 1
    device.most = 1
    assert_same(network.segment_batch(several(2)), tiny().segment_batch(several(2)))


def test_a_smaller_batch_is_a_multiple_of_the_devices_too() -> None:
    network, scans = tiny(batch=12), several(5)
    network._least = 4  # as with four devices
    device = Small(network, most=4)
    network.segment_batch(scans)
    assert (device.sizes[0], set(device.sizes[1:])) == (12, {4})
    device.most = 0
    with pytest.raises(HypojaxError, match="for 4 at a time"):
        network.segment_batch(scans)


def test_other_errors_of_a_device_are_passed_on() -> None:
    network = tiny(batch=2)

    def broken(images: np.ndarray) -> tuple[jax.Array, ...]:
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: a fault of ours")

    network._head = broken
    with pytest.raises(jax.errors.JaxRuntimeError, match="a fault of ours"):
        network.segment_batch(several(2))
    assert network.batch == 2


@pytest.mark.parametrize("most", [4, 1])
def test_threads_share_a_segmenter(most: int) -> None:
    """Four threads at once, of which all may run out of memory together: the results of one after the other."""
    network, scans = tiny(batch=4), several(4)
    expected = tiny(batch=most).segment_batch(scans)
    device, together = Small(network, most=most), threading.Barrier(4, timeout=60)

    def segment(_: int) -> list[Segmentation]:
        together.wait()
        return network.segment_batch([network.prepare(*scan) for scan in scans])

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(segment, range(4)):
            assert_same(found, expected)
    assert network.batch == most
    assert device.sizes[-1] == most


@pytest.mark.parametrize("gain", [0.0, 0.5, 3.0, 20.0])
def test_what_burns_outside_the_cranium_is_not_seen_inside(gain: float) -> None:
    """Fat and marrow have no part in the z-score of a box, however bright; what burns is cut off."""
    shape, affine = (60, 60, 60), np.eye(4)
    centre = np.array([29.5, 29.5, 29.5])
    distance = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1)
    volume = (np.random.default_rng(0).normal(100, 10, shape) - 60 * (distance < 5)).astype(np.float32)
    outside = distance > 21
    grid, head = box_grid(affine, centre), centred_grid(affine[:3, :3], shape=(40, 40, 40), spacing=2.0, centre=centre)
    ball = (np.linalg.norm(np.moveaxis(np.indices(head.shape), 0, -1) - 19.5, axis=-1) < 9).astype(np.uint8) * 255
    around = Surroundings(0.0, head, ball)
    plain, burning = (box_input(np.where(outside, factor * volume, volume), affine, grid, around=around) for factor in (1.0, gain))
    within = resample(outside.astype(np.float32), affine, grid) == 0
    np.testing.assert_array_equal(burning[within], plain[within])
    assert burning.max() <= BRIGHTEST
    block = box_input(volume, affine, grid, around=Surroundings(0.0))
    assert np.isfinite(block).all()  # nothing is known to be intracranial: by all of its tissue


@pytest.mark.parametrize("tilt", [0.0, 30.0])
def test_how_far_a_vessel_burns_is_not_seen_in_its_neighbours(tilt: float) -> None:
    """Stored values saturated or not: cut off in the scan's voxels, a vessel gives the same box however bright it is."""
    shape = (80, 60, 70)
    affine = affine_of((0.7, 1.0, 0.8), shape, rotation(0, tilt))
    tissue, vessel = np.random.default_rng(0).normal(100, 10, shape).astype(np.float32), np.zeros(shape, bool)
    vessel[40, 30] = True
    grid = box_grid(affine, to_world(affine, (np.array(shape) - 1) / 2))
    saturated, burning = (
        box_input(np.where(vessel, value, tissue), affine, grid, around=Surroundings(0.0)) for value in np.float32([140.0, 1000.0])
    )
    np.testing.assert_allclose(burning, saturated, atol=0.1)
    assert saturated.max() > 2


def kept(folder: Path, stage: str, **header: object) -> Path:
    """A folder with the released weights, those of one stage with this in their header besides."""
    for name in ("head", "box"):
        known = load_checkpoint(released_folder() / f"{name}.safetensors")
        save_checkpoint(
            folder / f"{name}.safetensors",
            known.weights,
            network=known.network,
            header={**known.header, **(header if name == stage else {})},
        )
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.glob("*.safetensors"))]
    (folder / SUMS).write_text("".join(lines))
    return folder


def test_weights_of_another_normalisation_are_refused(tmp_path: Path) -> None:
    """Weights that learnt from other intensities would give wrong volumes that look right."""
    with pytest.raises(RunError, match="another normalisation") as error:
        Segmenter.load(kept(tmp_path, "box", normalisation="white matter is 110"))
    assert error.value.reason is Reason.OTHER_SETTINGS


def test_weights_that_say_their_constants_are_held_to_them(tmp_path: Path) -> None:
    Segmenter.load(kept(tmp_path, "head", normalisation_constants=constants()))
    with pytest.raises(RunError, match=r"head weights .* \(intensity.TRIM was \[5.0, 99.0\], is \[5.0, 90.0\]\)"):
        Segmenter.load(kept(tmp_path, "head", normalisation_constants={**constants(), "intensity.TRIM": [5.0, 99.0]}))


def test_no_constant_of_the_normalisation_can_change_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, found by looking at the rooms, and one that is new: released weights are refused, by the constant's name."""
    released = load_checkpoint(released_folder() / "box.safetensors")
    _suited(released, "box")
    found = [(room, name) for room in (intensity, foreground) for name, value in vars(room).items() if name.isupper() and value != {}]
    numbers = [(room, name) for room, name in found if isinstance(getattr(room, name), (int, float, tuple))]
    assert (intensity, "TRIM") in numbers
    for room, name in [*numbers, (intensity, "BRAND_NEW"), (schema, "BOX_SPACING")]:
        value = getattr(room, name, 0)
        with monkeypatch.context() as changed:
            changed.setattr(room, name, (*value[:-1], value[-1] + 1) if isinstance(value, tuple) else value + 1, raising=False)
            with pytest.raises(RunError, match=name):
                _suited(released, "box")
    _suited(released, "box")


def test_a_process_loads_a_set_of_weights_once_until_they_change(tmp_path: Path) -> None:
    folder = shutil.copytree(released_folder(), tmp_path / "weights")
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(Segmenter.load, (folder, str(folder)))
    assert one is other
    assert Segmenter.load(folder, batch=2) is not one
    os.utime(folder / "box.safetensors", (0, 0))
    anew = Segmenter.load(folder)
    assert anew is not one
    Segmenter.unload()
    assert Segmenter.load(folder) is not anew
