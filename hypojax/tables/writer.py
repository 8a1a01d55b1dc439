"""Writing tables: tab-separated text for programs and spreadsheets, Markdown for people."""

import csv
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import xarray as xr

from hypojax.reason import visible
from hypojax.tables.cells import NOT_AVAILABLE, encoded


def tsv(frame: pd.DataFrame) -> bytes:
    r"""A frame as BIDS tabular text: one line per row, ``n/a`` where there is no value, text as `hypojax.tables.cells` spells it.

    >>> tsv(pd.DataFrame({"scan": ["a\tb", "=1", ""], "dice": [0.5, -1.0, None]}))
    b"scan\tdice\n'a\\tb\t0.5\n'=1\t-1.0\nn/a\tn/a\n"
    """
    columns = [column if pd.api.types.is_numeric_dtype(column.dtype) else column.astype(object).map(_cell) for _, column in frame.items()]
    rows = pd.concat(columns, axis=1) if columns else frame
    named = rows.set_axis([encoded(str(name)) for name in frame.columns], axis=1)
    written = named.to_csv(sep="\t", index=False, na_rep=NOT_AVAILABLE, lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar="\0")
    return written.encode()


def dataset_tsv(dataset: xr.Dataset, *, rows: Sequence[str]) -> bytes:
    r"""A Dataset as tabular text, one row for each combination of some dims.

    >>> dataset_tsv(xr.Dataset({"dice": ("scan", [0.5, float("nan")])}, coords={"scan": ["a", "b"]}), rows=["scan"])
    b'scan\tdice\na\t0.5\nb\tn/a\n'
    """
    return tsv(dataset.to_dataframe(dim_order=[*rows]).reset_index())


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    r"""Lines of a table in Markdown, its header first, all columns but the first to the right: no line break, bar or HTML in a cell.

    >>> markdown_table([["scan"], ["a|b"]])
    ['| scan |', '| --- |', '| a\\|b |']
    """
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return ["| " + " | ".join(map(markdown_text, row)) + " |" for row in [rows[0], rule, *rows[1:]]]


def markdown_text(text: str) -> str:
    """Text from files in Markdown: on one line, without bars and HTML. What begins no tag stays, as in ``p < .001``.

    >>> markdown_text("p < .001"), markdown_text("<b>x</b> > y")
    ('p < .001', '&lt;b&gt;x&lt;/b&gt; > y')
    """
    plain = re.sub(r"[ \t]+", " ", escape(visible(" ".join(text.split())), quote=False)).replace("|", "\\|")
    return re.sub(r"(?<= )&(lt|gt);(?= )", lambda found: "<" if found[1] == "lt" else ">", plain)


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever a column of objects holds
    """A value other than a number, as a cell."""
    return NOT_AVAILABLE if pd.isna(value) or value == "" else encoded(str(value))
