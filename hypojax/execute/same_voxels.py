"""The same head under several names: segmented once where the names come soon after each other."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hypojax.execute.item import Ready, Refused, Segmented

if TYPE_CHECKING:
    from hypojax.segmenter.segmenter import Segmentation

REMEMBERED: Final = 8
"""Segmentations kept, 2 MB each: a copy lies beside the original, or comes a few scans later."""

Key = tuple[str, bytes]


def key_of(item: Ready | Segmented) -> Key:
    """What two scans must share for one segmentation to be that of both: voxels and their place. Scans of older stores share nothing."""
    affine = item.prepared.affine if isinstance(item, Ready) else item.affine
    return str(item.row.get("voxels_checksum") or item.scan), affine.tobytes()


def distinct(items: Sequence[Ready]) -> list[Ready]:
    """The first scan of each set of voxels."""
    return list({key_of(item): item for item in reversed(items)}.values())[::-1]


class Recent:
    """Segmentations of the last few scans."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Segmentation] = OrderedDict()

    def add(self, items: Iterable[Segmented | Refused]) -> None:
        """Keep what the network said of scans; it takes the device no time when it is used again."""
        for item in items:
            if isinstance(item, Segmented):
                self._kept[key_of(item)] = replace(item.segmentation, device_seconds=0.0)
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)

    def of(self, item: Ready) -> "Segmentation | None":
        """What the network said of the same voxels in the same place; None where it did not lately."""
        return self._kept.get(key_of(item))
