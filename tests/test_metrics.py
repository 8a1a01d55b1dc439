"""Overlap and surface distances: a box of known distances, spheres, a slow twin that loops over voxels, and real label maps."""

import itertools
import math
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import Bool

from hypojax.grid import Affine, to_world
from hypojax.metrics import (
    average_surface_distance,
    dice,
    hausdorff95,
    relative_volume_error,
    surface_dice,
    surface_distances,
    volume_similarity,
)
from hypojax.metrics.surface import surface
from hypojax.scans import read
from hypojax.schema import PARTS

THIN = np.diag([0.125, 0.125, 0.5, 1.0])
OBLIQUE = np.array([[0.9, -0.3, 0.1, 12.0], [0.2, 1.1, -0.4, -7.0], [0.0, 0.3, 2.0, 30.0], [0.0, 0.0, 0.0, 1.0]])

EXACT = 1e-9
"""mm; sums of a few products of the affine with half integers."""

STAIRS = 0.13
"""mm; voxels of 0.25 mm give a sphere stairs of half a voxel on either side of its true surface."""

SUBVOXEL: Final = 0.07
"""mm; how far the average distance of two staircases of 1 mm may lie from that of the smooth surfaces they stand for."""

Mask = Bool[np.ndarray, "i j k"]
Faces = list[tuple[np.ndarray, float]]


def masks(side: int = 4) -> st.SearchStrategy[Mask]:
    return hnp.arrays(bool, (side, side, side))


def twin_faces(mask: Mask, affine: Affine) -> Faces:
    """Middle and area of every face, by looking at every neighbour of every voxel."""
    faces = []
    for index in itertools.product(*map(range, mask.shape)):
        for axis, step in itertools.product(range(3), (-1, 1)):
            other = [*index]
            other[axis] += step
            inside = 0 <= other[axis] < mask.shape[axis]
            if mask[index] and not (inside and mask[tuple(other)]):
                edges = [affine[:3, across] for across in range(3) if across != axis]
                middle = to_world(affine, (np.array(index) + np.array(other)) / 2)
                faces.append((middle, float(np.linalg.norm(np.cross(*edges)))))
    return faces


def twin_distances(faces: Faces, others: Faces) -> list[tuple[float, float]]:
    """Distance and area of every face, nearest first; each against each."""
    return sorted((min((math.dist(middle, other) for other, _ in others), default=math.inf), area) for middle, area in faces)


def twin_metrics(predicted: Mask, reference: Mask, affine: Affine, *, tolerance: float) -> tuple[float, float, float]:
    """NSD, HD95 and ASSD in plain words."""
    ours, theirs = twin_faces(predicted, affine), twin_faces(reference, affine)
    ways = [twin_distances(ours, theirs), twin_distances(theirs, ours)]
    both = [pair for way in ways for pair in way]
    if not both:
        return 1.0, 0.0, 0.0
    total = sum(area for _, area in both)
    near = sum(area for distance, area in both if distance <= tolerance + 1e-6)
    hd95 = 0.0
    for way in ways:
        passed = 0.0
        for distance, area in way:
            passed += area
            if passed >= 0.95 * sum(area for _, area in way) * (1 - 1e-9):
                hd95 = max(hd95, distance)
                break
    return near / total, hd95, sum(distance * area for distance, area in both) / total


def metrics(predicted: Mask, reference: Mask, affine: Affine, *, tolerance: float = 0.5) -> tuple[float, float, float]:
    distances = surface_distances(predicted, reference, affine=affine)
    return surface_dice(distances, tolerance=tolerance), hausdorff95(distances), average_surface_distance(distances)


def box(at: tuple[int, int, int] = (4, 4, 4)) -> Mask:
    """2 × 2 × 2 mm on `THIN` voxels."""
    mask = np.zeros((28, 28, 14), bool)
    mask[at[0] : at[0] + 16, at[1] : at[1] + 16, at[2] : at[2] + 4] = True
    return mask


@pytest.mark.parametrize(("axis", "steps", "distance"), [(0, 1, 0.125), (1, 3, 0.375), (2, 1, 0.5), (2, 2, 1.0)])
def test_a_box_moved_along_one_axis_is_as_far_away_as_its_voxels_are_long(axis: int, steps: int, distance: float) -> None:
    at = [4, 4, 4]
    at[axis] += steps
    nsd, hd95, _ = metrics(box((at[0], at[1], at[2])), box(), THIN, tolerance=distance)
    assert hd95 == pytest.approx(distance, abs=EXACT)
    assert nsd == 1.0
    assert metrics(box((at[0], at[1], at[2])), box(), THIN, tolerance=distance - 0.01)[0] < 1.0


def test_a_box_inside_a_larger_one_has_known_distances() -> None:
    larger = np.zeros((28, 28, 14), bool)
    larger[2:22, 2:22, 3:9] = True  # 0.25 mm wider on every side across, 0.5 mm along
    smaller = box()
    assert surface(smaller, THIN).areas.sum() == pytest.approx(24.0)
    distances = surface_distances(smaller, larger, affine=THIN)
    across = distances.to_reference[np.isclose(distances.areas_predicted, 0.125 * 0.5)]
    along = distances.to_reference[np.isclose(distances.areas_predicted, 0.125**2)]
    assert across == pytest.approx(0.25, abs=EXACT)
    assert along.max() == pytest.approx(0.5, abs=EXACT)


@given(masks(), masks(), st.sampled_from([np.eye(4), THIN, OBLIQUE]), st.sampled_from([0.125, 0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_against_a_twin_that_compares_every_face_with_every_other(
    predicted: Mask, reference: Mask, affine: Affine, tolerance: float
) -> None:
    found, expected = (
        metrics(predicted, reference, affine, tolerance=tolerance),
        twin_metrics(predicted, reference, affine, tolerance=tolerance),
    )
    assert found == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("edges", [(0.25, 0.25, 0.25), (0.25, 0.125, 0.5), (0.5, 0.25, 0.125)])
def test_concentric_spheres_are_as_far_apart_as_their_radii(edges: tuple[float, float, float]) -> None:
    affine = np.diag([*edges, 1.0])
    sides = [round(10 / edge) for edge in edges]
    squares = sum(
        (edge * (index - (side - 1) / 2)) ** 2 for edge, side, index in zip(edges, sides, np.ogrid[tuple(map(slice, sides))], strict=True)
    )
    small, large = squares < 2.5**2, squares < 4.5**2
    nsd, hd95, assd = metrics(small, large, affine, tolerance=1.4)
    assert assd == pytest.approx(2.0, abs=STAIRS)
    assert hd95 == pytest.approx(2.0, abs=2 * STAIRS)
    assert nsd == 0.0
    assert metrics(small, large, affine, tolerance=2.6)[0] == 1.0


@pytest.mark.parametrize("radius", [4.0, 10.0])
@pytest.mark.parametrize("step", [(0.4, 0.0, 0.0), (1.0, 0.0, 0.0), (0.6, 0.6, 0.6), (1.0, 0.0, 1.0), (0.5, 0.2, -0.3)])
def test_a_moved_sphere_is_as_far_away_on_average_as_its_true_surface(radius: float, step: tuple[float, float, float]) -> None:
    side = int(2 * radius + 8)
    points = np.stack(np.indices((side,) * 3), axis=-1) - (side - 1) / 2 + np.array([0.13, 0.31, -0.22])
    still, moved = (((points - np.array(shift)) ** 2).sum(axis=-1) < radius**2 for shift in ((0, 0, 0), step))
    outward = np.random.default_rng(0).normal(size=(20000, 3))
    surface_points = radius * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    true = np.abs(np.linalg.norm(surface_points - np.array(step), axis=1) - radius).mean()
    assert metrics(moved, still, np.eye(4))[2] == pytest.approx(true, abs=SUBVOXEL)


@given(masks(), masks(), st.permutations([0, 1, 2]), st.sets(st.sampled_from([0, 1, 2])))
@settings(max_examples=40, deadline=None)
def test_storage_order_does_not_matter(predicted: Mask, reference: Mask, order: list[int], flipped: set[int]) -> None:
    turned = [np.flip(mask, tuple(flipped)).transpose(order) for mask in (predicted, reference)]
    affine = OBLIQUE.copy()
    for axis in flipped:
        affine[:3, 3] += (predicted.shape[axis] - 1) * affine[:3, axis]
        affine[:3, axis] *= -1
    affine[:3, :3] = affine[:3, order]
    assert metrics(turned[0], turned[1], affine) == pytest.approx(metrics(predicted, reference, OBLIQUE), abs=EXACT)
    assert metrics(reference, predicted, OBLIQUE) == pytest.approx(metrics(predicted, reference, OBLIQUE), abs=EXACT)


def test_empty_masks_are_defined() -> None:
    nothing, something = np.zeros((3, 3, 3), bool), np.eye(3, dtype=bool)[None].repeat(3, 0)
    assert metrics(nothing, nothing, THIN) == (1.0, 0.0, 0.0)
    assert dice(nothing, nothing) == 1.0
    for pair in ((nothing, something), (something, nothing)):
        assert metrics(*pair, THIN) == (0.0, math.inf, math.inf)
        assert dice(*pair) == 0.0
    assert volume_similarity(0.0, 0.0) == 1.0
    assert volume_similarity(0.0, 5.0) == 0.0
    assert relative_volume_error(0.0, 5.0) == -1.0
    assert math.isnan(relative_volume_error(5.0, 0.0))


@given(masks(), masks())
def test_dice_against_sets_of_voxels(predicted: Mask, reference: Mask) -> None:
    ours, theirs = ({*map(tuple, np.argwhere(mask))} for mask in (predicted, reference))
    expected = 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours or theirs else 1.0
    assert dice(predicted, reference) == pytest.approx(expected)


def test_real_labels_moved_by_one_voxel(shared: Path) -> None:
    image = read("sub-01", shared / "labels" / "hypothalamus_teacher" / "ds000011" / "sub-01_dseg.nii.gz")
    for region, values in PARTS.items():
        mask = np.isin(image.voxels, values)
        nsd, hd95, assd = metrics(np.roll(mask, 1, 0), mask, image.affine, tolerance=1.0)
        assert (nsd, hd95) == (1.0, pytest.approx(1.0, abs=1e-5)), region
        assert 0.3 < assd < 1.0
        assert metrics(mask, mask, image.affine, tolerance=0.0) == (1.0, 0.0, 0.0)


def test_a_real_side_against_the_twin(shared: Path) -> None:
    image = read("sub-02", shared / "labels" / "hypothalamus_teacher" / "ds000011" / "sub-02_dseg.nii.gz")
    left, right = (np.isin(image.voxels, PARTS[f"left_{name}"]) for name in ("posterior", "inferior_tubular"))
    corner, end = np.argwhere(left | right).min(axis=0), np.argwhere(left | right).max(axis=0) + 1
    part = tuple(slice(int(low), int(high)) for low, high in zip(corner, end, strict=True))
    affine = image.affine @ np.diag([0.9, 1.2, 0.7, 1.0])
    expected = twin_metrics(left[part], right[part], affine, tolerance=1.0)
    assert metrics(left[part], right[part], affine, tolerance=1.0) == pytest.approx(expected, abs=EXACT)
