"""Designs with R's coding, written out by hand for tests of models that take plain matrices."""

import numpy as np
import pandas as pd

REFERENCES = {"group": "control", "sex": "F", "site": None}


def plain_design(table: pd.DataFrame, *terms: str) -> tuple[np.ndarray, list[str]]:
    """Matrix and R's names of columns: numbers as they are, texts against their reference (of a site the first), ``a:b`` products."""
    blocks, names = [np.ones((len(table), 1))], ["(Intercept)"]
    for term in terms:
        block, labels = np.ones((len(table), 1)), [""]
        for factor in term.split(":"):
            more, endings = _columns(table, factor)
            block = (more[:, :, None] * block[:, None, :]).reshape(len(table), -1)
            labels = [f"{label}:{ending}".removeprefix(":") for ending in endings for label in labels]
        blocks.append(block)
        names += labels
    return np.hstack(blocks), names


def _columns(table: pd.DataFrame, factor: str) -> tuple[np.ndarray, list[str]]:
    values = table[factor]
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(float)[:, None], [factor]
    levels = sorted(values.unique())
    first = REFERENCES.get(factor) or levels[0]
    others = [level for level in levels if level != first]
    return np.column_stack([values == level for level in others]).astype(float), [f"{factor}{level}" for level in others]
