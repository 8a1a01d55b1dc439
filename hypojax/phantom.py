"""Synthetic heads whose hypothalamus and intracranial volume are known analytically.

A head is a nest of ellipsoids: scalp, skull, intracranial fluid, brain, white matter, and inside it the third ventricle
between a left and a right hypothalamus. Each hypothalamus is an ellipsoid cut by two coronal planes and one axial plane
into the five subunits, so that every region of the label table has a volume in closed form. A head can be rendered on any
grid; voxels on an edge hold the mixture of what they contain (partial volume), as in a real scan.

A phantom checks measuring: volumes, geometry, stores, pipelines. It does not look enough like a head to judge a network.
"""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from hypojax.grid import Affine, to_world, voxel_volume
from hypojax.reason import HypojaxError, Reason
from hypojax.schema import LABELS, PARTS

Triple = tuple[float, float, float]

TISSUES: Final[tuple[tuple[str, Triple, Triple, float], ...]] = (
    ("scalp", (0.0, 0.0, 0.0), (82.0, 98.0, 78.0), 850.0),
    ("skull", (0.0, 0.0, 0.0), (75.0, 91.0, 71.0), 120.0),
    ("intracranial", (0.0, 0.0, 0.0), (68.0, 84.0, 64.0), 250.0),
    ("brain", (0.0, 0.0, 0.0), (65.0, 81.0, 61.0), 620.0),
    ("white_matter", (0.0, 0.0, 0.0), (58.0, 74.0, 54.0), 1000.0),
    ("third_ventricle", (0.0, 3.0, -16.0), (2.0, 14.0, 11.0), 250.0),
)
"""Tissue, centre and semi-axes (mm, right–anterior–superior from the middle of the head), intensity; painted in this order."""

HYPOTHALAMUS_CENTRE: Final[Triple] = (6.0, 5.0, -20.0)
"""Middle of the right hypothalamus, mm; the left one is its mirror image."""

HYPOTHALAMUS_AXES: Final[Triple] = (3.2, 6.6, 5.0)
"""Semi-axes of one hypothalamus, mm: 442 mm³ a side."""

HYPOTHALAMUS_INTENSITY: Final = 760.0

ANTERIOR_PLANE: Final = 0.3
"""Coronal plane between anterior and tubular subunits, in semi-axes from the middle."""

POSTERIOR_PLANE: Final = -0.35
"""Coronal plane between tubular and posterior subunits, in semi-axes from the middle."""

LARGEST_HYPOTHALAMUS: Final = 1.2
"""Largest scale of a hypothalamus that keeps it clear of the third ventricle."""

SUBSAMPLE: Final = 0.5
"""An edge voxel is looked at in one point per cube of this many mm a side, and in at least 64."""

GENERALISED_GOLDEN_RATIO: Final = 1.2207440846057596
"""Root of x⁴ = x + 1: its powers spread points evenly over a cube and over each of its axes (Roberts 2018)."""

SLAB: Final = 4_000_000
"""Voxels looked at together: bounds the memory of a large matrix."""


@dataclass(frozen=True)
class Phantom:
    """A synthetic head.

    Parameters
    ----------
    head
        Linear scale of the whole head, hypothalamus included.
    left, right
        Linear scales of the left and right hypothalamus, on top of ``head``; at most 1.2.
    centre
        World position of the middle of the head, mm, RAS+.
    rotation
        Turns about the right, anterior and superior axes, degrees, applied in this order.
    skull_stripped
        Render the brain alone on an empty background.
    noise
        Standard deviation of the noise, in intensities where white matter is 1000; the image is the magnitude of a signal
        with this noise in two channels (Gudbjartsson 1995).
    bias
        Largest relative change of brightness by a smooth field across the head, such as 0.2.
    offset
        Added to every voxel at the end.
    seed
        Of noise and bias field.

    Examples
    --------
    >>> round(Phantom().volumes["icv"] / 1e6, 3)
    1.531
    >>> small = Phantom(left=0.5)
    >>> small.volumes["hypothalamus_left"] / small.volumes["hypothalamus_right"]
    0.125
    """

    head: float = 1.0
    left: float = 1.0
    right: float = 1.0
    centre: Triple = (0.0, 0.0, 0.0)
    rotation: Triple = (0.0, 0.0, 0.0)
    skull_stripped: bool = False
    noise: float = 0.0
    bias: float = 0.0
    offset: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        scales = {"head": self.head, "left": self.left, "right": self.right}
        for name, scale in scales.items():
            limit = LARGEST_HYPOTHALAMUS if name != "head" else np.inf
            if not 0 < scale <= limit:
                raise HypojaxError(Reason.USAGE, f"phantom: scale {name}={scale} is outside (0, {limit}]; choose another")

    @property
    def volumes(self) -> dict[str, float]:
        """Exact volume of every region of the table, mm³."""
        _, _, intracranial, _ = TISSUES[2]
        parts = {name: _part_volume(self, value) for value, name in LABELS.items()}
        wholes = {region: sum(parts[LABELS[value]] for value in values) for region, values in PARTS.items()}
        return {"icv": 4 / 3 * np.pi * float(np.prod(intracranial)) * self.head**3, **wholes}


def render(phantom: Phantom, *, shape: tuple[int, int, int], affine: Affine) -> Float32[np.ndarray, "i j k"]:
    """Image of a phantom on a grid: ``affine`` maps voxels to mm, RAS+, in any orientation and with any voxel size.

    The same phantom and grid give the same voxels.

    >>> head = render(Phantom(), shape=(4, 4, 4), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> float(head[0, 0, 0])  # the middle of the head is white matter
    1000.0
    """
    image = np.zeros(shape, np.float32)
    for tissue, centre, axes, intensity in TISSUES:
        if phantom.skull_stripped and tissue in {"scalp", "skull", "intracranial"}:
            continue
        _paint(image, _ellipsoid(phantom, centre, axes), affine, intensity)
    for side, scale in ((-1, phantom.left), (1, phantom.right)):
        _paint(image, _hypothalamus(phantom, side, scale), affine, HYPOTHALAMUS_INTENSITY)
    return _degrade(image, phantom, affine)


def intracranial_coverage(phantom: Phantom, *, shape: tuple[int, int, int], affine: Affine) -> Float32[np.ndarray, "i j k"]:
    """Share of every voxel that is intracranial, 0 to 1: a perfect posterior."""
    coverage = np.zeros(shape, np.float32)
    _, centre, axes, _ = TISSUES[2]
    _paint(coverage, _ellipsoid(phantom, centre, axes), affine, 1.0)
    return coverage


def subunit_coverage(phantom: Phantom, *, shape: tuple[int, int, int], affine: Affine) -> Float32[np.ndarray, "10 i j k"]:
    """Share of every voxel that each of the ten subunits takes, 0 to 1, in label order: perfect posteriors."""
    coverage = np.zeros((len(LABELS), *shape), np.float32)
    for side, scale, first in ((-1, phantom.left, 0), (1, phantom.right, 5)):
        to_ball = _hypothalamus(phantom, side, scale) @ affine
        box = _bounding_box(to_ball, shape)
        index = np.stack(np.meshgrid(*[np.arange(part.start, part.stop) for part in box], indexing="ij"), axis=-1).reshape(-1, 3)
        middle, offsets = to_world(to_ball, index), _offsets(affine)
        share = np.zeros((5, len(index)), np.float32)
        for offset in offsets @ to_ball[:3, :3].T:
            share += (_subunit(middle + offset) == np.arange(5)[:, None]) / np.float32(len(offsets))
        coverage[(slice(first, first + 5), *box)] = share.reshape(5, *[part.stop - part.start for part in box])
    return coverage


def _part_volume(phantom: Phantom, value: int) -> float:
    """Volume of one subunit, mm³: a slab of an ellipsoid, halved by the axial plane except for the posterior one."""
    scale = phantom.head * (phantom.left if value <= len(LABELS) // 2 else phantom.right)
    planes = (-1.0, POSTERIOR_PLANE, ANTERIOR_PLANE, 1.0)
    slab, half = {"anterior": (2, 0.5), "posterior": (0, 1.0), "tubular": (1, 0.5)}[_slab_name(LABELS[value])]
    below, above = ((3 * t - t**3) / 4 for t in planes[slab : slab + 2])
    return 4 / 3 * np.pi * float(np.prod(HYPOTHALAMUS_AXES)) * scale**3 * (above - below) * half


def _slab_name(region: str) -> str:
    """Which of the three slabs along the anterior axis a subunit lies in."""
    return next(slab for slab in ("anterior", "posterior", "tubular") if slab in region)


def _subunit(points: Float64[np.ndarray, "n 3"]) -> Int[np.ndarray, "n"]:
    """Subunit (0 to 4 in label order, -1 outside) of points in the coordinates of the unit ball."""
    _, anterior, superior = points.T
    upper = (superior > 0).astype(int)
    named = np.where(anterior > ANTERIOR_PLANE, upper, np.where(anterior < POSTERIOR_PLANE, 2, 3 + upper))
    return np.where((points**2).sum(axis=1) <= 1, named, -1)


def _hypothalamus(phantom: Phantom, side: int, scale: float) -> Affine:
    """World to unit ball of one hypothalamus; ``side`` is -1 for left, 1 for right."""
    right, anterior, superior = HYPOTHALAMUS_CENTRE
    along_right, along_anterior, along_superior = HYPOTHALAMUS_AXES
    return _ellipsoid(phantom, (side * right, anterior, superior), (along_right * scale, along_anterior * scale, along_superior * scale))


def _ellipsoid(phantom: Phantom, centre: Triple, axes: Triple) -> Affine:
    """World (mm, RAS+) to the coordinates in which an ellipsoid of the head is the unit ball."""
    to_head = np.eye(4)
    to_head[:3, :3] = _turn(phantom.rotation) * phantom.head
    to_head[:3, 3] = phantom.centre
    to_centre = np.diag([*axes, 1.0])
    to_centre[:3, 3] = centre
    return np.linalg.inv(to_head @ to_centre)


def _turn(degrees: Triple) -> Float64[np.ndarray, "3 3"]:
    """Rotation matrix: first about the right, then the anterior, then the superior axis (right-handed)."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[first, first] = step[second, second] = np.cos(angle)
        step[second, first], step[first, second] = np.sin(angle), -np.sin(angle)
        turn = step @ turn
    return turn


def _bounding_box(to_ball: Affine, shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
    """Voxels that an ellipsoid may touch. ``to_ball`` maps voxel indices to its unit ball."""
    to_voxel = np.linalg.inv(to_ball)
    reach = np.sqrt((to_voxel[:3, :3] ** 2).sum(axis=1))
    low = np.clip(np.floor(to_voxel[:3, 3] - reach - 0.5), 0, shape).astype(int)
    high = np.clip(np.ceil(to_voxel[:3, 3] + reach + 0.5) + 1, 0, shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))


def _paint(image: Float32[np.ndarray, "i j k"], world_to_ball: Affine, affine: Affine, value: float) -> None:
    """Blend an ellipsoid of one intensity into an image that is being built, by the share of every voxel it takes."""
    to_ball = world_to_ball @ affine
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) @ to_ball[:3, :3].T
    reach = float(np.sqrt((corners**2).sum(axis=1)).max())
    rows, columns, depth = _bounding_box(to_ball, image.shape)
    step = max(1, SLAB // max(1, (columns.stop - columns.start) * (depth.stop - depth.start)))
    for start in range(rows.start, rows.stop, step):
        box = slice(start, min(start + step, rows.stop)), columns, depth
        full = _within(to_ball, box, 1 - reach)
        np.copyto(image[box], np.float32(value), where=full)
        edge = np.argwhere(_within(to_ball, box, 1 + reach) & ~full) + [part.start for part in box]
        share = _edge_share(to_ball, edge, _offsets(affine))
        image[tuple(edge.T)] += share * (np.float32(value) - image[tuple(edge.T)])


def _edge_share(to_ball: Affine, index: Int[np.ndarray, "n 3"], offsets: Float64[np.ndarray, "p 3"]) -> Float32[np.ndarray, "n"]:
    """Share of voxels inside the unit ball, from points at ``offsets`` (voxels) from their middles."""
    middle = to_world(to_ball, index)
    squared, inside = (middle**2).sum(axis=1), np.zeros(len(index), np.int32)
    for offset in offsets @ to_ball[:3, :3].T:
        inside += squared + middle @ (2 * offset) <= 1 - offset @ offset
    return (inside / len(offsets)).astype(np.float32)


def _within(to_ball: Affine, box: tuple[slice, slice, slice], radius: float) -> Bool[np.ndarray, "x y z"]:
    """Voxels of a box whose middle lies within ``radius`` of the middle of the unit ball.

    Every row of voxels enters and leaves the ball at the roots of a quadratic equation.
    """
    x, y, z = np.ogrid[box]
    origin = to_ball[:3, 0] * x + to_ball[:3, 1] * y + to_ball[:3, 3]
    step = to_ball[:3, 2]
    middle = -(origin @ step) / (step @ step)
    left = max(radius, 0.0) ** 2 - (origin**2).sum(axis=-1) + middle**2 * (step @ step)
    half = np.where(left >= 0, np.sqrt(np.maximum(left, 0) / (step @ step)), -1.0)
    along = z.astype(np.float32)
    return (along >= (middle - half).astype(np.float32)[..., None]) & (along <= (middle + half).astype(np.float32)[..., None])


def _offsets(affine: Affine) -> Float64[np.ndarray, "p 3"]:
    """Points spread evenly over a voxel, in voxels from its middle.

    They are no lattice: a lattice would place a plane between two subunits no finer than its step.
    """
    count = max(64, int(np.ceil(voxel_volume(affine) / SUBSAMPLE**3)))
    steps = GENERALISED_GOLDEN_RATIO ** -np.arange(1.0, 4.0)
    return (0.5 + (np.arange(count)[:, None] + 0.5) * steps) % 1 - 0.5


def _degrade(image: Float32[np.ndarray, "i j k"], phantom: Phantom, affine: Affine) -> Float32[np.ndarray, "i j k"]:
    """Bias field, noise and offset; a removed skull leaves an exactly empty background."""
    generator = np.random.default_rng(phantom.seed)
    wanted = image * _bias_field(phantom, image.shape, affine, generator) if phantom.bias else image
    if phantom.noise:
        real, imaginary = (generator.standard_normal(image.shape, np.float32) * np.float32(phantom.noise) for _ in range(2))
        wanted = np.hypot(wanted + real, imaginary)
        if phantom.skull_stripped:
            wanted = np.where(image > 0, wanted, np.float32(0))
    return (wanted + np.float32(phantom.offset)).astype(np.float32)


def _bias_field(phantom: Phantom, shape: tuple[int, ...], affine: Affine, generator: np.random.Generator) -> Float32[np.ndarray, "i j k"]:
    """Smooth relative brightness: a random half period of a cosine across 240 mm of the head."""
    direction = generator.standard_normal(3)
    direction *= np.pi / 240 / np.linalg.norm(direction)
    step, start = direction @ affine[:3, :3], direction @ (affine[:3, 3] - phantom.centre) + generator.uniform(0, np.pi)
    x, y, z = (np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(shape, step, strict=True))
    phase = (x + np.float32(start))[:, None, None] + y[:, None] + z
    return 1 + np.float32(phantom.bias) * np.cos(phase)
