"""Norms: centile curves of volumes by age, sex and head size, fitted on a cohort and kept in one file.

Each region has a location (natural spline of age, sex, head size), a scale (log-linear in age and sex), and a shape that is normal or SHASH
(Jones and Pewsey 2009), by maximum likelihood; the shape with the smaller BIC is taken. People with one scan each; of several scans of a
person the first is taken, which is said.
"""

import platform
from dataclasses import replace
from importlib.metadata import version
from typing import Final

import numpy as np
import pandas as pd
import scipy
import xarray as xr

from hypojax.reason import Reason, RunError, visible
from hypojax.study.centiles.centile_fit import CentileFit
from hypojax.study.centiles.norms_calibration import calibration
from hypojax.study.centiles.norms_model import LEAST_PEOPLE, NormsModel, ShapeChoice, fit_region, norms_model, possible_df
from hypojax.study.centiles.quantile_regression import fit_quantile
from hypojax.study.centiles.shash import quantile, score
from hypojax.study.formulas.design_record import design_text
from hypojax.study.people.sample import Sample
from hypojax.study.people.whole_sample import Source, whole_sample
from hypojax.study.study_settings import StudySettings

SHARES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Centile curves in the file, as shares."""

CURVE_AGES: Final = 61
"""Points of a curve."""

EVERYBODY: Final = "all"
"""Sex of norms that do not tell the sexes apart."""

LEAST_OF_CELL: Final = 5
"""People of a site below which its count is not written."""


def fit_norms(
    source: Source,
    *,
    settings: StudySettings | None = None,
    df: int | None = None,
    shape: ShapeChoice = "best",
    head_size: bool = True,
) -> xr.Dataset:
    """Fit norms on a cohort of healthy people.

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, table, or sample. Where there is a group, only controls are taken, which is said.
    settings
        How columns are found; ``group`` and ``cases`` say who is a control.
    df
        Degrees of freedom of the spline of age, the same for all regions. Default: of `possible_df`, 2 to 6, the one with the smallest BIC,
        summed over regions with the normal shape.
    shape
        ``normal``, ``shash``, or ``best``: the one with the smaller BIC (a SHASH is tried from 150 people).
    head_size
        Take head size into the model where it is known (never for the intracranial volume itself).

    Returns
    -------
    One Dataset with all that `apply_norms` needs, which can be written as one netCDF file: coefficients and their covariance by region,
    the designs as text, ages by sex and head sizes that were there, curves, calibration by age, a check by quantile regression, and
    versions. No row of it is a person; the ends of the ages are those of the youngest and oldest.

    Raises
    ------
    RunError
        ``USAGE``: no age, fewer than 60 people, or a region that cannot be fitted.
    """
    settings = settings or StudySettings()
    sample = whole_sample(source, settings)
    taken, said = reference_people(sample)
    sample = replace(sample, volumes=sample.volumes[taken], people=sample.people[taken])
    model = norms_model(sample.people, df=df or 2, head_size=head_size)
    volumes = sample.volumes[model.rows]
    regions = [region for region in volumes["region"].to_numpy().tolist() if _enough(volumes, region)]
    left_out = [str(region) for region in volumes["region"].to_numpy() if region not in regions]
    notes = [*sample.notes, *said, *model.notes, *[f"no norms of {region}: too few people have its volume" for region in left_out]]
    if not regions:
        raise RunError(Reason.USAGE, "no region has enough volumes for norms; " + "; ".join(notes))
    people = sample.people[model.rows]
    if df is None:
        model = _smoothest(sample, regions, head_size=head_size)
    fits = [_fit(volumes.sel(region=region).to_numpy(), model, region, shape) for region in regions]
    found = xr.merge([_parameters(fits, regions, model), _range(people, model)])
    parts = [
        found,
        _calibrated(fits, regions, model, volumes, people),
        _checked(fits, regions, model, volumes),
        _curves(fits, regions, model, people),
    ]
    return xr.merge(parts).assign_attrs(_attributes(model, sample, notes))


def reference_people(sample: Sample) -> tuple[np.ndarray, list[str]]:
    """Which scans norms are fitted on: controls where there is a group, and the first scan of each; and what was said.

    Raises
    ------
    RunError
        ``USAGE``: there are several groups, and which one is that of the controls is not known.
    """
    people = sample.people
    taken, notes = np.ones(len(people), bool), list[str]()
    if "group" in people and people["group"].notna().any():
        taken, notes = _controls(sample)
    if "subject" in people and people["subject"].notna().any():
        again = (people["subject"].notna() & people["subject"].where(taken).duplicated()).to_numpy() & taken
        taken = taken & ~again
        notes += [f"{int(again.sum())} further scans of people who have several are not in the norms"] * bool(again.any())
    return taken, notes


def _controls(sample: Sample) -> tuple[np.ndarray, list[str]]:
    """Who is a control; everybody where all are of one group."""
    groups = sample.people["group"]
    if groups.nunique() == 1:
        return groups.notna().to_numpy(), [f"all people are {visible(str(groups.dropna().iloc[0]))!r}: the norms are theirs"]
    if sample.reference is None:
        raise RunError(Reason.USAGE, f"norms are fitted on controls: {sample.group_problem}")
    taken = (groups == sample.reference).to_numpy()
    return taken, [f"norms are fitted on the controls, {int(taken.sum())} of {len(taken)} scans"]


def _enough(volumes: xr.DataArray, region: str) -> bool:
    """Whether a region has as many volumes as norms need."""
    return int(np.isfinite(volumes.sel(region=region)).sum()) >= LEAST_PEOPLE


def _smoothest(sample: Sample, regions: list[str], *, head_size: bool) -> NormsModel:
    """The model whose curve of age has the smallest BIC, summed over regions."""
    n = int(norms_model(sample.people, df=2, head_size=head_size).rows.sum())
    different = sample.people["age"].nunique()
    models = [norms_model(sample.people, df=df, head_size=head_size) for df in possible_df(n) if df == 2 or df < different]
    volumes = sample.volumes[models[0].rows]

    def total(model: NormsModel) -> float:
        return sum(_fit(volumes.sel(region=region).to_numpy(), model, region, "normal")[0].bic for region in regions)

    return min(models, key=total)


def _fit(values: np.ndarray, model: NormsModel, region: str, shape: ShapeChoice) -> tuple[CentileFit, dict[str, float]]:
    """Fit of one region on the people who have it; with coefficients of all columns, 0 where they are not in its model."""
    known = np.isfinite(values)
    columns = model.without_head_size() if region == "icv" else np.ones(len(model.location.columns), bool)
    try:
        fit, bic = fit_region(values[known], model.location.matrix[known][:, columns], model.scale.matrix[known], shape=shape)
    except RunError as error:
        raise RunError(error.reason, f"norms of {region}: {error}") from error
    location = np.zeros(len(columns))
    location[columns] = fit.location
    wide = len(columns) + model.scale.matrix.shape[1] + 2
    free = np.concatenate([columns, np.ones(model.scale.matrix.shape[1], bool), np.full(2, fit.shape == "shash")])
    covariance = np.zeros((wide, wide))
    covariance[np.ix_(free, free)] = fit.covariance
    return replace(fit, location=location, covariance=covariance), {str(name): value for name, value in bic.items()}


def _parameters(fits: list[tuple[CentileFit, dict[str, float]]], regions: list[str], model: NormsModel) -> xr.Dataset:
    """Coefficients with names."""
    names = [
        *(f"location {one}" for one in model.location.columns),
        *(f"log scale {one}" for one in model.scale.columns),
        "epsilon",
        "log delta",
    ]
    bic = [[tried.get(shape, np.nan) for shape in ("normal", "shash")] for _, tried in fits]
    one = [fit for fit, _ in fits]
    variables = {
        "location": (("region", "location_column"), [fit.location for fit in one]),
        "log_scale": (("region", "scale_column"), [fit.log_scale for fit in one]),
        "epsilon": ("region", [fit.epsilon for fit in one]),
        "delta": ("region", [fit.delta for fit in one]),
        "shape": ("region", np.array([fit.shape for fit in one], object)),
        "covariance": (("region", "parameter", "other_parameter"), [fit.covariance for fit in one]),
        "log_likelihood": ("region", [fit.log_likelihood for fit in one]),
        "bic": (("region", "shape_tried"), bic),
        "n": ("region", [fit.n for fit in one]),
    }
    coordinates = {
        "region": regions, "location_column": model.location.columns, "scale_column": model.scale.columns,
        "parameter": names, "other_parameter": names, "shape_tried": ["normal", "shash"],
    }  # fmt: skip
    return xr.Dataset(variables, {name: np.array(list(values), object) for name, values in coordinates.items()})


def _range(people: pd.DataFrame, model: NormsModel) -> xr.Dataset:
    """Ages by sex, head sizes and sites of the people."""
    sexes = [str(sex) for sex in model.location.levels["sex"]] if model.with_sex else [EVERYBODY]
    ages = [people.loc[people["sex"].astype(str) == sex, "age"] if model.with_sex else people["age"] for sex in sexes]
    heads = people["icv"] if model.with_head_size else pd.Series([np.nan])
    sites = people["site"].dropna().astype(str).value_counts().sort_index() if "site" in people else pd.Series(dtype=int)
    counts = [float(count) if count >= LEAST_OF_CELL else np.nan for count in sites]
    variables = {
        "age_low": ("sex", [float(one.min()) for one in ages]), "age_high": ("sex", [float(one.max()) for one in ages]),
        "n_of_sex": ("sex", [len(one) for one in ages]), "icv_low": float(heads.min()), "icv_high": float(heads.max()),
        "n_of_site": ("site", np.array(counts, float)),
    }  # fmt: skip
    return xr.Dataset(variables, {"sex": np.array(sexes, object), "site": np.array(sites.index.tolist(), object)})


def _calibrated(
    fits: list[tuple[CentileFit, dict[str, float]]], regions: list[str], model: NormsModel, volumes: xr.DataArray, people: pd.DataFrame
) -> xr.Dataset:
    """Calibration of the people of the norms themselves, a row a region and band."""
    z = [
        score(fit.at(model.location.matrix, model.scale.matrix), volumes.sel(region=region).to_numpy())
        for (fit, _), region in zip(fits, regions, strict=True)
    ]
    scores = xr.DataArray(np.stack(z, axis=1), dims=("scan", "region"), coords={"region": regions})
    table = calibration(scores, people["age"].to_numpy(float))
    return xr.Dataset({f"calibration_{name}": ("calibration_row", _plain(table[name])) for name in table})


def _plain(column: pd.Series) -> np.ndarray:
    """Numbers as they are, text as objects."""
    return column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.to_numpy(object)


def _checked(fits: list[tuple[CentileFit, dict[str, float]]], regions: list[str], model: NormsModel, volumes: xr.DataArray) -> xr.Dataset:
    """Mean absolute difference to quantile regression on the same columns, in SDs (half the way from the 16th to the 84th centile)."""
    shares = (0.05, 0.5, 0.95)
    differences = np.empty((len(regions), len(shares)))
    for row, ((fit, _), region) in enumerate(zip(fits, regions, strict=True)):
        values = volumes.sel(region=region).to_numpy()
        known = np.isfinite(values)
        columns = model.without_head_size() if region == "icv" else np.ones(len(model.location.columns), bool)
        design, distribution = model.location.matrix[known], fit.at(model.location.matrix[known], model.scale.matrix[known])
        spread = (quantile(distribution, 0.841) - quantile(distribution, 0.159)) / 2
        for column, share in enumerate(shares):
            line = fit_quantile(values[known], design[:, columns], share)
            differences[row, column] = np.mean(np.abs(quantile(distribution, share) - design[:, columns] @ line.coefficients) / spread)
    return xr.Dataset({"quantile_check": (("region", "checked_share"), differences)}, {"checked_share": list(shares)})


def _curves(fits: list[tuple[CentileFit, dict[str, float]]], regions: list[str], model: NormsModel, people: pd.DataFrame) -> xr.Dataset:
    """Centile curves over the ages of all, by sex, at the mean head size; also what a reader of the file is checked with."""
    sexes = list(model.location.levels["sex"]) if model.with_sex else [EVERYBODY]
    ages, head = np.linspace(people["age"].min(), people["age"].max(), CURVE_AGES), people["icv"].mean() if model.with_head_size else np.nan
    values = np.empty((len(regions), len(sexes), len(ages), len(SHARES)))
    for column, sex in enumerate(sexes):
        points = curve_points(ages, str(sex), float(head))
        location, scale = model.location.at(points), model.scale.at(points)
        for row, (fit, _) in enumerate(fits):
            values[row, column] = np.stack([quantile(fit.at(location, scale), share) for share in SHARES], axis=1)
    return xr.Dataset(
        {"curve": (("region", "sex", "curve_age", "share"), values), "curve_icv": float(head)},
        {"curve_age": ages, "share": list(SHARES), "sex": np.array(sexes, object), "region": np.array(regions, object)},
    )


def curve_points(ages: np.ndarray, sex: str, icv: float) -> pd.DataFrame:
    """People of these ages, one sex and one head size."""
    return pd.DataFrame({"age": ages, "sex": [sex] * len(ages), "icv": icv})


def _attributes(model: NormsModel, sample: Sample, notes: list[str]) -> dict[str, str | int]:
    """What the file says of itself."""
    return {
        "hypojax_norms": 1,
        "location": str(model.location.formula), "log_scale": str(model.scale.formula).replace("volume", "log(scale)"),
        "location_design": design_text(model.location), "scale_design": design_text(model.scale),
        "with_sex": int(model.with_sex), "with_head_size": int(model.with_head_size),
        "unit": str(sample.volumes.attrs.get("units", "")), "notes": "\n".join(notes),
        "hypojax": version("hypojax"), "numpy": np.__version__, "scipy": scipy.__version__, "python": platform.python_version(),
    }  # fmt: skip
