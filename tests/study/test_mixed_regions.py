"""The mixed model of a table, against lmerTest."""

from pathlib import Path

import pandas as pd
import pytest
from r_reference import entry

from hypojax.reason import RunError
from hypojax.study import mixed_model


def repeated(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "stats_reference/inputs/repeated.csv").rename(columns={"volume": "hypothalamus", "age_baseline": "age"})


@pytest.mark.parametrize(("slope", "known"), [(None, "mixed_random_intercept"), ("years", "mixed_random_slope")])
def test_a_table_gives_the_numbers_of_lmertest(shared: Path, slope: str | None, known: str) -> None:
    formula = "volume ~ group*years + age + sex + icv"
    found = mixed_model(repeated(shared), formula, slope=slope, subject="subject", region=("hypothalamus",), unit="mm3")
    (row,) = found.sel(term="group:years", region="hypothalamus").to_dataframe().dropna(subset=["estimate"]).to_dict("records")
    entry(shared, known).check({name: row[name] for name in ("estimate", "se", "df", "p")}, "fixed", "grouppatient:years")


def test_it_is_refused_where_nobody_has_several_scans(shared: Path) -> None:
    first = repeated(shared).drop_duplicates("subject")
    with pytest.raises(RunError, match="take compare"):
        mixed_model(first, "volume ~ group + age", subject="subject", region=("hypothalamus",), unit="mm3")
