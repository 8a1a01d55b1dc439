"""The published network for hypothalamic subunits (Billot 2020) in PyTorch, scan by scan over the whole head, for its time.

    python -m pip install torch h5py nibabel scipy
    python benchmarks/billot.py WEIGHTS.h5 SCAN [SCAN ...] [--teacher DSEG] [--threads 2]

A script for an environment of its own; `benchmarks/throughput.py --torch-python` calls it. Every scan is read, turned to RAS, sampled at
1 mm, scaled to 0..1, padded and sent through the network whole; one JSON line a scan says how long that took and how long the
network alone. ``--teacher`` holds the first scan's result against a label map (Dice), so that what is timed is the real thing.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import torch
from nibabel.processing import resample_from_to, resample_to_output
from torch import nn
from torch.nn import functional

LEVELS = 3
NORMALISED = 1e-3
"""What Keras adds to a variance."""

WHITE_MATTER = 0.45
"""Where the brightest tenth of tissue is put: the network's volumes depend on it, and are steady near the middle of its range."""


class Block(nn.Module):
    """Two convolutions with ELU, then batch normalisation."""

    def __init__(self, weights: Any, arm: str, level: int, norm: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolution(weights, f"unet_conv_{arm}_{level}_{number}") for number in range(2))
        self.norm = batch_norm(weights, norm)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the same size: as the upward arm takes them across, and normalised for the next level."""
        for layer in self.convolutions:
            x = functional.elu(layer(x), inplace=True)
        return x, self.norm(x)


class Billot(nn.Module):
    """The network with its published weights: voxels in 0..1 to posteriors of background and ten subunits."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.down = nn.ModuleList(Block(weights, "downarm", level, f"unet_bn_down_{level}") for level in range(LEVELS))
        self.up = nn.ModuleList(Block(weights, "uparm", LEVELS + number, f"unet_bn_up_{number}") for number in range(LEVELS - 1))
        self.likelihood = convolution(weights, "unet_likelihood")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 1, x, y, z) to (1, 11, x, y, z)."""
        across = []
        for level, block in enumerate(self.down):
            features, x = block(functional.max_pool3d(x, 2) if level else x)
            across.append(features)
        del features, across[-1]
        for block in self.up:
            _, x = block(torch.cat([across.pop(), functional.interpolate(x, scale_factor=2.0)], dim=1))
        return torch.softmax(self.likelihood(x), dim=1)


def convolution(weights: Any, name: str) -> nn.Conv3d:
    """A Keras convolution in PyTorch's order of axes."""
    kernel, bias = (torch.from_numpy(np.asarray(weights[name][name][part])) for part in ("kernel:0", "bias:0"))
    layer = nn.Conv3d(kernel.shape[3], kernel.shape[4], tuple(kernel.shape[:3]), padding="same")
    layer.weight.data, layer.bias.data = kernel.permute(4, 3, 0, 1, 2).contiguous(), bias
    return layer


def batch_norm(weights: Any, name: str) -> nn.BatchNorm3d:
    """A Keras batch normalisation, for inference."""
    parts = [torch.from_numpy(np.asarray(weights[name][name][f"{part}:0"])) for part in ("gamma", "beta", "moving_mean", "moving_variance")]
    layer = nn.BatchNorm3d(len(parts[0]), eps=NORMALISED)
    layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var = parts
    return layer


def prepared(path: Path) -> tuple[Any, torch.Tensor]:
    """A scan in RAS at 1 mm, and what the network sees of it: scaled, padded to what it can halve."""
    image = resample_to_output(nib.as_closest_canonical(nib.load(path)), 1.0, order=1)
    voxels = np.asarray(image.dataobj, np.float32)
    low, tissue = np.percentile(voxels, 0.5), voxels[voxels > voxels.mean()]
    scaled = np.clip((voxels - low) / (np.percentile(tissue, 90) - low) * WHITE_MATTER, 0, 1)
    pad = [(0, -length % 2 ** (LEVELS - 1)) for length in voxels.shape]
    return image, torch.from_numpy(np.pad(scaled, pad))[None, None]


def labels(posteriors: torch.Tensor, shape: tuple[int, ...]) -> Any:
    """Subunit where the ten together pass one half."""
    inside = posteriors[0, :, : shape[0], : shape[1], : shape[2]]
    likeliest = inside[1:].argmax(dim=0) + 1
    return torch.where(inside[0] < 0.5, likeliest, 0).numpy().astype(np.uint8)


def dice(found: Any, image: Any, teacher: Path) -> float:
    """Dice of the whole hypothalamus with a label map."""
    reference = nib.load(teacher)
    there = resample_from_to(nib.Nifti1Image(found, image.affine), reference, order=0)
    ours, theirs = np.asarray(there.dataobj) > 0, np.asarray(reference.dataobj) > 0
    return float(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))


def main() -> None:
    """Print one JSON line a scan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with h5py.File(chosen.weights) as weights, torch.inference_mode():
        network = Billot(weights).eval()
        for number, path in enumerate(chosen.scans):
            start = time.perf_counter()
            image, voxels = prepared(path)
            ready = time.perf_counter()
            posteriors = network(voxels)
            end = time.perf_counter()
            found = labels(posteriors, image.shape)
            line = {"scan": str(path), "shape": image.shape, "seconds": time.perf_counter() - start, "network_seconds": end - ready}
            if chosen.teacher and not number:
                line["dice"] = dice(found, image, chosen.teacher)
            print(json.dumps({**line, "volume_mm3": int((found > 0).sum()), "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
