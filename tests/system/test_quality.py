"""The quality score with the released weights: sound scans pass, odd and spoilt ones are right or flagged, never silently wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hypojax import Segmenter
from hypojax import demonstration as demo
from hypojax.execute.measured import measure_scan
from hypojax.reason import HypojaxError, Reason
from hypojax.scans import read
from hypojax.schema import SCORED
from hypojax.volumes import Measurement
from pipelines.maintenance import perturb
from pipelines.maintenance.perturb import Scan

pytestmark = pytest.mark.slow

LOW = {f"low_quality_{region}" for region in SCORED}

CENTRE = demo.CENTRE_MM
"""Middle of the hypothalamus of the sample scan."""

SPOILT: dict[str, Callable[[np.ndarray, np.ndarray], Scan]] = {
    "blurred": lambda v, a: perturb.smoothed(v, a, mm=9.0),
    "moved": lambda v, a: perturb.moved_during(v, a, axis=1, mm=6.0, seed=1),
    "signal lost": lambda v, a: perturb.dropped_out(v, a, centre=CENTRE, mm=8.0, depth=0.95),
    "edges wrong": lambda v, a: perturb.rescaled_header(v, a, factors=(1.4, 1.4, 1.4)),
    "upside down": lambda v, a: perturb.rescaled_header(v, a, factors=(1.0, 1.0, -1.0)),
    "contrast inverted": perturb.inverted,
}


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load()


@pytest.fixture(scope="module")
def sample() -> Scan:
    image = read("colin27", demo.sample_scan())
    return image.scaled(), image.affine


def measured(segmenter: Segmenter, scan: Scan) -> Measurement:
    return measure_scan(*scan, segmenter.segment(*scan))


def measured_or_refused(segmenter: Segmenter, scan: Scan) -> Measurement | HypojaxError:
    try:
        return measured(segmenter, scan)
    except HypojaxError as error:
        return error


def test_a_sound_scan_passes(segmenter: Segmenter, sample: Scan) -> None:
    found = measured(segmenter, sample)
    assert {region: found.volumes[region].quality_score > 0.7 for region in SCORED} == dict.fromkeys(SCORED, True)
    assert not LOW & set(found.flags)


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_scan_is_flagged_or_refused(segmenter: Segmenter, sample: Scan, name: str) -> None:
    found = measured_or_refused(segmenter, SPOILT[name](*sample))
    if isinstance(found, HypojaxError):
        assert found.reason in {"no_brain", "no_hypothalamus", "not_t1w"}
        return
    assert found.volumes["hypothalamus"].missing_reason or "low_quality_hypothalamus" in found.flags
    assert found.volumes["hypothalamus"].missing_reason or found.volumes["hypothalamus"].quality_score < 0.3


def test_a_child_is_measured_and_a_tumour_in_thick_slices_is_flagged(segmenter: Segmenter, shared: Path) -> None:
    child, tumour = (
        measured(segmenter, (image.scaled(), image.affine))
        for image in (
            read(path.name, path) for path in (shared / "scans/fnndsc_child_T1w.nii.gz", shared / "odd/thick_slices_tumour_T1w.nii.gz")
        )
    )
    labels = read("teacher", shared / "labels/hypothalamus_teacher/scans/fnndsc_child_dseg.nii.gz")
    teacher = (labels.voxels > 0).sum() * abs(np.linalg.det(labels.affine[:3, :3]))
    assert child.volumes["hypothalamus"].volume_mm3 == pytest.approx(teacher, rel=0.15)
    assert not LOW & set(child.flags)
    assert "thick_voxels" in tumour.flags


@pytest.mark.parametrize("below", [35.0, 40.0, 45.0, 60.0])
def test_a_field_of_view_that_ends_in_the_skull_base_is_said_or_harmless(segmenter: Segmenter, sample: Scan, below: float) -> None:
    """The intracranial volume is missing with the reason, or what it is with the whole head, to a hundredth."""
    whole = measured(segmenter, sample).volumes["icv"].volume_mm3
    cut = perturb.cropped(*sample, low=(-np.inf, -np.inf, CENTRE[2] - below), high=(np.inf,) * 3)
    found = measured(segmenter, cut).volumes["icv"]
    assert found.missing_reason == Reason.CUT_OFF or abs(found.volume_mm3 / whole - 1) < 0.01
    assert below < 60 or not found.missing_reason


BRIGHTNESS = {
    "T2": (0.0, 1.0, 0.55, 0.35, 0.6), "FLAIR": (0.0, 0.15, 0.9, 0.7, 0.8), "proton density": (0.0, 0.9, 1.0, 0.8, 0.9),
    "echo-planar": (0.0, 1.0, 0.75, 0.55, 0.15),
}  # fmt: skip
"""Of air, fluid, grey matter, white matter and fat."""


@pytest.mark.parametrize("name", BRIGHTNESS)
def test_another_contrast_is_refused_or_flagged_and_never_measured_in_silence(segmenter: Segmenter, sample: Scan, name: str) -> None:
    volume, affine = sample
    own = np.percentile(volume[volume > np.percentile(volume, 60)], (8, 45, 85, 99.5))
    other = np.interp(volume, [volume.min(), *own], BRIGHTNESS[name]).astype(np.float32)
    found = measured_or_refused(segmenter, (1000 * other, affine))
    if isinstance(found, HypojaxError):
        assert found.reason == Reason.NOT_T1W
    else:
        assert "not_t1w" in found.flags


def test_a_fruit_is_refused(segmenter: Segmenter) -> None:
    """A ball of 9 cm that is brighter inside, with a texture: the networks find 1641 mL of brain in it."""
    place = np.indices((120, 120, 120))
    away = np.sqrt(((place - 60) ** 2).sum(axis=0))
    texture = 1 + 0.2 * np.sin(place[0] / 4) * np.cos(place[1] / 5)
    fruit = np.clip(45 - away, 0, 5) * 100 * texture + np.random.default_rng(0).normal(0, 3, away.shape)
    found = measured_or_refused(segmenter, (fruit.astype(np.float32), np.eye(4)))
    assert isinstance(found, HypojaxError)
    assert found.reason == Reason.NOT_T1W


def test_sound_scans_are_t1w(segmenter: Segmenter, sample: Scan) -> None:
    """As it came, in the hands of a weak coil, and turned far."""
    for scan in (sample, perturb.biased(*sample, share=0.8, seed=0), perturb.turned(*sample, degrees=(30.0, 0.0, 20.0))):
        assert measured(segmenter, scan).quality["t1w_probability"] > 0.5
