"""What the tabs of one scan and of many scans show, against summaries, jobs and events written by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pandas as pd
import pytest

from hypojax.app.job_status import failure_text, state_text, status_html, status_key
from hypojax.app.many_scans_table import many_html, many_key, progress_text, volume_table
from hypojax.app.one_scan_tab import nothing_shown, one_action, one_view
from hypojax.app.page_parts import pointed
from hypojax.app.scan_job import ScanJob, State
from hypojax.app.scan_result import doubt_in_words, doubt_texts, flag_of, quality_lines, result_html, volume_lines
from hypojax.app.scan_upload import drop_html, sent_files, sent_id
from hypojax.app.section_view import sections_html
from hypojax.app.segment_call import segmented
from hypojax.app.words import Words
from hypojax.reason import Reason, RunError
from hypojax.reporting.doubts import flag_in_words
from hypojax.reporting.section_pictures import SectionPicture
from hypojax.volumes.flags import FLAGS

WORDS = Words()
ID = "0123456789abcdef" * 2
JOB = ScanJob(ID, "<img src=x onerror=alert(1)>.nii")
VOLUMES = [
    {"region": "icv", "volume_mm3": 1_500_000.0, "uncertainty_mm3": 2000.0, "missing": "", "centile": ""},
    {"region": "hypothalamus", "volume_mm3": 900.0, "uncertainty_mm3": 40.0, "missing": "", "centile": "43 (30–55)"},
    {"region": "left_posterior", "volume_mm3": None, "uncertainty_mm3": None, "missing": "it is partly outside the image", "centile": ""},
]
SUMMARY = {
    "volumes": VOLUMES,
    "doubts": [f"{flag_in_words('low_contrast')}: here 1.20", "unlike the others"],
    "flags": [{"flag": "low contrast"}],
}
QUALITY = [{"name": "Contrast", "value": "1.2", "step": "look"}, {"name": "of tomorrow", "value": "1", "step": ""}]


def picture(title: str, outlines: str = '<path class="outline subunit-8" d="M1 1z"/>') -> SectionPicture:
    return SectionPicture(title, b"webp", 160, 160, outlines, "alt", ("L", "R"), 4.0)


class Service:
    """Jobs of one session, each a step further whenever they are asked for."""

    def __init__(self, *jobs: ScanJob) -> None:
        self.found, self.cancelled = list(jobs), []

    def jobs(self, session: object) -> tuple[ScanJob, ...]:
        return tuple(self.found)

    def submit(self, session: object, files: list[Path], *, sample: bool = False) -> tuple[ScanJob, ...]:
        job = ScanJob(f"{len(self.found):032x}", "sample" if sample else files[0].name, "done")
        self.found.append(job)
        return (job,)

    def cancel(self, session: object, job_id: str) -> None:
        self.cancelled.append(job_id)

    def summary(self, session: object, job_id: str) -> dict[str, Any]:
        return SUMMARY

    def sections(self, session: object, job_id: str) -> dict[str, list[SectionPicture]]:
        return {}


class Visit:
    """A session with one file."""

    id, user = "visit", ("", "")

    def uploaded(self, path: str) -> Path:
        if path != "mine.nii":
            raise RunError(Reason.NO_ACCESS, "this file is not among those that you sent; send it again")
        return Path(path)

    def touch(self) -> None:
        """Nothing to do."""


def context(*jobs: ScanJob) -> Any:  # noqa: ANN401 - stands for an AppContext
    return SimpleNamespace(words=WORDS, service=Service(*jobs), sessions=SimpleNamespace(of=lambda request: Visit()))


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, data)


@pytest.mark.parametrize(
    ("state", "position", "text"),
    [
        ("waiting", 0, "next"),
        ("waiting", 1, "One scan is before"),
        ("waiting", 7, "7 scans are before"),
        ("measuring", 0, "being measured"),
    ],
)
def test_a_state_is_said_in_words(state: State, position: int, text: str) -> None:
    assert text in state_text(WORDS, "en", replace(JOB, state=state, position=position))


def test_a_failed_scan_gets_a_sentence_with_the_next_step_and_its_name_stays_text() -> None:
    job = replace(JOB, state="failed", reason="truncated", message="<b>cut</b>")
    html = status_html(WORDS, "en", [job, job], job)
    assert "could not be measured: the file ends too early." in html
    assert failure_text(WORDS, "en", "truncated").step in html
    assert "<img" not in html
    assert "<b>cut" not in html


def test_a_status_is_sent_again_only_when_it_differs() -> None:
    keys = [
        status_key(job, "en", [JOB])
        for job in (JOB, replace(JOB, position=1), replace(JOB, state="reading"), replace(JOB, state="reading", read={"format": "NIfTI"}))
    ]
    assert len(set(keys)) == len(keys)
    assert status_key(replace(JOB, seconds=9.0), "en", [JOB]) == keys[0]


def test_sections_begin_at_the_middle_and_only_one_is_seen() -> None:
    html = sections_html(WORDS, "en", {"coronal": [picture("+1 mm"), picture("0 mm"), picture("−1 mm")], "axial": [picture("+2 mm")]})
    assert html.count("data-slider") == 2
    assert 'min="-1" max="1" step="1" value="0"' in html
    assert html.count("hidden>") == 2
    assert "Coronal section 1 mm in front of the middle. Outlined: Posterior." in html
    assert html.index('data-mm="-1"') < html.index('data-mm="0"') < html.index('data-mm="1"')


def test_a_sagittal_slider_begins_beside_the_middle_where_most_is_outlined() -> None:
    two = '<path class="outline subunit-3" d="M1 1z"/><path class="outline subunit-4" d="M1 1z"/>'
    html = sections_html(WORDS, "en", {"sagittal": [picture("0 mm"), picture("−4 mm", two), picture("−6 mm", two), picture("+5 mm", two)]})
    assert 'min="-6" max="5" step="1" value="-4"' in html


def test_volumes_have_their_share_of_the_head_and_missing_ones_a_reason() -> None:
    head, whole, _, *subunits = volume_lines(WORDS, "de", VOLUMES)
    assert head["cells"][0]["volume"] == 1_500_000.0
    assert whole["cells"][0]["percent"] == pytest.approx(0.06)
    assert whole["cells"][0]["centile"] == "43 (30–55)"
    assert subunits[2]["cells"][0]["why"] == "fehlt: sie liegt zum Teil außerhalb des Bildes"
    assert subunits[0]["cells"][0]["why"] == "fehlt: sie konnte nicht gemessen werden"


def test_doubts_are_those_of_the_report_in_plain_words_where_a_flag_says_them() -> None:
    assert doubt_texts(WORDS, "en", SUMMARY) == (["There is little contrast near the hypothalamus."], ["unlike the others"])
    assert doubt_texts(WORDS, "de", SUMMARY) == (["In der Nähe des Hypothalamus ist wenig Kontrast."], ["unlike the others"])
    german = result_html(WORDS, "de", JOB, SUMMARY, {})
    assert f'<p>{WORDS.text("quality.english", "de")}</p><ul lang="en"><li>unlike the others</li></ul>' in german
    assert WORDS.text("quality.english", "en") not in result_html(WORDS, "en", JOB, SUMMARY, {})


def test_a_doubt_of_a_report_keeps_its_numbers_in_english_and_has_words_of_its_own_in_other_languages() -> None:
    said = f"{flag_in_words('unusual_icv')}: here 2,293 mL"
    assert doubt_in_words(WORDS, "en", said) == (said, "en")
    assert doubt_in_words(WORDS, "de", said) == (WORDS.text("flags.unusual_icv", "de"), "de")
    assert doubt_in_words(WORDS, "de", "unlike the others") == ("unlike the others", "en")
    assert all(flag_of(f"{flag_in_words(flag)}: here 1") == flag for flag in FLAGS)


def test_sizes_have_the_decimal_sign_of_the_language() -> None:
    job = replace(JOB, state="measuring", read={"voxel_size_mm": "1 × 1.333 × 1.333", "format": "NIfTI"})
    assert ["1 × 1.333 × 1.333" in status_html(WORDS, "en", [job], job), "1 × 1,333 × 1,333" in status_html(WORDS, "de", [job], job)] == [
        True,
        True,
    ]


def test_quality_is_said_in_the_language_and_unknown_measures_are_left_out() -> None:
    (row,) = quality_lines(WORDS, "de", QUALITY)
    assert (row["name"], row["value"]) == ("Kontrast", "1,2")
    assert row["step"].startswith("Prüfen Sie")


def test_a_result_says_beside_its_numbers_that_this_is_no_medical_device_and_links_to_own_files_only() -> None:
    html = result_html(WORDS, "en", JOB, {**SUMMARY, "quality": QUALITY}, {})
    assert html.index("not a medical device") < html.index('data-region="icv"')
    assert 'data value="900.0"' in html
    assert {part.split('"')[0] for part in html.split('href="')[1:]} >= {f"/mine/{ID}/labels.nii.gz", f"/mine/{ID}/volumes.tsv"}
    assert all(part.startswith("/mine/") for part in html.split('href="')[1:])


def test_many_scans_are_a_table_of_what_was_measured_and_a_list_of_all() -> None:
    jobs = [
        replace(JOB, state="done", scan="a"),
        replace(JOB, id="f" * 32, state="failed", reason="constant_image"),
        replace(JOB, id="e" * 32),
    ]
    table = pd.DataFrame({"scan": ["a", "a"], "region": ["icv", "hypothalamus"], "volume_mm3": [1e6, 500.0]})
    (row,) = volume_table([jobs[0]], table)
    assert row["volumes"][:2] == [1e6, 500.0]
    assert row["share"] == pytest.approx(0.05)
    html = many_html(WORDS, "en", jobs, table)
    assert "all voxels have the same value" in html
    assert "<img" not in html
    assert html.count('data-act="cancel"') == 1
    assert progress_text(WORDS, "en", jobs) == "1 of 3 scans are done, 1 failed"
    assert many_key(jobs, "en") != many_key(jobs[:2], "en")


@pytest.mark.parametrize(
    "data", [{}, {"paths": "mine.nii"}, {"paths": []}, {"paths": [1]}, {"paths": ["x" * 5000]}, {"paths": ["/etc/passwd"]}]
)
def test_files_that_a_stranger_names_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(RunError):
        sent_files(event(**data), Visit())  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, 3, "../" * 11, ID + "0", ["a"]])
def test_ids_that_a_stranger_names_are_none(value: object) -> None:
    assert sent_id(event(id=value)) == ""
    assert sent_id(event(id=ID)) == ID


def test_an_action_that_is_refused_is_said_and_an_unknown_one_does_nothing() -> None:
    known = context(JOB)
    status = one_action(known, event(act="send", paths=["other.nii"]), nothing_shown(), None)[0]  # type: ignore[arg-type]
    assert "not among those that you sent" in status
    one_action(known, event(act="erase", id=ID), nothing_shown(), None)  # type: ignore[arg-type]
    assert (known.service.found, known.service.cancelled) == ([JOB], [])
    one_action(known, event(act="cancel", id=ID), nothing_shown(), None)  # type: ignore[arg-type]
    assert known.service.cancelled == [ID]


def test_a_scan_is_found_again_after_a_reload_and_nothing_is_sent_twice() -> None:
    known = context(replace(JOB, state="done"))
    status, result, shown, _ = one_view(known, None, nothing_shown())  # type: ignore[arg-type]
    assert "measured" in status
    assert f'data-result="{ID}"' in result
    again = one_view(known, None, shown)  # type: ignore[arg-type]
    assert all(one == gr.skip() for one in again)


def test_a_visitor_whose_hour_is_over_is_told() -> None:
    def over(request: object) -> None:
        raise RunError(Reason.NO_ACCESS, "over")

    known = SimpleNamespace(words=WORDS, service=Service(JOB), sessions=SimpleNamespace(of=over))
    assert "Load the page again" in one_view(known, None, nothing_shown())[0]  # type: ignore[arg-type]


def test_a_call_gives_the_new_scans_and_refuses_files_of_others() -> None:
    found = segmented(context(JOB), "mine.nii", None)  # type: ignore[arg-type]
    assert [scan["name"] for scan in found["scans"]] == ["mine.nii"]
    assert found["scans"][0]["volumes"] == VOLUMES
    with pytest.raises(gr.Error, match="send it again"):
        segmented(context(JOB), "/etc/passwd", None)  # type: ignore[arg-type]


def test_a_call_gives_its_own_scans_only_whatever_else_the_session_sends_meanwhile() -> None:
    known = context(JOB)

    class Busy(Service):
        def submit(self, session: object, files: list[Path], *, sample: bool = False) -> tuple[ScanJob, ...]:
            self.found.append(ScanJob("c" * 32, "of another call.nii", "done"))
            made = super().submit(session, files)
            self.found += [ScanJob("d" * 32, "found in its zip.nii", "done", origin=made[0].id), ScanJob("e" * 32, "later.nii", "waiting")]
            return made

    known.service = Busy(JOB)
    found = segmented(known, "mine.nii", None)  # type: ignore[arg-type]
    assert [scan["name"] for scan in found["scans"]] == ["mine.nii", "found in its zip.nii"]


def test_the_place_to_drop_files_offers_the_sample_for_one_scan_only() -> None:
    assert 'data-act="sample"' in drop_html(WORDS, "en", "one_scan", sample=True)
    assert 'data-act="sample"' not in drop_html(WORDS, "en", "many_scans", sample=False)


def test_a_second_file_of_one_name_is_told_from_the_first_and_the_cohort_opened_is_that_of_the_visit() -> None:
    jobs = [ScanJob("a" * 32, "T1.nii", "done", scan="T1"), ScanJob("b" * 32, "T1.nii", "done", scan="T1-2")]
    rows = [{"scan": job.scan, "region": region, "volume_mm3": 1.0} for job in jobs for region in ("icv", "hypothalamus")]
    table = many_html(WORDS, "en", jobs, pd.DataFrame(rows))
    assert table.count('<th scope="row">T1.nii (2)</th>') == 2
    assert 'data-cohort=".own"' in table
    assert "T1.nii (2): measured." in status_html(WORDS, "en", jobs, jobs[1])


def test_what_a_button_points_to_is_read_from_a_cookie() -> None:
    asked: Any = SimpleNamespace(cookies={"hypojax-cohort": "a%20%26%20b"})
    assert [pointed(asked, "cohort"), pointed(asked, "scan"), pointed(None, "scan")] == ["a & b", "", ""]
