"""What a U-Net is made of: known without the network itself, which takes Flax a quarter of a second to import."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UNetConfig:
    """What a network is made of.

    Parameters
    ----------
    outputs
        Channels of logits a voxel.
    widths
        Channels at each resolution, finest first; each level halves the grid.
    stem
        Space-to-depth factor before the first and after the last layer (1: none). A factor of 2 moves all work to
        half the resolution and still answers at the full one.
    coarse
        So many of the outputs, the last ones, change slowly in space: they are answered from the second finest level, and repeated.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 96)
    stem: int = 1
    coarse: int = 0

    @property
    def multiple(self) -> int:
        """Every side of the input must be a multiple of this."""
        return int(self.stem * 2 ** (len(self.widths) - 1))
