"""Hold the released weights against every label at hand and write their model cards.

    python pipelines/evaluate_weights.py DATA checkpoints

Whole heads go down the same path as in `hypojax run`. Hypothalamus: Dice with the teacher's label map on its own 1 mm
grid, and how far apart the centres lie. Intracranial volume: Dice and volume against DLICV of ``icv_reference`` (never
trained on). Prints one line a scan; the cards ``head.md`` and ``box.md`` are made from the same numbers. About three
minutes on two cores; exits 1 when a bar is missed.
"""

import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from hypojax.checkpoint import Checkpoint, load_checkpoint
from hypojax.grid import Affine, Grid, resample, to_world, voxel_volume, within_field_of_view
from hypojax.scans import read
from hypojax.segment import Segmentation, Segmenter
from hypojax.volumes.structure import clean_hypothalamus, clean_intracranial

NEVER_TRAINED = "scans_colin27"
FARTHEST_MM = 4.0
"""Between our centre of the hypothalamus and the teacher's, on every whole head."""

LOWEST_DICE = 0.70
"""Of the whole hypothalamus with the teacher, mean over heads never trained on."""

LOWEST_ICV_DICE = 0.93
"""Of the intracranial volume with DLICV, mean."""

CARD = Path(__file__).with_name("model_card.md")
Labels = UInt8[np.ndarray, "i j k"]


def dice(ours: Bool[np.ndarray, "i j k"], theirs: Bool[np.ndarray, "i j k"]) -> float:
    """Dice of two masks; 1 when both are empty."""
    total = int(ours.sum()) + int(theirs.sum())
    return 1.0 if total == 0 else 2 * int((ours & theirs).sum()) / total


def hypothalamus_on(grid: Grid, found: Segmentation, scan: Grid) -> Labels:
    """Our label map on another grid, cleaned as in a run; ``scan`` is the scan's own grid."""
    posteriors = clean_hypothalamus(found.subunits, found.box_grid, within_field_of_view(found.box_grid, scan.shape, scan.affine))
    there = np.stack([resample(posterior, found.box_grid.affine, grid) for posterior in posteriors])
    return np.where(there.sum(axis=0) > 0.5, there.argmax(axis=0) + 1, 0).astype(np.uint8)


def intracranial_on(grid: Grid, found: Segmentation, scan: Grid) -> Bool[np.ndarray, "i j k"]:
    """Our intracranial mask on another grid, cleaned as in a run; ``scan`` is the scan's own grid."""
    inside = within_field_of_view(found.head_grid, scan.shape, scan.affine)
    return resample(clean_intracranial(found.intracranial, found.head_grid, inside), found.head_grid.affine, grid) > 0.5


def score_hypothalamus(found: Segmentation, scan: Grid, *, teacher: Labels, affine: Affine) -> dict[str, float]:
    """Dice of whole, sides and subunits, distance of the centres (mm), and both volumes (mm³)."""
    i, j, k = teacher.shape
    ours = hypothalamus_on(Grid((i, j, k), affine), found, scan)
    centres = [to_world(affine, np.argwhere(labels > 0)).mean(axis=0) if labels.any() else np.full(3, np.nan) for labels in (ours, teacher)]
    return {
        "dice": dice(ours > 0, teacher > 0),
        "dice_left": dice((ours > 0) & (ours < 6), (teacher > 0) & (teacher < 6)),
        "dice_right": dice(ours > 5, teacher > 5),
        "dice_subunits": float(np.mean([dice(ours == n, teacher == n) for n in range(1, 11)])),
        "centre_mm": float(np.linalg.norm(centres[0] - centres[1])),
        "volume_mm3": float((ours > 0).sum() * abs(np.linalg.det(affine[:3, :3]))),
        "teacher_mm3": float((teacher > 0).sum() * abs(np.linalg.det(affine[:3, :3]))),
    }


def teacher_heads(data: Path) -> list[tuple[str, Path, Path]]:
    """(name, scan, teacher label map) of every whole head that has one."""
    rows = []
    for teacher in sorted((data / "labels/hypothalamus_teacher").glob("*/*_dseg.nii.gz")):
        source, subject = teacher.parent.name, teacher.name.removesuffix("_dseg.nii.gz")
        folder = data / source if source in {"scans", "template"} else data / "bids" / source / subject / "anat"
        rows.append((f"{source}_{subject}", folder / f"{subject}_T1w.nii.gz", teacher))
    return rows


def evaluate_hypothalamus(segmenter: Segmenter, data: Path) -> dict[str, dict[str, float]]:
    """Scores of every whole head with a teacher label map."""
    scores = {}
    for name, path, teacher in teacher_heads(data):
        volume, affine = load(path)
        labels, label_affine = load(teacher)
        found, scan = segmenter.segment(volume, affine), grid_of(volume, affine)
        scores[name] = score_hypothalamus(found, scan, teacher=np.round(labels).astype(np.uint8), affine=label_affine)
        print(f"{name:36s}", "  ".join(f"{key} {value:.3g}" for key, value in scores[name].items()), flush=True)
    return scores


def evaluate_intracranial(segmenter: Segmenter, data: Path) -> dict[str, dict[str, float]]:
    """Dice and volumes (mL) against DLICV."""
    scores = {}
    for path in sorted((data / "icv_reference").glob("*_T1w.nii.gz")):
        volume, affine = load(path)
        reference, _ = load(Path(str(path).replace("_T1w", "_dlmuse")))
        scan = grid_of(volume, affine)
        ours, voxel = intracranial_on(scan, segmenter.segment(volume, affine), scan), voxel_volume(affine) / 1e3
        scores[path.name[:6]] = {
            "dice": dice(ours, reference > 0),
            "volume_ml": ours.sum() * voxel,
            "reference_ml": (reference > 0).sum() * voxel,
        }
        print(path.name[:6], "  ".join(f"{key} {value:.4g}" for key, value in scores[path.name[:6]].items()), flush=True)
    return scores


def load(path: Path) -> tuple[Float32[np.ndarray, "i j k"], Affine]:
    """Scaled voxels and affine."""
    image = read(path.name, path)
    return image.scaled(), image.affine


def grid_of(volume: Float32[np.ndarray, "i j k"], affine: Affine) -> Grid:
    """A scan's own grid."""
    i, j, k = volume.shape
    return Grid((i, j, k), affine)


def missed(hypothalamus: dict[str, dict[str, float]], intracranial: dict[str, dict[str, float]], held_out: Sequence[str]) -> list[str]:
    """Which bars the weights miss, a sentence each."""
    apart = [row["dice"] for name, row in hypothalamus.items() if name in held_out or name == NEVER_TRAINED]
    far = [f"{name}: centre {row['centre_mm']:.1f} mm off" for name, row in hypothalamus.items() if not row["centre_mm"] <= FARTHEST_MM]
    low = [("hypothalamus", np.mean(apart), LOWEST_DICE), ("icv", np.mean([row["dice"] for row in intracranial.values()]), LOWEST_ICV_DICE)]
    return [*far, *(f"{name}: Dice {found:.3f} below {bar}" for name, found, bar in low if found < bar)]


def held_out_table(scores: dict[str, dict[str, float]], held_out: Sequence[str]) -> str:
    """Markdown: means (and worst) over scans never trained on, and over those trained on."""
    apart = {name for name in scores if name in held_out or name == NEVER_TRAINED}
    columns = ["whole heads", "n", "Dice whole, mean (worst)", "left", "right", "ten subunits", "centre, mm (worst)", "volume − teacher"]
    rows = [_held_out_row("never trained on", [scores[name] for name in sorted(apart)])]
    return _markdown(columns, [*rows, _held_out_row("trained on", [scores[name] for name in sorted(set(scores) - apart)])])


def _held_out_row(title: str, rows: list[dict[str, float]]) -> list[str]:
    """One line of `held_out_table`."""
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    worst, far = min(row["dice"] for row in rows), max(row["centre_mm"] for row in rows)
    sides = [f"{mean[key]:.3f}" for key in ("dice_left", "dice_right", "dice_subunits")]
    bias = f"{mean['volume_mm3'] / mean['teacher_mm3'] - 1:+.1%}"
    return [title, str(len(rows)), f"{mean['dice']:.3f} ({worst:.3f})", *sides, f"{mean['centre_mm']:.1f} ({far:.1f})", bias]


def intracranial_table(scores: dict[str, dict[str, float]]) -> str:
    """Markdown: agreement with DLICV."""
    dices = [row["dice"] for row in scores.values()]
    ours, theirs = (np.array([row[key] for row in scores.values()]) for key in ("volume_ml", "reference_ml"))
    ratio = ours / theirs
    columns = ["against DLICV", "n", "Dice, mean (worst)", "volume correlation", "mean volume ratio", "scatter of the ratio"]
    row = [
        "icv_reference, 2 mm, older adults",
        str(len(dices)),
        f"{np.mean(dices):.3f} ({min(dices):.3f})",
        f"{np.corrcoef(ours, theirs)[0, 1]:.3f}",
        f"{ratio.mean():.3f}",
        f"{ratio.std(ddof=1) / ratio.mean():.1%}",
    ]
    return _markdown(columns, [row])


def _markdown(columns: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, ["---"] * len(columns), *rows])


def card(checkpoint: Checkpoint, *, title: str, about: str, table: str) -> str:
    """The model card of one network."""
    training = checkpoint.header["training"]
    return Template(CARD.read_text()).substitute(
        title=title,
        about=about,
        table=table,
        sha256=checkpoint.sha256,
        network=checkpoint.network,
        steps_done=training["steps_done"],
        steps=training["loop"]["steps"],
        batch=training["loop"]["batch"],
        seed=training["loop"]["seed"],
        history=training["history"],
        held_out=", ".join(training["held_out"]),
        machine=platform.machine(),
        python=platform.python_version(),
        configuration=json.dumps(training, indent=1),
    )


def main(data: Path, weights: Path) -> None:
    """Evaluate and write both cards."""
    segmenter = Segmenter.load(weights)
    hypothalamus, intracranial = evaluate_hypothalamus(segmenter, data), evaluate_intracranial(segmenter, data)
    head, box = (load_checkpoint(weights / f"{stage}.safetensors") for stage in ("head", "box"))
    tables = intracranial_table(intracranial), held_out_table(hypothalamus, box.header["training"]["held_out"])
    about = "Whole head at 2 mm, coronal first: posterior of the intracranial volume, and the place of the hypothalamus."
    (weights / "head.md").write_text(card(head, title="Whole-head network", about=about, table=tables[0]))
    about = "A 40 mm box at 1 mm round the hypothalamus, coronal first: posteriors of five subunits a side (Bocchetta 2015; Billot 2020)."
    (weights / "box.md").write_text(card(box, title="Hypothalamus network", about=about, table=tables[1]))
    print(*tables, sep="\n\n")
    sys.exit("\n".join(missed(hypothalamus, intracranial, box.header["training"]["held_out"])) or None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
