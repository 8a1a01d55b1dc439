"""Assumptions of the models of a study, checked and said: residuals, variances, single people, covariates that go together."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.study.models.adjusted import FittedModel
from hypojax.study.models.diagnostics import HIGH_VIF, diagnose
from hypojax.study.writing.wording import SIGNIFICANT, amount, listed, p_text, region_name

SHOWN: Final = 4
"""Regions that have sentences of their own; all are in the tables."""

FEW: Final = 10
"""People in a group below which a test of an assumption finds little."""

REPEATED: Final = (
    "Residuals of several scans of a person are not independent, so tests of normality, of equal variances and of outliers are not made; "
    "errors clustered by subject take neither independence nor equal variances for granted."
)

MOVES: Final = 0.5
"""Change of the difference without one person, in standard errors, from which she is named."""

INDEPENDENT: Final = ("breusch_pagan", "breusch_pagan_p", "shapiro", "shapiro_p", "outlier_p")
"""What holds for independent residuals only."""

INFLUENCE: Final = ("region", "scan", "leverage", "cook", "studentised", "outlier_p", "without")


def diagnosed(models: Sequence[FittedModel], term: str, *, repeated: bool = False) -> list[xr.Dataset]:
    """Diagnostics of each model; ``without`` is of the first category of the term (or of its slope), and there is none of a spline.

    Tests of the residuals take them as independent: of repeated scans of people they are missing.
    """
    found = []
    for model in models:
        is_spline = any(coding.spline is not None and factor.label == term for factor, coding in model.design.codings.items())
        columns = np.flatnonzero(np.array(model.design.terms) == term)[: 0 if is_spline else None]
        contrast = np.eye(len(model.design.columns))[columns[0]] if columns.size else None
        names = [str(name) for name in model.people.index]
        made = diagnose(model.fit, terms=model.design.terms, scans=names, regions=model.regions, contrast=contrast)
        if repeated:
            made = made.assign({name: made[name] * np.nan for name in INDEPENDENT})
        if contrast is not None:
            se = np.sqrt(np.einsum("i,rij,j->r", contrast, model.covariances, contrast))
            made = made.assign(estimate=("region", contrast @ model.fit.coefficients), se=("region", se))
        found.append(
            made.assign(r_squared=("region", model.fit.r_squared)).assign_attrs(
                column=model.design.columns[columns[0]] if columns.size else ""
            )
        )
    return found


def diagnostics_table(found: Sequence[xr.Dataset]) -> pd.DataFrame:
    """One row a region: tests of the residuals, explained variance, the largest leverage and Cook's distance and whose they are."""
    rows = []
    for one in found:
        for region in one["region"].values.tolist():
            here = one.sel(region=region)
            cook = here["cook"].to_series()
            rows.append({
                "region": region, "n": one.sizes["scan"], "r_squared": float(here["r_squared"]),
                "breusch_pagan": float(here["breusch_pagan"]), "breusch_pagan_p": float(here["breusch_pagan_p"]),
                "shapiro": float(here["shapiro"]), "shapiro_p": float(here["shapiro_p"]),
                "largest_leverage": float(one["leverage"].max()),
                "whose_leverage": str(one["scan"].values[int(one["leverage"].values.argmax())]),
                "largest_cook": float(cook.max()), "whose_cook": str(cook.idxmax()) if cook.notna().any() else "",
                "largest_vif": float(one["vif"].max()) if one.sizes["term"] else float("nan"),
            })  # fmt: skip
    return pd.DataFrame(rows)


def influence_table(found: Sequence[xr.Dataset]) -> pd.DataFrame:
    """One row a region and scan: leverage, Cook's distance, studentised residual, its p (Bonferroni), change of the estimate without it."""
    tables = []
    for one in found:
        names = [name for name in INFLUENCE[2:] if name in one]
        tables.append(one[names].to_dataframe(dim_order=["region", "scan"]).reset_index()[["region", "scan", *names]])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(INFLUENCE))


def check_sentences(found: Sequence[xr.Dataset], *, unit: str, smallest: int, repeated: bool = False) -> list[str]:
    """What the checks say, region by region, and of the covariates.

    Parameters
    ----------
    found
        Of `diagnosed`.
    unit
        Of the volumes.
    smallest
        People in the smallest group.
    repeated
        Whether people have several scans.
    """
    said = [REPEATED] if repeated else []
    for one in found:
        for region in [name for name in one["region"].values.tolist() if not name.startswith(("left_", "right_"))][:SHOWN]:
            said += _of_region(one.sel(region=region), region, unit)
    said += _collinear(found)
    if 0 < smallest < FEW:
        said.append(f"The smallest group has {smallest} people: with so few, none of these checks would find much.")
    return said


def most_influential(found: Sequence[xr.Dataset]) -> list[str]:
    """The scan without which the first region's estimate changes most, where that is more than `MOVES` standard errors."""
    if not found or "without" not in found[0]:
        return []
    here = found[0].isel(region=0)
    change = here["without"].to_series().abs()
    return [str(change.idxmax())] if change.notna().any() and change.max() > MOVES * float(here["se"]) else []


def _of_region(here: xr.Dataset, region: str, unit: str) -> Iterator[str]:
    name = region_name(region).capitalize()
    normal, even = float(here["shapiro_p"]), float(here["breusch_pagan_p"])
    if np.isfinite(normal):
        shape = "depart from the normal distribution: look at the figure; permutations (--permutations 10000) do without it"
        word = shape if normal < SIGNIFICANT else "were not shown to depart from the normal distribution"
        yield f"{name}: residuals {word} (Shapiro-Wilk, p {p_text(normal)})."
    if np.isfinite(even):
        word = "differ between people; the robust errors allow for it" if even < SIGNIFICANT else "were not shown to differ"
        yield f"{name}: variances {word} (Breusch-Pagan by Koenker, p {p_text(even)})."
    odd = here["outlier_p"].to_series()
    if (odd < SIGNIFICANT).any():
        names = listed(odd[odd < SIGNIFICANT].sort_values().index)
        yield f"{name}: {names} far from what the model expects (outlier test, Bonferroni p < .05): look at the scan."
    if "without" in here:
        change = here["without"].to_series()
        who = str(change.abs().idxmax()) if change.notna().any() else ""
        estimate, se = float(here["estimate"]), float(here["se"])
        if who and se > 0:
            moved = f"{amount(estimate + change[who], unit, sign=True)} instead of {amount(estimate, unit, sign=True)}"
            size = f"a change of {abs(change[who]) / se:.2f} standard errors"
            yield f"{name}: the most influential is {who}; without this scan the estimate is {moved} ({size})."


def _collinear(found: Sequence[xr.Dataset]) -> list[str]:
    """Covariates that go together, or that none do."""
    if not found or not found[0].sizes["term"]:
        return []
    vif = found[0]["vif"].to_series()
    high = vif[vif > HIGH_VIF]
    if high.empty:
        return [f"Covariates: the largest variance inflation is {vif.max():.1f} ({vif.idxmax()}), so their effects can be separated."]
    return [f"Covariates: {listed(high.index)} go together with others (variance inflated {high.max():.1f} times): hard to separate."]
