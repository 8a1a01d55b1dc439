"""Figures of a study: differences with intervals, adjusted volumes of each person, volumes against age, checks of the model.

Drawn with matplotlib (extra ``report``) without a display. Every figure shows people as points where it can, and says in its title what
was adjusted for what.
"""

from collections.abc import Mapping
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from hypojax.pages.figures import blank_figure
from hypojax.storage import place
from hypojax.study.writing.wording import SHOWN_UNITS, region_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Groups in order, the controls first; distinguishable with colour blindness too (Okabe and Ito 2008)."""

ACROSS: Final = 4
"""Panels beside each other."""

PANELS: Final = 12
"""Regions that one figure holds."""

JITTER: Final = 0.16
"""Half width of a cloud of points, of the distance of two groups."""

MARKED: Final = 3
"""Points that carry their names."""

DOTS: Final = 150

DRAWN: Final = 1000
"""Points beyond which an SVG holds them as an image."""


def _corrected_p(effects: pd.DataFrame, region: str, contrast: str) -> float:
    """The p-value of a difference, corrected over regions where it was."""
    tested = effects[(effects["region"] == region) & (effects["contrast"] == contrast) & effects["p"].notna()]
    p = tested["p_fdr"].where(tested["p_fdr"].notna(), tested["p"])
    return float(p.iloc[0]) if len(p) else float("nan")


def forest_figure(effects: pd.DataFrame, *, quantity: str = "percent") -> "Figure":
    """Group differences of every region with their intervals, one colour a contrast; filled where the difference is significant.

    Parameters
    ----------
    effects
        Rows of ``effects.tsv``; those of the quantity are drawn. Percentages have no test of their own: theirs is that of the difference.
    """
    found = effects[(effects["quantity"] == quantity) & np.isfinite(effects["estimate"].astype(float))]
    regions, contrasts = list(dict.fromkeys(found["region"])), list(dict.fromkeys(found["contrast"]))
    figure = blank_figure(8.0, 1.4 + 0.34 * max(1, len(regions)) * max(1, 0.6 * len(contrasts)))
    axes = figure.subplots()
    axes.axvline(0, color="#888", linewidth=1)
    for order, contrast in enumerate(contrasts):
        rows = found[found["contrast"] == contrast]
        shift = (order - (len(contrasts) - 1) / 2) * 0.6 / max(1, len(contrasts))
        at = np.array([regions.index(region) for region in rows["region"]]) + shift
        colour = COLOURS[(order + 1) % len(COLOURS)]
        axes.hlines(at, rows["ci_low"], rows["ci_high"], color=colour, linewidth=2)
        sure = np.array([_corrected_p(effects, region, contrast) < 0.05 for region in rows["region"]], dtype=bool)
        axes.scatter(rows["estimate"], at, s=42, color=colour, label=contrast, zorder=3)
        axes.scatter(rows["estimate"][~sure], at[~sure], s=16, color="white", zorder=4)
    axes.set_yticks(range(len(regions)), [region_name(region) for region in regions])
    axes.set_ylim(len(regions) - 0.4, -0.6)
    unit = str(found["unit"].iloc[0]) if len(found) else "%"
    axes.set_xlabel(f"adjusted difference ({SHOWN_UNITS.get(unit, unit) or '1'}) with interval; filled: p FDR < .05", fontsize=9)
    if contrasts:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.14 - 0.5 / max(1, len(regions))), fontsize=9)
    _plain(axes)
    figure.tight_layout()
    return figure


def groups_figure(people: pd.DataFrame, means: pd.DataFrame, *, unit: str, adjusted_for: str) -> "Figure":
    """Adjusted volume of every person by group, with the adjusted mean and its 95 % interval: one panel a region.

    Parameters
    ----------
    people
        Columns ``region``, ``group``, ``adjusted``: one row a person and region.
    means
        Columns ``region``, ``group``, ``mean``, ``ci_low``, ``ci_high``.
    """
    regions, groups = list(dict.fromkeys(people["region"]))[:PANELS], list(dict.fromkeys(means["group"]))
    figure, panels = _grid(len(regions), width=max(2.4, 0.9 * len(groups)), height=3.2)
    random = np.random.default_rng(0)
    for axes, region in zip(panels, regions, strict=False):
        for order, group in enumerate(groups):
            values = people.loc[(people["region"] == region) & (people["group"] == group), "adjusted"].to_numpy(float)
            colour = COLOURS[order % len(COLOURS)]
            away = random.uniform(-JITTER, JITTER, values.size)
            axes.scatter(order + away, values, s=14, color=colour, alpha=_alpha(values.size), linewidths=0, rasterized=values.size > DRAWN)
            row = means[(means["region"] == region) & (means["group"] == group)]
            if len(row):
                low, middle, high = (float(row[name].iloc[0]) for name in ("ci_low", "mean", "ci_high"))
                axes.vlines(order + 0.3, low, high, color="black", linewidth=2)
                axes.scatter([order + 0.3], [middle], color="black", s=26, zorder=3)
        counts = people[people["region"] == region]["group"].value_counts()
        names = [f"{group}\nn = {counts.get(group, 0)}" for group in groups]
        axes.set_xticks(range(len(groups)), names, rotation=20 if max(map(len, groups), default=0) > 12 else 0)
        axes.set_xlim(-0.5, len(groups) - 0.3)
        axes.set_title(region_name(region), fontsize=10)
        axes.set_ylabel(_volume(unit, "adjusted volume"), fontsize=9)
        _plain(axes)
    figure.suptitle(f"Volumes adjusted for {adjusted_for}: people, mean and 95 % interval", fontsize=11)
    figure.tight_layout()
    return figure


def age_figure(people: pd.DataFrame, bands: pd.DataFrame, *, unit: str) -> "Figure":
    """Volume against age by group, with the line of the model and its 95 % band: one panel a region.

    Parameters
    ----------
    people
        Columns ``region``, ``group``, ``age`` and ``adjusted`` (for all but group and age).
    bands
        Columns ``region``, ``group``, ``age``, ``fit``, ``ci_low``, ``ci_high``.
    """
    regions, groups = list(dict.fromkeys(people["region"]))[:PANELS], list(dict.fromkeys(bands["group"]))
    figure, panels = _grid(len(regions), width=3.4, height=3.2)
    for axes, region in zip(panels, regions, strict=False):
        for order, group in enumerate(groups):
            own = people[(people["region"] == region) & (people["group"] == group)]
            band = bands[(bands["region"] == region) & (bands["group"] == group)].sort_values("age")
            colour = COLOURS[order % len(COLOURS)]
            axes.scatter(own["age"], own["adjusted"], s=14, color=colour, alpha=_alpha(len(own)), linewidths=0, rasterized=len(own) > DRAWN)
            axes.plot(band["age"], band["fit"], color=colour, linewidth=1.8, label=f"{group}, n = {len(own)}" if group else "")
            axes.fill_between(band["age"], band["ci_low"], band["ci_high"], color=colour, alpha=0.15, linewidth=0)
        axes.set_title(region_name(region), fontsize=10)
        axes.set_xlabel("age, years", fontsize=9)
        axes.set_ylabel(_volume(unit, "adjusted volume"), fontsize=9)
        _plain(axes)
    if regions and any(groups):
        panels[0].legend(fontsize=9, framealpha=0.8, edgecolor="none")
    figure.tight_layout()
    return figure


def checks_figure(checks: Mapping[str, pd.DataFrame]) -> "Figure":
    """Residuals of each region's model: against fitted values, against the normal distribution, and influence against leverage.

    Parameters
    ----------
    checks
        Region → columns ``fitted``, ``residual``, ``studentised``, ``leverage``, ``cook``, indexed by person.
    """
    regions = list(checks)[:ACROSS]
    figure = blank_figure(11.0, 3.1 * max(1, len(regions)))
    rows = np.atleast_2d(np.asarray(figure.subplots(max(1, len(regions)), 3), object))
    for (first, second, third), region in zip(rows, regions, strict=False):
        found = checks[region]
        _dots(first, found["fitted"], found["studentised"])
        first.axhline(0, color="#888", linewidth=1)
        first.set(xlabel="fitted", ylabel="studentised residual", title=region_name(region))
        (expected, ordered), _ = stats.probplot(found["studentised"].dropna())
        _dots(second, expected, ordered)
        reach = [min(expected, default=0), max(expected, default=1)]
        second.plot(reach, reach, color="#888", linewidth=1)
        second.set(xlabel="normal quantile", ylabel="studentised residual", title="normality")
        _dots(third, found["leverage"], found["studentised"])
        _name(third, found)
        third.set(xlabel="leverage", ylabel="studentised residual", title="influence (largest Cook's distances named)")
        for axes in (first, second, third):
            axes.title.set_fontsize(10)
            _plain(axes)
    figure.tight_layout()
    return figure


def sites_figure(before: pd.DataFrame, after: pd.DataFrame, *, unit: str) -> "Figure":
    """Residual volumes by site before and after harmonisation: one panel a region.

    Parameters
    ----------
    before, after
        Columns ``region``, ``site``, ``residual``: volumes without what the covariates explain.
    """
    regions, sites = list(dict.fromkeys(before["region"]))[:PANELS], sorted(set(before["site"]))
    figure, panels = _grid(len(regions), width=max(2.6, 0.5 * len(sites)), height=3.0)
    for axes, region in zip(panels, regions, strict=False):
        for shift, table, colour in ((-0.18, before, "#999999"), (0.18, after, COLOURS[0])):
            boxes = [table.loc[(table["region"] == region) & (table["site"] == site), "residual"].dropna().to_numpy() for site in sites]
            drawn = axes.boxplot(boxes, positions=np.arange(len(sites)) + shift, widths=0.3, manage_ticks=False, showfliers=False)
            for line in (*drawn["boxes"], *drawn["medians"], *drawn["whiskers"], *drawn["caps"]):
                line.set_color(colour)
        axes.axhline(0, color="#ccc", linewidth=1, zorder=0)
        axes.set_xticks(range(len(sites)), sites, rotation=30 if max(map(len, sites), default=0) > 5 else 0, fontsize=8)
        axes.set_title(region_name(region), fontsize=10)
        axes.set_ylabel(_volume(unit, "residual"), fontsize=9)
        _plain(axes)
    figure.suptitle("Residuals by site before (grey) and after (blue) harmonisation", fontsize=11)
    figure.tight_layout()
    return figure


def norms_figure(curves: pd.DataFrame, people: pd.DataFrame, *, unit: str) -> "Figure":
    """Centile curves by age with the people they were applied to: one panel a region and sex.

    Parameters
    ----------
    curves
        Columns ``region``, ``sex``, ``age``, ``centile``, ``volume``.
    people
        Columns ``region``, ``sex``, ``age``, ``volume``, ``group``.
    """
    kinds = list(dict.fromkeys(zip(curves["region"], curves["sex"], strict=True)))[:PANELS]
    groups = list(dict.fromkeys(people["group"]))
    figure, panels = _grid(len(kinds), width=3.4, height=3.2)
    for axes, (region, sex) in zip(panels, kinds, strict=False):
        own = curves[(curves["region"] == region) & (curves["sex"] == sex)]
        for centile, line in own.groupby("centile"):
            ordered = line.sort_values("age")
            axes.plot(ordered["age"], ordered["volume"], color="#555", linewidth=1.8 if centile == 50 else 0.8)
            axes.annotate(f"{centile:g}", (ordered["age"].iloc[-1], ordered["volume"].iloc[-1]), fontsize=7, color="#555")
        for order, group in enumerate(groups):
            who = people[(people["region"] == region) & (people["sex"] == sex) & (people["group"] == group)]
            colour = COLOURS[order % len(COLOURS)]
            dots = axes.scatter(who["age"], who["volume"], s=14, color=colour, linewidths=0, label=group, alpha=_alpha(len(who)))
            dots.set_rasterized(len(who) > DRAWN)
        axes.set_title(f"{region_name(region)}{f', {sex}' if sex else ''}", fontsize=10)
        axes.set_xlabel("age, years", fontsize=9)
        axes.set_ylabel(_volume(unit), fontsize=9)
        _plain(axes)
    if kinds and any(groups):
        panels[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def save_figure(figure: "Figure", folder: Path, name: str) -> tuple[Path, Path]:
    """Write a figure as ``NAME.svg`` and ``NAME.png``; the same figure gives the same bytes."""
    paths = folder / f"{name}.svg", folder / f"{name}.png"
    for path in paths:
        place(path, figure_bytes(figure, name, kind=path.suffix[1:]))
    return paths


def figure_bytes(figure: "Figure", name: str, *, kind: str = "svg") -> bytes:
    """A figure as a file, ``svg`` or ``png``: the same bytes whenever it is drawn under the same name."""
    from matplotlib import rc_context

    written = BytesIO()
    metadata = {"Date": None, "Creator": "hypojax"} if kind == "svg" else {"Software": "hypojax"}
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(written, format=kind, dpi=DOTS, metadata=metadata, bbox_inches="tight")
    return written.getvalue()


def _grid(count: int, *, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure with so many panels in rows of `ACROSS`."""
    across = min(ACROSS, max(1, count))
    down = max(1, ceil(count / across))
    figure = blank_figure(max(4.0, width * across), height * down + 0.4)
    panels = list(np.atleast_1d(np.asarray(figure.subplots(down, across), object)).ravel())
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels


def _volume(unit: str, what: str = "volume") -> str:
    """What an axis of volumes shows, with its unit where that is known.

    >>> _volume("mm3"), _volume("", "residual")
    ('volume, mm³', 'residual')
    """
    return ", ".join(filter(None, (what, SHOWN_UNITS.get(unit, unit))))


def _plain(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _alpha(count: int) -> float:
    """Opacity of so many points."""
    return 0.75 if count < 100 else 0.4 if count < 1000 else 0.1


def _dots(axes: "Axes", x: Any, y: Any) -> None:  # noqa: ANN401 - columns of a frame or arrays
    count = len(np.asarray(x))
    axes.scatter(x, y, s=14, color=COLOURS[0], alpha=_alpha(count), linewidths=0, rasterized=count > DRAWN)


def _name(axes: "Axes", found: pd.DataFrame) -> None:
    """Names at the points with the largest Cook's distance."""
    for name, row in found.sort_values("cook", ascending=False).head(MARKED).iterrows():
        axes.annotate(str(name), (row["leverage"], row["studentised"]), fontsize=7, xytext=(3, 3), textcoords="offset points")
