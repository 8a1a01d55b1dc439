"""Steps of a study that were asked for: harmonisation before the model, norms of each person."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.reason import Reason, RunError, visible
from hypojax.study.centiles.norms import curve_points
from hypojax.study.centiles.norms_scores import apply_norms, norms_fit, transfer_sentences
from hypojax.study.centiles.shash import at_score
from hypojax.study.formulas.design_record import design_from_text
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.sites.harmonisation import harmonise, harmonised_sample
from hypojax.study.sites.site_differences import site_differences
from hypojax.study.study_settings import StudySettings
from hypojax.study.writing.wording import figure, listed, region_name

OUTSIDE: Final = 1.96
"""z-score beyond which 5 % of the reference lie."""

Source = xr.Dataset | pd.DataFrame | Sample | str | Path


@dataclass(frozen=True)
class Extra:
    """What a step adds to a study.

    Parameters
    ----------
    tables, datasets
        File name without ending → content.
    sentences
        What it found, for the page.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    datasets: dict[str, xr.Dataset] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


def harmonised(source: Source, sample: Sample, settings: StudySettings) -> tuple[Sample, Extra]:
    """The sample with harmonised volumes, and what was done.

    All ten subunits and the intracranial volume of the source take part, whichever regions are asked for.

    Raises
    ------
    RunError
        ``USAGE``: there is no column of sites, one site only, or a site that is one with a group.
    """
    if "site" not in sample.people:
        raise RunError(Reason.USAGE, "--harmonise needs the site of each scan, and no column of it was found; name it with --site")
    full = _with_all_regions(source, sample, settings)
    found = harmonise(full, settings.formula, settings=settings)
    tests = site_differences(full, found)
    residuals = pd.concat([_residuals(full, found, name) for name in ("measured", "harmonised")], ignore_index=True)
    wanted = residuals[residuals["region"].isin(sample.volumes["region"].values.tolist())]
    said = [
        (
            f"Sites {listed(found['site'].values.tolist())} were harmonised by ComBat, with {int(found['harmonised'].sum())} scans and the "
            f"features {listed(found['feature'].values.tolist(), most=3)}."
        ),
        *_site_sentences(tests),
        "Errors of the model do not know that the differences of the sites were estimated: they are somewhat too small.",
    ]
    tables = {"sites": tests, "site_residuals": wanted}
    parameters = found.drop_vars([name for name in found.variables if "scan" in found[name].dims])
    return harmonised_sample(sample, found), Extra(tables, {"harmonisation": parameters}, tuple(said))


def scored(source: Source, sample: Sample, settings: StudySettings) -> Extra:
    """Centile and z-score of each person by the norms of a file.

    Raises
    ------
    RunError
        ``USAGE``: the file is no norms, or does not fit these volumes.
    """
    norms = open_norms(str(settings.norms))
    full = _with_all_regions(source, sample, settings)
    scores = apply_norms(norms, full, transfer="controls" if settings.transfer else None, settings=settings)
    table = scores_table(scores, full.people)
    tables = {"people": table, "norms_curves": norms_curves(norms), "norms_people": norms_people(norms, scores, full.people)}
    wanted = [region for region in sample.volumes["region"].values.tolist() if region in scores["region"].values]
    return Extra(tables, {}, (*norms_sentences(table, wanted), *transfer_sentences(scores, wanted)))


def open_norms(path: str) -> xr.Dataset:
    """A norms file, read whole.

    Raises
    ------
    RunError
        ``USAGE``: it is not there, or is no netCDF file.
    """
    try:
        return xr.load_dataset(BytesIO(Path(path).read_bytes()), engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise RunError(
            Reason.USAGE, f"{visible(path)} cannot be read as norms ({error}); make it with: hypojax norms SOURCE --out norms.nc"
        ) from error


def _with_all_regions(source: Source, sample: Sample, settings: StudySettings) -> Sample:
    """The sample with every region of its source, the same scans in the same order where they have volumes."""
    if isinstance(source, Sample):
        return source
    full = read_sample(source, replace(settings, region=("all",)))
    return full.part(full.people.index.isin(sample.people.index))


def _site_sentences(tests: pd.DataFrame) -> list[str]:
    """How many regions differ between sites before and after."""
    said = []
    for test, group in tests.groupby("test", sort=False):
        counts = {name: (int((part["p"] < 0.05).sum()), len(part)) for name, part in group.groupby("volumes")}
        if {"measured", "harmonised"} <= set(counts):
            before, after = counts["measured"], counts["harmonised"]
            said.append(
                f"{test}: {before[0]} of {before[1]} regions differed between sites (p < .05) before, {after[0]} of {after[1]} after."
            )
    return said


def _residuals(full: Sample, found: xr.Dataset, kind: str) -> pd.DataFrame:
    """Volumes without what the covariates explain, with the sites in the model."""
    rows = found["harmonised"].to_numpy().astype(bool)
    site = found["site_of_scan"].to_numpy()[rows].astype(str)
    covariates = design_from_text(found.attrs["design"]).at(full.people)[rows, 1:]
    covariates = covariates - covariates.mean(axis=0)
    dummies = (site[:, None] == np.unique(site)[None, :]).astype(float)
    volumes = (full.volumes.sel(region=found["region"].values) if kind == "measured" else found["volume"]).transpose("scan", "region")
    tables = []
    for region in found["region"].values.tolist():
        values = volumes.sel(region=region).to_numpy()[rows]
        known = np.isfinite(values)
        slopes = np.linalg.lstsq(np.column_stack([dummies, covariates])[known], values[known], rcond=None)[0][dummies.shape[1] :]
        left = values - covariates @ slopes
        tables.append(pd.DataFrame({"volumes": kind, "region": region, "site": site, "residual": left - np.nanmean(left)}))
    return pd.concat(tables, ignore_index=True)


def scores_table(scores: xr.Dataset, people: pd.DataFrame) -> pd.DataFrame:
    """Scores of `apply_norms` as a table, a row a scan and region, with the group of each person where one is known."""
    kept = scores.drop_dims([dim for dim in scores.dims if dim not in ("scan", "region")])
    table = kept.to_dataframe(dim_order=["scan", "region"]).reset_index()
    if "group" in people:
        table.insert(2, "group", people["group"].reindex(table["scan"]).to_numpy())
    return table


def norms_curves(norms: xr.Dataset) -> pd.DataFrame:
    """Centile curves of a norms file as a table."""
    table = norms["curve"].to_dataframe(name="volume").reset_index().rename(columns={"curve_age": "age"})
    return table.assign(centile=100 * table["share"])[["region", "sex", "age", "centile", "volume"]]


def norms_people(norms: xr.Dataset, scores: xr.Dataset, people: pd.DataFrame) -> pd.DataFrame:
    """People at the head size of the curves: at their own centile for their age and sex."""
    head = float(norms["curve_icv"])
    sexes = [str(sex) for sex in norms["sex"].values]
    by_sex = people["sex"].astype(str).to_numpy() if "sex" in people and len(sexes) > 1 else np.full(len(people), sexes[0])
    ages = people["age"].to_numpy(float)
    groups = people["group"].astype(object).where(people["group"].notna(), "not known") if "group" in people else None
    group = np.full(len(people), "") if groups is None else groups.astype(str).to_numpy()
    tables = []
    for sex in sexes:
        rows = np.flatnonzero((by_sex == sex) & np.isfinite(ages))
        points = curve_points(ages[rows], sex, head)
        location, scale = (design_from_text(norms.attrs[name]).at(points) for name in ("location_design", "scale_design"))
        for region in scores["region"].values.tolist() if rows.size else []:
            z = scores["z"].sel(region=region).to_numpy()[rows]
            volume = at_score(norms_fit(norms, region).at(location, scale), z)
            tables.append(pd.DataFrame({"region": region, "sex": sex, "age": ages[rows], "volume": volume, "group": group[rows]}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["region", "sex", "age", "volume", "group"])


def norms_sentences(table: pd.DataFrame, regions: Sequence[str]) -> list[str]:
    """Mean z-score and share outside by group, and who is beyond the norms."""
    said = []
    groups = list(dict.fromkeys(table["group"].dropna())) if "group" in table else [None]
    for region in regions:
        for group in groups:
            own = table[(table["region"] == region) & ((table["group"] == group) if group is not None else True)]
            z = own["z"].dropna()
            if len(z):
                low, high = (int((z < -OUTSIDE).sum()), int((z > OUTSIDE).sum()))
                who = f"{region_name(region).capitalize()}{f', {group}' if group is not None else ''}"
                mean = f"mean z {figure(round(float(z.mean()), 3) + 0.0, '1', sign=True)} (SD {figure(float(z.std()), '1')})"
                said.append(f"{who}: {mean}; {low} of {len(z)} below −1.96 and {high} above 1.96, where 5 % together are expected.")
    beyond = table.loc[table["extrapolated"].astype(bool), "scan"].unique()
    if len(beyond):
        said.append(
            f"For {len(beyond)} scans the norms are extrapolated (age, head size or site beyond the reference): {listed(beyond, most=3)}."
        )
    return said
