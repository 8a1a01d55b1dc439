"""Where scans came from, as BIDS writes it: datasets with a name each, and files below them as BIDS URIs (``bids:NAME:sub-01/...``)."""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hypojax.storage import Location, ObjectPath, locate

DATASET: Final = ("dataset_description.json", "participants.tsv")
"""Either of them stands at the root of a dataset."""


def source_datasets(paths: Iterable[str]) -> list[str]:
    """Roots of the datasets that files belong to; the folder of a file that belongs to none.

    A root is the nearest folder above with ``dataset_description.json`` or ``participants.tsv``; in a bucket, where asking takes a while
    for thousands of subjects, the folder above that of the subject.

    >>> source_datasets(["scans/a.nii", "scans/b.nii", "s3://bucket/bids/sub-01/anat/sub-01_T1w.nii.gz"])
    ['s3://bucket/bids', 'scans']
    """
    return sorted({str(_root(folder)) for folder in {locate(path).parent for path in paths}})


def dataset_links(roots: Iterable[str]) -> dict[str, str]:
    """Name in BIDS URIs → where the dataset lies, as a URI.

    >>> dataset_links(["s3://bucket/my bids"])
    {'my-bids-075c4c': 's3://bucket/my%20bids'}
    """
    return {_name(root): _uri(root) for root in map(locate, roots)}


def bids_uri(path: str) -> str:
    """A scan's file as a BIDS URI, whose name is one of `dataset_links`.

    >>> bids_uri("s3://bucket/bids/sub-01/anat/sub-01_T1w.nii.gz")
    'bids:bids-809f0d:sub-01/anat/sub-01_T1w.nii.gz'
    """
    place = locate(path)
    root = _root(place.parent)
    below = "/".join(place.parts[len(root.parts) :])
    return f"bids:{_name(root)}:{quote(below, errors='surrogateescape')}"


def authors(roots: Iterable[str]) -> list[str]:
    """Who the datasets on this machine say made them: whoever measures their scans goes on with their work."""
    found: dict[str, None] = {}
    for root in roots:
        if isinstance(place := locate(root), Path):
            try:
                listed = json.loads((place / DATASET[0]).read_text(encoding="utf-8")).get("Authors", [])
                found |= dict.fromkeys(name for name in listed if isinstance(name, str) and name.strip())
            except (OSError, ValueError, AttributeError, TypeError):
                continue  # it says nothing of them
    return list(found)


def _name(root: Location) -> str:
    """A name for a dataset that depends on its place alone: the name of its folder, and a few digits of its address's hash."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", root.name if isinstance(root, ObjectPath) else root.absolute().name).strip("-") or "dataset"
    return f"{plain}-{hashlib.sha256(_uri(root).encode()).hexdigest()[:6]}"


def _uri(root: Location) -> str:
    """The address of a folder."""
    if isinstance(root, ObjectPath):
        return quote(str(root), safe=":/", errors="surrogateescape")
    return root.absolute().as_uri()


@lru_cache(maxsize=4096)
def _root(folder: Location) -> Location:
    """The root of the dataset that a folder belongs to, itself where it belongs to none."""
    if isinstance(folder, ObjectPath):
        return next((place.parent for place in (folder, *folder.parents) if place.name.startswith("sub-")), folder)
    # os.path, because it may be asked of paths that cannot be (too long, a NUL byte), of which pathlib raises.
    marked = (place for place in (folder, *folder.parents) if any(os.path.isfile(place / name) for name in DATASET))  # noqa: PTH113
    return next(marked, folder)
