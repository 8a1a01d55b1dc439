"""Power of a cohort's own design: what differences between groups it could have shown, in every region, Dataset out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.reason import Reason, RunError
from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.detectable import PERCENTS, POWER, SIGNIFICANCE, power_at, smallest_difference
from hypojax.study.models.group_model import fitted_models
from hypojax.study.models.model_effects import questions_of
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings

NUMBERS = ("smallest", "smallest_percent", "se", "df", "reference_mean", "n")


def power(
    source: xr.Dataset | pd.DataFrame | Sample | str | Path,
    formula: str | None = None,
    *,
    settings: StudySettings | None = None,
    percents: Sequence[float] = PERCENTS,
    wanted: float = POWER,
    significance: float = SIGNIFICANCE,
) -> xr.Dataset:
    """Power of a cohort's design for differences between its groups, and the smallest difference that it shows with a wanted power.

    Parameters
    ----------
    source, formula, settings
        As `hypojax.study.compare` takes them.
    percents
        True differences, % of the adjusted mean of the reference, which is taken as known.
    wanted
        Power of the smallest difference.
    significance
        Two-sided level of the test.

    Returns
    -------
    Over region and contrast (``group: patient - control``): ``smallest`` (unit of the volumes) and ``smallest_percent``, ``se``, ``df``,
    ``reference_mean`` and ``n``; over ``percent`` too: ``power``. Errors are the classical ones of the model with normal, equal
    variances, as in R's power calculations; it says nothing of the difference that was found.

    Raises
    ------
    RunError
        USAGE: the model has no categories, or as `hypojax.study.compare`.
    """
    settings = settings or StudySettings()
    settings = settings if formula is None else replace(settings, formula=formula)
    sample = source if isinstance(source, Sample) else read_sample(source, settings)
    rows = [row for model in fitted_models(sample, settings) for row in _rows(model, percents, wanted, significance)]
    if not rows:
        raise RunError(Reason.USAGE, "the model compares no groups, so there is no difference to find: name their column with --group")
    table = pd.DataFrame(rows).set_index(["region", "contrast"])
    found = table[list(NUMBERS)].to_xarray()
    powers = [table[f"power_{percent:g}"].to_xarray() for percent in percents]
    found["power"] = xr.concat(powers, pd.Index(np.array(percents, np.float64), name="percent"))
    order = [name for name in sample.volumes.region.values.tolist() if name in found.region]
    units = str(sample.volumes.attrs.get("units", ""))
    for name in ("smallest", "se", "reference_mean"):
        found[name].attrs["units"] = units
    return found.sel(region=order).assign_attrs(significance=significance, wanted_power=wanted)


def _rows(model: FittedModel, percents: Sequence[float], wanted: float, significance: float) -> list[dict[str, object]]:
    """A row for every region and difference of levels."""
    found = []
    for question in questions_of(model):
        if question.quantity != "difference" or question.reference is None:
            continue
        unit_error = float(np.sqrt(question.weights @ model.fit.inverse @ question.weights))
        means = question.reference @ model.fit.coefficients
        for region, mean, sigma in zip(model.regions, means.tolist(), model.fit.sigma.tolist(), strict=True):
            se, df = unit_error * sigma, float(model.fit.df)
            smallest = float(smallest_difference(se, df, power=wanted, significance=significance))
            powers = {f"power_{one:g}": float(power_at(one / 100 * mean, se, df, significance=significance)) for one in percents}
            found.append(
                {
                    "region": region, "contrast": f"{question.term}: {question.contrast}", "smallest": smallest,
                    "smallest_percent": 100 * smallest / mean, "se": se, "df": df, "reference_mean": mean, "n": len(model.people), **powers,
                }
            )  # fmt: skip
    return found
