"""Many tests at once: p-values corrected over the regions of a family; those that are missing are left out and not counted."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64
from scipy import stats

from hypojax.schema import LABELS
from hypojax.study.models.effect import Effect

Correction = Literal["BH", "BY", "holm", "hochberg", "bonferroni"]

SUBUNITS: Final = frozenset(LABELS.values())


def adjust(p: Float64[np.ndarray, " test"], method: Correction = "BH") -> Float64[np.ndarray, " test"]:
    """Adjusted p-values; a missing one stays missing and is not counted, as in R's ``p.adjust``.

    Parameters
    ----------
    p
        Of each test; NaN where there is none.
    method
        False discovery rate: ``BH`` (Benjamini and Hochberg 1995), ``BY`` (Benjamini and Yekutieli 2001: any dependence).
        Family-wise error: ``holm`` (1979), ``hochberg`` (1988), ``bonferroni``.

    Examples
    --------
    >>> adjust(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    found = np.full(p.shape, np.nan)
    there = np.isfinite(p)
    if there.any():
        found[there] = _adjusted(p[there], method)
    return found


def _adjusted(p: Float64[np.ndarray, " test"], method: Correction) -> Float64[np.ndarray, " test"]:
    if method in ("BH", "BY"):
        return np.asarray(stats.false_discovery_control(p, method="bh" if method == "BH" else "by"), np.float64)
    if method == "bonferroni":
        return np.minimum(p * p.size, 1.0)
    order = np.argsort(p)
    steps = p[order] * np.arange(p.size, 0, -1)
    steps = np.maximum.accumulate(steps) if method == "holm" else np.minimum.accumulate(steps[::-1])[::-1]
    found = np.empty_like(p)
    found[order] = np.minimum(steps, 1.0)
    return found


def family(region: str) -> str:
    """The family of a region: ``subunits`` for the ten parts of the hypothalamus, ``wholes`` for all others.

    >>> [family(region) for region in ("hypothalamus_left", "icv", "left_posterior")]
    ['wholes', 'wholes', 'subunits']
    """
    return "subunits" if region in SUBUNITS else "wholes"


def with_fdr(effects: Sequence[Effect]) -> list[Effect]:
    """Effects with ``p_fdr``: Benjamini and Hochberg over the regions of a family, by term, contrast, quantity and method."""
    families: dict[tuple[str, ...], list[int]] = {}
    for number, effect in enumerate(effects):
        families.setdefault((effect.term, effect.contrast, effect.quantity, effect.method, family(effect.region)), []).append(number)
    found = list(effects)
    for numbers in families.values():
        for number, p in zip(numbers, adjust(np.array([effects[i].p for i in numbers], dtype=np.float64)), strict=True):
            found[number] = effects[number]._replace(p_fdr=float(p))
    return found
