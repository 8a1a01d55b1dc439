"""Head label maps on one grid: the borders of the intracranial volume mended, and the place of the hypothalamus by landmarks."""

from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from hypojax.grid import Affine, Grid, centred_grid, model_directions, to_voxel, to_world
from hypojax.preprocessing.foreground import find_head

MAP_SHAPE = (240, 240, 208)


SPINAL_FLUID = 524
"""Label given here to CSF below the foramen magnum, so that the intracranial volume is a set of labels."""


INTRACRANIAL = (*range(1, 100), 136, 137, 163, 164, 514, 530)


LANDMARKS = {
    10: (-11, -18, 8), 49: (11, -18, 8), 11: (-13, 10, 9), 50: (13, 10, 9), 12: (-25, 1, 0), 51: (25, 1, 0), 13: (-19, -5, -1),
    52: (19, -5, -1), 17: (-26, -22, -14), 53: (26, -22, -14), 18: (-23, -5, -18), 54: (23, -5, -18), 26: (-9, 11, -7),
    58: (9, 11, -7), 28: (-10, -16, -9), 60: (10, -16, -9), 85: (0, 3, -17), 14: (0, -11, -1),
}  # fmt: skip
"""Mean MNI positions (mm) of FreeSurfer structures, good to a few millimetres: they carry the hypothalamus to a label map."""


HYPOTHALAMUS_MNI = (0.0, -3.2, -12.8)
"""Centre of the teacher's hypothalamus on the MNI152 2009c template, mm."""


def load(path: Path) -> tuple[np.ndarray, Affine]:
    """Voxels (scaled) and affine of a NIfTI file."""
    image = nibabel.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj).squeeze(), np.asarray(image.affine, np.float64)


def clean_map(labels: np.ndarray, affine: Affine) -> np.ndarray:
    """Cut CSF below the brainstem, drop islands outside the cranium, fill holes inside it."""
    inside = np.isin(labels, INTRACRANIAL)
    height = to_world(affine, np.argwhere(labels == 16))[:, 2].min()
    index = np.indices(labels.shape).reshape(3, -1).T
    inside &= (to_world(affine, index)[:, 2] >= height - 2).reshape(labels.shape)
    core = ndimage.distance_transform_edt(inside) > 4
    kept = ndimage.distance_transform_edt(~_largest(core)) <= 6
    inside = ndimage.binary_fill_holes(_largest(ndimage.binary_closing(inside & kept, iterations=1)))
    cleaned = np.where(inside & ~np.isin(labels, INTRACRANIAL), 24, labels)
    return np.where(~inside & np.isin(cleaned, INTRACRANIAL), SPINAL_FLUID, cleaned)


def hypothalamus_centre(labels: np.ndarray, affine: Affine) -> tuple[Float64[np.ndarray, "3"], float]:
    """World position of the hypothalamus in a label map by an affine fit of structure centroids, and its residual (mm)."""
    present = [label for label in LANDMARKS if (labels == label).sum() > 20]
    here = np.array([to_world(affine, np.argwhere(labels == label)).mean(axis=0) for label in present])
    mni = np.array([(*LANDMARKS[label], 1.0) for label in present])
    fit, *_ = np.linalg.lstsq(mni, here, rcond=None)
    residual = float(np.sqrt(((mni @ fit - here) ** 2).sum(axis=1).mean()))
    return np.array([*HYPOTHALAMUS_MNI, 1.0]) @ fit, residual


def maps(data: Path) -> dict[str, np.ndarray]:
    """All head label maps on a common 1 mm coronal grid round the head, with the place of the hypothalamus (voxels)."""
    volumes, centres, names = [], [], []
    for path in sorted((data / "labels/head_maps").glob("*_dseg.nii.gz")):
        raw, affine = load(path)
        labels = clean_map(raw.astype(np.int32), affine)
        grid = _map_grid(labels, affine)
        centre, residual = hypothalamus_centre(labels, affine)
        print(
            path.name, f"intracranial {np.isin(labels, INTRACRANIAL).sum() / 1e3:.0f} mL, landmark residual {residual:.1f} mm", flush=True
        )
        volumes.append(_nearest(labels, affine, grid))
        centres.append(to_voxel(grid.affine, centre))
        names.append(path.name.split("_dseg")[0])
    values = np.unique(np.concatenate([np.unique(v) for v in volumes]))
    compact = np.stack([np.searchsorted(values, v).astype(np.uint8) for v in volumes])
    return {
        "labels": compact,
        "values": values,
        "intracranial": np.isin(values, INTRACRANIAL),
        "centres": np.stack(centres),
        "names": np.array(names),
    }


def _map_grid(labels: np.ndarray, affine: Affine) -> Grid:
    """1 mm grid whose middle is where the head grid's middle would be placed in a scan of this head."""
    head = find_head((labels > 0).astype(np.float32), affine)
    return centred_grid(model_directions(affine), shape=MAP_SHAPE, spacing=1.0, centre=head.grid.centre)


def _nearest(labels: np.ndarray, affine: Affine, grid: Grid) -> np.ndarray:
    """Nearest-neighbour sampling of a label map."""
    mapping = np.linalg.inv(affine) @ grid.affine
    return ndimage.affine_transform(labels, mapping[:3, :3], mapping[:3, 3], output_shape=grid.shape, order=0)


def _largest(mask: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """Largest 6-connected component."""
    labels, _ = ndimage.label(mask)
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
