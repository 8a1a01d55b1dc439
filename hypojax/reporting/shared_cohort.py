"""A cohort that may be passed on: the same numbers and images, and nothing that tells whom they are of."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Shaped

from hypojax.cohort import people

KEPT: Final = (
    *("title", "hypojax", "numpy", "xarray", "zarr", "jax", "device", "networks", "layout"),
    *("weights_head_sha256", "weights_box_sha256", "settings"),
)
"""Attributes of a cohort that say how it was measured, and nothing of where or when."""

RUN_SETTINGS: Final = "run_settings"
"""Attribute with the settings of a run; all others of them can hold names and paths."""

FAILED: Final = "not measured; the reason is given, the sentence is left out because it can hold names"


def share_cohort(cohort: xr.Dataset) -> xr.Dataset:
    """The same cohort under names such as ``scan-0001``, in its order, without paths, sentences, dates and columns of people.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    """
    new = shared_names(cohort.sizes["scan"])
    own = dict(zip(cohort["scan"].values.tolist(), new, strict=True))
    texts = {
        "message": [FAILED if message else "" for message in cohort["message"].values.tolist()],
        "duplicate_of": [own.get(scan, "") for scan in cohort["duplicate_of"].values.tolist()],
        **{name: [""] * len(new) for name in ("path", "notes", "voxels_checksum")},
    }
    coordinates = {"scan": new, "dataset": [f"dataset-{number}" for number in _numbered(cohort["dataset"].values)]}
    return (
        cohort.drop_vars(people(cohort))
        .assign({name: _texts(values) for name, values in texts.items()})
        .assign_coords({name: _texts(values) for name, values in coordinates.items()})
        .drop_attrs(deep=False)
        .assign_attrs({name: _without_paths(value) for name, value in cohort.attrs.items() if name in KEPT})
        .assign_attrs({RUN_SETTINGS: json.dumps({"ensemble": uses_ensemble(cohort.attrs)})})
    )


def uses_ensemble(attributes: Mapping[Any, Any]) -> bool:
    """Whether several networks measured together, by the settings of the run."""
    try:
        found = json.loads(str(attributes.get(RUN_SETTINGS, "{}")))
    except ValueError:
        return False
    return isinstance(found, dict) and bool(found.get("ensemble"))


def shared_names(number: int) -> list[str]:
    """Names of so many scans.

    >>> shared_names(2)
    ['scan-0001', 'scan-0002']
    """
    return [f"scan-{count:0{max(4, len(str(number)))}d}" for count in range(1, number + 1)]


def share_ratings(ratings: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Ratings of scans under their new names; raters are numbered, comments and times are left out."""
    known = ratings[ratings["scan"].isin(list(names))]
    blank = {name: "" for name in ("comment", "time") if name in known}
    raters = [f"rater-{number}" for number in _numbered(known["rater"].to_numpy())]
    return known.assign(scan=[names[scan] for scan in known["scan"]], rater=raters, **blank)


def _texts(values: list[str]) -> xr.Variable:
    """A column of text."""
    return xr.Variable("scan", np.array(values, object))


def _numbered(values: Shaped[np.ndarray, "n"]) -> list[int]:
    """Numbers in the place of names, in the order in which they come."""
    order = {value: number for number, value in enumerate(dict.fromkeys(values.tolist()), 1)}
    return [order[value] for value in values.tolist()]


def _without_paths(value: object) -> object:
    """A value of an attribute; of a document only what is no path."""
    try:
        document = json.loads(value) if isinstance(value, str) and value.startswith("{") else None
    except ValueError:
        return ""
    if document is None:
        return value
    return json.dumps({name: part for name, part in document.items() if not (isinstance(part, str) and ("/" in part or "\\" in part))})
