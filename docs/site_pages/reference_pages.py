"""Pages of the reference that are made from declarations: columns and variables, labels, store, settings, exit codes, reasons, flags."""

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from site_pages import help_pages
from site_pages.pages import code, table, write_page

COLUMN_NOTE = """One row is one scan and region. Columns of participants tables and BIDS entities (`subject`, `session`, …) have their own
names and stand behind `scan`. What is missing is `n/a` in the TSV file, and empty in Parquet."""


def write(folder: Path) -> None:
    """Write all of them."""
    pages = {
        "data-dictionary": data_dictionary(),
        "labels": labels(),
        "store": store(),
        "settings": settings(),
        "exit-codes": exit_codes(),
        "reasons": reasons(),
        "card-head": card("head"),
        "card-box": card("box"),
    }
    for name, text in pages.items():
        write_page(folder / f"{name}.md", text + "\n")


def data_dictionary() -> str:
    """Every column of ``volumes.tsv``, and every variable and coordinate of a cohort."""
    header = ["variable", "dims", "type", "unit", "meaning"]
    return "\n\n".join(
        [
            "(data-dictionary)=\n# Data dictionary",
            "(columns-of-volumes)=\n## Columns of volumes.tsv and volumes.parquet",
            COLUMN_NOTE,
            table(["column", "type", "unit", "meaning"], _columns()),
            "## Variables of a cohort",
            "`hypojax.open_cohort` gives one Dataset with these variables; columns of participants tables are variables over `scan` too.",
            table(header, _variables()),
            "## Coordinates",
            table(["coordinate", "meaning"], _coordinates()),
            "(flags)=\n## Quality flags",
            "A flag asks somebody to look at the scan. It removes nothing.",
            table(["flag", "what it says"], _flags()),
        ]
    )


def _columns() -> Iterable[Sequence[str]]:
    """Columns in the order of the file, which is that of an empty cohort's table."""
    from hypojax.cohort.exports import tidy
    from hypojax.cohort.rows import ALONG, COORDINATES, build
    from hypojax.schema import DATASET, FLAG_TEXT, TABLE
    from hypojax.store import ScanEntry

    entry = ScanEntry(scan="sub-01", path="sub-01_T1w.nii.gz", entities={}, columns={})
    known = {variable.name: variable for variable in (*TABLE, DATASET, FLAG_TEXT)}
    for name in tidy(build([], [entry])).columns:
        base = next((name.removesuffix(f"_{label}") for labels_ in ALONG.values() for label in labels_ if name.endswith(f"_{label}")), name)
        variable = known.get(name) or known.get(base)
        if variable is not None:
            along = "" if name in known else f" (along {name.removeprefix(base + '_')})"
            yield code(name), code(variable.dtype), code(variable.units), variable.long_name + along
        else:
            yield code(name), code("str"), "", COORDINATES[name]


def _variables() -> Iterable[Sequence[str]]:
    """Variables of the table, then the lazy arrays as a cohort has them."""
    from hypojax.cohort.lazy_arrays import ARRAYS
    from hypojax.schema import DATASET, TABLE

    for variable in (DATASET, *TABLE, *(array for array, *_ in ARRAYS)):
        yield code(variable.name), ", ".join(variable.dims), code(variable.dtype), code(variable.units), variable.long_name


def _coordinates() -> Iterable[Sequence[str]]:
    """Coordinates of a cohort."""
    from hypojax.cohort.rows import COORDINATES

    return [(code(name), meaning) for name, meaning in COORDINATES.items()]


def _flags() -> Iterable[Sequence[str]]:
    """Flags in the order in which they are raised."""
    from hypojax.volumes.flags import FLAGS

    return [(code(name), meaning) for name, meaning in FLAGS.items()]


def labels() -> str:
    """The values of label maps, and the regions of the tables."""
    from hypojax.schema import LABELS, PARTS, REGIONS

    values = [(code(str(value)), code(name), *_side_and_subunit(name)) for value, name in LABELS.items()]
    regions = [(code(region), _of_labels(PARTS.get(region, ()))) for region in REGIONS]
    return "\n\n".join(
        [
            "(labels)=\n# Labels and regions",
            "Subunits are those of [Bocchetta 2015](https://doi.org/10.1007/s00415-015-7885-2). 0 is background.",
            "## Values of a hypothalamus label map",
            table(["value", "region", "side", "subunit"], values),
            "## Regions of the tables",
            table(["region", "labels"], regions),
        ]
    )


def _side_and_subunit(name: str) -> tuple[str, str]:
    """Side and subunit of a region, in words.

    >>> _side_and_subunit("left_anterior_inferior")
    ('left', 'anterior inferior')
    """
    side, _, subunit = name.partition("_")
    return side, subunit.replace("_", " ")


def _of_labels(values: Sequence[int]) -> str:
    """The labels of a region in words."""
    if not values:
        return "a mask of its own"
    return f"{values[0]}" if len(values) == 1 else f"sum of {values[0]} to {values[-1]}"


def store() -> str:
    """The layout of a store: as its class has it, and the arrays over all scans with their encoding."""
    from hypojax.schema import COHORT_ARRAYS, LABEL_MAPS, VOXELS
    from hypojax.store import CohortStore

    layout = inspect.cleandoc(str(CohortStore.__doc__)).partition("Layout::")[2].partition("\n\nA scan is done")[0]
    arrays = [
        (code(array.name), f"{', '.join(array.dims)}", " × ".join(("scans", *map(str, array.shape))), code(array.dtype), array.long_name)
        for array in COHORT_ARRAYS
    ]
    single = [
        (code(f"{group}/<scan>"), ", ".join(array.dims), "of the scan", code(array.dtype), array.long_name)
        for group, array in (("native", VOXELS), ("labels", LABEL_MAPS))
    ]
    encoding = [(code(array.name), ", ".join(f"`{key}` {value:.6g}" for key, value in array.encoding)) for array in COHORT_ARRAYS]
    return "\n\n".join(
        [
            f"```text\n{inspect.cleandoc(layout)}\n```",
            "## Arrays",
            "One chunk is one scan.",
            table(["array", "dims", "shape", "type", "meaning"], [*arrays, *single]),
            "Stored numbers are decoded by the attributes of their array:",
            table(["array", "attributes"], encoding),
        ]
    )


def settings() -> str:
    """The dataclasses of settings, each an argument of the library and options of a command."""
    names = {
        "hypojax.RunSettings": "hypojax run",
        "hypojax.ClusterSettings": "hypojax run, where",
        "hypojax.ReportSettings": "hypojax report",
        "hypojax.study.StudySettings": "hypojax study",
        "hypojax.TrainConfig": "hypojax train",
        "hypojax.training.train_config.LoopConfig": "hypojax train, [loop]",
        "hypojax.unet.UNetConfig": "hypojax train, [loop.network]",
    }
    parts = ["# Settings", "Each is an argument of the library; options of the command line, or keys of a TOML file, have the same names."]
    parts += [f"## {title}\n\n```{{eval-rst}}\n.. autoclass:: {name}\n   :no-index:\n```" for name, title in names.items()]
    return "\n\n".join(parts)


def exit_codes() -> str:
    """The exit codes of each verb, as its help says them."""
    from hypojax.cli import ABOUT
    from hypojax.cli.verbs import VERBS

    rows = [(f"[hypojax {verb}](#hypojax-{verb})", help_pages.parse(help_pages.help_text([verb])).exit_codes) for verb in VERBS]
    every = re.sub(r"\s+", " ", ABOUT.partition("For all verbs: ")[2].partition("\nhypojax --version")[0])
    return "\n\n".join(["(exit-codes)=\n# Exit codes", f"For all verbs: {every}", table(["verb", "exit codes"], rows)])


def reasons() -> str:
    """Why scans fail and volumes are missing."""
    from hypojax.reporting.reason_words import FAILURES, GAPS

    header = ["reason", "what it says", "next step"]
    failed, missing = ([(code(name), said.words, said.step) for name, said in words.items()] for words in (FAILURES, GAPS))
    return "\n\n".join(
        [
            "(reasons)=\n# Reasons",
            "## Why a scan fails",
            "In the column `reason`; `message` has the whole sentence with the value that was found.",
            table(header, failed),
            "## Why a volume of a finished scan is missing",
            "In the column `missing_reason`.",
            table(header, missing),
        ]
    )


def card(stage: str) -> str:
    """The model card of released weights."""
    return f"```{{include}} ../../checkpoints/{stage}.md\n```"
