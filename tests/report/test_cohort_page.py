"""`hypojax.reporting.cohort_page`: what the page of a cohort says is what the cohort has, and nothing of it becomes markup."""

import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from report_cohorts import FAILURES, HOSTILE, made_cohort, stored_cohort

from hypojax.reporting.cohort_page import cohort_page
from hypojax.reporting.cohort_words import region_rows, summary
from hypojax.reporting.early_and_late import early_and_late
from hypojax.reporting.how_measured import bibtex, cards, methods_paragraph
from hypojax.reporting.reason_words import failure_words
from hypojax.reporting.report_data import ReportSettings, read_report_data, report_data
from hypojax.reporting.scan_counts import count_rows, failures, flow
from hypojax.reporting.study_results import read_results
from hypojax.store import CohortStore

DAY = date(2026, 5, 4)

SCRIPT = re.compile(r"<script>.*?</script>", re.DOTALL)
"""A script of the page, which is the program's own; data stay."""


class Words(HTMLParser):
    """What a reader sees of a page: its text, and the tags that it has."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def test_every_failure_has_words_its_scan_and_a_next_step(tmp_path: Path) -> None:
    data = read_report_data(stored_cohort(tmp_path, 2, failures=FAILURES, pending=["sub-99"]), ReportSettings())
    said = failures(data)
    assert {one.reason for one in said} == {reason.value for reason in FAILURES.values()}
    text = Words(cohort_page(data, day=DAY)).text
    for scan, reason in FAILURES.items():
        assert scan in text
        assert failure_words(reason.value).words in text
        assert failure_words(reason.value).step in text
    steps = flow(data)
    assert [(step.count, step.words) for step in steps[:2]] == [(len(FAILURES) + 3, "found"), (2, "measured")]
    assert sum(aside.count for aside in steps[0].asides) == len(FAILURES) + 1
    assert "4 May 2026" in text


def test_numbers_are_those_of_the_table(tmp_path: Path) -> None:
    folder = stored_cohort(tmp_path, 5, failures={"broken": next(iter(FAILURES.values()))})
    table = pd.read_csv(folder / "volumes.tsv", sep="\t", na_values=["n/a"], keep_default_na=False)
    by_region = table.groupby("region")["volume_mm3"]
    data = read_report_data(folder, ReportSettings())
    text = Words(cohort_page(data, day=DAY)).text
    for row, region in zip(region_rows(data), data.cohort["region"].values, strict=True):
        volumes, unit = by_region.get_group(region), 1000 if region == "icv" else 1
        shown = [float(cell.replace(",", "")) for cell in row[1:]]
        expected = [
            volumes.count(),
            *(value / unit for value in (volumes.mean(), volumes.std(), volumes.median(), volumes.min(), volumes.max())),
        ]
        np.testing.assert_allclose(shown, expected, atol=0.51)
        assert " ".join(row) in text
    assert [(words, count) for words, count, _ in count_rows(data)][:3] == [("found", 6), ("failed", 1), ("measured", 5)]


def test_names_and_columns_stay_text() -> None:
    cohort = made_cohort(3, columns={"group": [HOSTILE, "a", "a"], HOSTILE: ["1", "2", "3"]})
    cohort = cohort.assign_coords(scan=np.array([HOSTILE, "javascript:alert(1)", "sub-03"], object))
    cohort = cohort.assign_coords(dataset=("scan", np.array([HOSTILE] * 3, object)))
    cohort["flagged"][:, 2] = True
    cohort["status"][2] = "failed"
    cohort["message"] = ("scan", np.array(["", "", HOSTILE], object))
    page = cohort_page(report_data(cohort, ReportSettings()), day=DAY)
    words = Words(page)
    assert not [value for _, attributes in words.tags for name, value in attributes.items() if name.startswith("on")]
    assert not [attributes for tag, attributes in words.tags if (attributes.get("href") or "").startswith("javascript")]
    assert b"\x1b" not in page
    assert "\u2028" not in page.decode()
    assert "<script>alert" not in SCRIPT.sub("", page.decode())
    assert '<script>alert("x")</script>' in words.text


@pytest.mark.parametrize("scans", [0, 1])
def test_one_scan_and_none_measured_have_a_page(tmp_path: Path, scans: int) -> None:
    folder = stored_cohort(tmp_path, scans, failures={} if scans else dict(list(FAILURES.items())[:2]))
    text = Words(cohort_page(read_report_data(folder, ReportSettings()), day=DAY)).text
    assert ("1 of 1 scan is measured" if scans else "0 of 2 scans are measured, 2 failed") in text


def test_a_page_to_be_shared_tells_nobody_who_or_when(tmp_path: Path) -> None:
    folder = stored_cohort(tmp_path, 3, failures={"sub-secret": next(iter(FAILURES.values()))})
    page = SCRIPT.sub("", cohort_page(read_report_data(folder, ReportSettings(share=True))).decode())
    assert not re.search(r"sub-0|sub-secret|/home|somebody|\b(patient|control)\b|202\d-|\b(January|May|November)\b", page)
    assert "scan-0001" in page
    assert str(tmp_path) not in page


def test_later_scans_are_compared_with_earlier_ones_where_dates_are_known() -> None:
    days = [f"2024-{month:02d}-01" for month in range(1, 13) for _ in range(4)]
    cohort = made_cohort(48, columns={"acq_time": days})
    found = early_and_late(report_data(cohort, ReportSettings()))
    assert found is not None
    assert "Scans since 2024-07-01 (24, new) against those before (24, reference)" in found.words
    assert "<svg" in found.figure
    assert early_and_late(report_data(cohort, ReportSettings(share=True))) is None
    assert early_and_late(report_data(made_cohort(48, columns={"acq_time": ["1901-02-03"] * 48}), ReportSettings())) is None


def study(folder: Path) -> None:
    """The files of a study that a report reads."""
    folder.mkdir()
    record = {
        "settings": {"group": "group"},
        "answers": ["Hypothalamus: smaller in <b>patients</b>."],
        "files": ["study.html", "effects.tsv"],
    }
    (folder / "study.json").write_text(json.dumps(record))
    header = "region\tterm\tcontrast\tquantity\tmethod\testimate\tunit\tse\tstatistic\tdf\tp\tci_low\tci_high\tn\tp_fdr\tp_fwer"
    rows = [
        "hypothalamus\tgroup\tpatient - control\tdifference\tm\t-61.9\tmm3\t13\t-4.7\t35\t0.00004\t-88.4\t-35.4\t40\t0.00006\tn/a",
        "hypothalamus\tgroup\tpatient - control\tpercent\tm\t-5.3\t%\t1.1\tn/a\t35\tn/a\t-7.5\t-3.1\t40\tn/a\tn/a",
    ]
    (folder / "effects.tsv").write_text("\n".join((header, *rows)) + "\n")
    sizes = [f"{way}\t{row}" for way in ("covariate (reported)", "none") for row in rows]
    (folder / "head_size.tsv").write_text("\n".join((f"analysis\t{header}", *sizes)) + "\n")


def test_results_of_a_study_are_shown_and_shared_only_where_its_column_is(tmp_path: Path) -> None:
    folder = stored_cohort(tmp_path, 3)
    study(folder / "study")
    text = Words(cohort_page(read_report_data(folder, ReportSettings()), day=DAY)).text
    assert "Hypothalamus: smaller in <b>patients</b>." in text
    assert "hypothalamus patient - control −61.9 (−88.4 to −35.4) mm³ −5.3 (−7.5 to −3.1) < .001 < .001 40" in text
    assert "covariate (reported)" in text
    page = cohort_page(read_report_data(folder, ReportSettings()), folder=tmp_path / "else where" / "pages")
    links = set(re.findall(r'href="([^"]*study[^"]*)"', page.decode())) - {"#study"}
    assert links == {f"../../study/{name}" for name in ("study.html", "effects.tsv")}
    shared = read_results(read_report_data(folder, ReportSettings(share=True)))
    assert shared is not None
    assert shared.answers == shared.rows == ()
    assert "--columns group" in shared.notes[0]
    asked = read_results(read_report_data(folder, ReportSettings(share=True, columns=("group",))))
    assert asked is not None
    assert asked.answers
    (folder / "study" / "study.json").write_text("{")
    broken = read_results(read_report_data(folder, ReportSettings()))
    assert broken is not None
    assert "cannot be read" in broken.notes[0]
    (folder / "study" / "study.json").unlink()
    absent = read_results(read_report_data(folder, ReportSettings(share=True)))
    assert absent is not None
    assert absent.notes == ("The study in study/ cannot be read: No such file or directory.",)


def test_references_are_those_of_the_citation_file_and_cards_are_of_these_weights() -> None:
    cohort = made_cohort(2)
    data = report_data(cohort, ReportSettings())
    citation = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))
    entries = bibtex(data)
    for reference in citation["references"]:
        assert reference["doi"] in entries
        assert all(author["family-names"] in entries for author in reference["authors"])
    assert citation["title"].replace("T1", "{T1}").replace("MRI", "{MRI}") in entries
    assert all("not the weights that come with" in card.remarks[0] for card in cards(data))
    released = (Path(__file__).parents[2] / "checkpoints" / "SHA256SUMS").read_text()
    sums = {name: digest for digest, name in (line.split() for line in released.splitlines())}
    own = cohort.assign_attrs({f"weights_{stage}_sha256": sums[f"{stage}.safetensors"] for stage in ("head", "box")})
    for card in cards(report_data(own, ReportSettings())):
        assert card.header[:2] == ("what", "against")
        assert all(len(row) == len(card.header) for row in card.rows)
        assert card.rows
        assert card.remarks[0].startswith("Research software")


def test_methods_during_a_run_and_of_a_report_to_share_name_the_version_the_weights_and_the_ensemble(tmp_path: Path) -> None:
    """Where the table is older than the ledger the versions come from the index; ratings of other scans are not counted."""
    folder = stored_cohort(tmp_path, 1, pending=["sub-02"], provenance={"run_settings": '{"ensemble": true, "exclude": ["sub-secret"]}'})
    (folder / "qc.tsv").write_text("scan\trating\trater\nsub-01\tdoubt\tanna\nof-another-cohort\tdoubt\tbert\n")
    table_is_new = read_report_data(folder, ReportSettings())
    CohortStore.open(folder / "cohort.zarr").commit("sub-02", status="failed", reason=FAILURES["failed-truncated"], message="it ends")
    for data in (table_is_new, *(read_report_data(folder, ReportSettings(share=share)) for share in (False, True))):
        said = methods_paragraph(data)
        assert "hypojax 0.1.0 (weights: head abababababab, box cdcdcdcdcdcd)" in said
        assert "The mean of five networks" in said
        assert "1 scan was rated by eye by 1 rater." in said
        assert data.settings.share == ("sub-secret" not in str(data.cohort.attrs))
        assert "template" not in said
        posed = replace(data, cohort=data.cohort.assign(tilt_deg=(("scan", "direction"), np.ones((data.cohort.sizes["scan"], 3)))))
        assert "along the axes of the MNI152NLin2009cAsym template" in methods_paragraph(posed)


def test_a_rejected_scan_is_said_to_be_in_the_volumes() -> None:
    ratings = pd.DataFrame({"scan": ["sub-none"], "rating": ["reject"], "comment": [""], "rater": ["x"], "time": [""]})
    cohort = made_cohort(3)
    assert "rated as reject" not in " ".join(summary(report_data(cohort, ReportSettings(), ratings=ratings)))
    own = ratings.assign(scan=cohort["scan"].values[:1])
    said = summary(report_data(cohort, ReportSettings(), ratings=own))
    assert "1 measured scan is rated as reject, and still in these volumes." in said
