"""The answer in words: it claims what was shown, and never that there is no difference."""

import pandas as pd

from hypojax.study.models.effect import Effect, effects_table
from hypojax.study.writing.study_answers import answers, short_rows, verdict

METHOD = "linear model, HC3, t"
COUNTS = {"hypothalamus": {"patient": "n = 24", "control": "n = 40"}}


def effect(**changes: object) -> Effect:
    base = Effect(
        "hypothalamus", "group", "patient - control", "difference", METHOD, -67.5, "mm3", 19.4, -3.48, 59.0, 0.0009, -106.3, -28.7, 64
    )
    return base._replace(**changes)  # type: ignore[arg-type]


def said(*effects: Effect, smallest: float = 42.3) -> str:
    power = pd.DataFrame({"region": ["hypothalamus"], "contrast": ["patient - control"], "smallest": [smallest], "smallest_percent": [4.5]})
    (sentence,) = answers(effects_table(effects), term="group", detectable=power, counts=COUNTS)
    return sentence


def test_a_difference_is_given_with_its_direction_interval_test_and_size() -> None:
    percent = effect(quantity="percent", unit="%", estimate=-7.25, ci_low=-11.4, ci_high=-3.1)
    g = effect(quantity="hedges_g_adjusted", unit="1", estimate=-1.21, ci_low=-1.7, ci_high=-0.6)
    sentence = said(effect(p_fdr=0.002), percent, g)
    assert sentence.startswith(
        "Hypothalamus: 67.5 mm³ (7.2 %) smaller in patient (n = 24) than in control (n = 40) (95 % CI −106.3 to −28.7 mm³"
    )
    assert "−11.4 to −3.1 %; t(59) = −3.48, p < .001, p FDR = .002; Hedges' g −1.21 (−1.70 to −0.60), adjusted; n = 64" in sentence
    assert "80 % power" not in sentence


def test_what_was_not_shown_is_not_called_none_and_says_what_could_have_been() -> None:
    sentence = said(effect(p=0.41, estimate=11.5, ci_low=-16.3, ci_high=39.3))
    assert "no difference between patient (n = 24) and control (n = 40) was shown; estimate +11.5 mm³" in sentence
    assert "This does not show that there is none: with 80 % power these data could have shown 42.3 mm³ (4.5 %) or more" in sentence


def test_a_difference_that_correction_takes_away_is_a_hint() -> None:
    assert "not significant (p FDR = .099): a hint, not a finding" in said(effect(p=0.03, p_fdr=0.099))
    assert [verdict(effect(p=p, p_fdr=q)._asdict()) for p, q in ((0.01, 0.02), (0.03, 0.2), (0.3, 0.4))] == [
        "difference",
        "hint",
        "not shown",
    ]


def test_a_missing_estimate_is_said_and_slopes_and_interactions_have_words_of_their_own() -> None:
    assert "no estimate could be made of patient - control (n = 64)" in said(effect(estimate=float("nan"), p=float("nan")))
    assert "−2.1 mm³ for each unit of group" in said(effect(quantity="slope", contrast="", estimate=-2.1))
    assert "no interaction of group and sex was shown; estimate −3.0 mm³" in said(
        effect(quantity="interaction", contrast="patient - control", estimate=-3.0, p=0.2)
    ).replace("interaction of group was", "interaction of group and sex was")


def test_the_short_table_has_one_row_a_contrast() -> None:
    percent = effect(quantity="percent", unit="%", estimate=-7.25, ci_low=-11.4, ci_high=-3.1)
    rows = short_rows(effects_table([effect(), percent, effect(region="icv", p=0.5)]), terms=["group"])
    assert [row[0] for row in rows] == ["hypothalamus", "intracranial volume"]
    assert rows[0][2:4] == ["−67.5 (−106.3 to −28.7) mm³", "−7.2 (−11.4 to −3.1)"]
    assert [row[-1] for row in rows] == ["difference", "not shown"]
