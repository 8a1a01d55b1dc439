"""What the how-to page says to R is true of the table: it is read by the rules of `read.delim`, since R itself is not at hand."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from generated_cohort import generated

from hypojax import cohort
from hypojax.cohort.rows import ALONG
from hypojax.tables.writer import tsv

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "other-tools.md"


def read_delim(path: Path) -> pd.DataFrame:
    """As ``read.delim`` reads it with the arguments of the page; a column is of numbers where all of its cells are, or n/a."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file, delimiter="\t", quotechar='"', doublequote=True, strict=True))
    assert {len(row) for row in rows} == {len(header)}, "R would fill up rows that are short"
    assert all(name.isidentifier() for name in header), "R would rename columns"
    table = pd.DataFrame(rows, columns=header)
    for name in table.columns.difference(["scan"]):
        numbers = pd.to_numeric(table[name].replace({"": np.nan, "n/a": np.nan}), errors="coerce")
        if numbers.notna().sum() == (~table[name].isin(["", "n/a"])).sum() > 0:
            table[name] = numbers
    return table


def test_the_lines_for_r_give_the_model_of_the_cohort(tmp_path: Path) -> None:
    assert (
        'read.delim("hypojax-demo/out/volumes.tsv", colClasses = c(scan = "character"), na.strings = "n/a", quote = "\\"")'
        in PAGE.read_text(encoding="utf-8")
    )
    made = generated(12, seed=3, failing=0.1)
    group = np.where(np.arange(12) % 2, 'called "b", or c', "a")
    made = made.assign(group=("scan", group.astype(object))).assign_coords({dim: list(ALONG[dim]) for dim in ALONG if dim in made.dims})
    (tmp_path / "volumes.tsv").write_bytes(tsv(cohort.tidy(made)))
    volumes = read_delim(tmp_path / "volumes.tsv")
    whole = volumes[(volumes.region == "hypothalamus") & (volumes.status == "done")]
    icv = volumes[volumes.region == "icv"][["scan", "volume_mm3"]]
    people = whole.merge(icv, on="scan", suffixes=("", "_icv")).dropna(subset=["volume_mm3", "volume_mm3_icv"])
    case = (people.group != "a").to_numpy(float)
    design = np.column_stack([np.ones(len(people)), case, people.volume_mm3_icv])
    known = made.isel(scan=(made.status == "done").values)
    straight = np.column_stack([np.ones(known.sizes["scan"]), known.group.values != "a", known.volume_mm3.sel(region="icv")]).astype(float)
    y = known.volume_mm3.sel(region="hypothalamus").values.astype(float)
    keep = np.isfinite(y) & np.isfinite(straight).all(axis=1)
    np.testing.assert_allclose(
        np.linalg.lstsq(design, people.volume_mm3.to_numpy(float))[0], np.linalg.lstsq(straight[keep], y[keep])[0], rtol=1e-4
    )
