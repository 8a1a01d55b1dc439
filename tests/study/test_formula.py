"""`hypojax.study.formulas.formula`: what formulas say, and that whatever else is refused with its place and never run."""

import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypojax.reason import Reason, RunError
from hypojax.study.formulas.formula import MOST_TERMS, Factor, Formula, Term, parse
from hypojax.study.formulas.terms import FactorKind

NAMES = ["group", "age", "sex", "Age (y)", "701", "größe", "年齢", "it's", "a:b", "import os"]
KINDS: list[tuple[FactorKind, float]] = [("plain", 0), ("category", 0), ("log", 0), ("power", 2), ("power", 0.5), ("spline", 4)]
FACTORS = st.tuples(st.sampled_from(NAMES), st.sampled_from(KINDS))
TERMS = st.lists(st.lists(FACTORS, min_size=1, max_size=3, unique=True), max_size=5)


def labels(text: str) -> list[str]:
    return [term.label for term in parse(text).terms]


def test_a_formula_is_an_outcome_and_terms() -> None:
    formula = parse("volume ~ group + age + sex + icv")
    assert formula == Formula("volume", tuple(Term((Factor(name),)) for name in ("group", "age", "sex", "icv")))
    assert str(formula) == "volume ~ group + age + sex + icv"
    assert parse("hypothalamus~group").outcome == "hypothalamus"
    assert parse("log('701') ~ 1").is_log


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("v ~ a*b", ["a", "b", "a:b"]),
        ("v ~ a:b + b + a", ["b", "a", "a:b"]),  # main effects first, as R orders them
        ("v ~ a*b*c", ["a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"]),
        ("v ~ a*b*c - a:b:c", ["a", "b", "c", "a:b", "a:c", "b:c"]),
        ("v ~ (a + b):c", ["a:c", "b:c"]),
        ("v ~ a*(b + c)", ["a", "b", "c", "a:b", "a:c"]),
        ("v ~ a + b + a + b:a + a:b", ["a", "b", "b:a"]),
        ("v ~ a:a", ["a"]),
        ("v ~ a + C(site) + log(icv) + age**2 + spline(age, 4)", ["a", "C(site)", "log(icv)", "age**2", "spline(age, 4)"]),
        ("v ~ \"Age (y)\" + `b c`:'d'", ["Age (y)", "b c:d"]),
    ],
)
def test_terms_are_those_of_wilkinson_and_rogers(text: str, terms: list[str]) -> None:
    assert labels(text) == terms


@pytest.mark.parametrize(
    ("text", "has_intercept"), [("v ~ a", True), ("v ~ 0 + a", False), ("v ~ a - 1", False), ("v ~ 1 + a", True), ("v ~ 1", True)]
)
def test_the_intercept_is_there_unless_it_is_taken_out(text: str, has_intercept: bool) -> None:
    assert parse(text).has_intercept is has_intercept


@given(outcome=st.sampled_from(NAMES), terms=TERMS, has_intercept=st.booleans(), is_log=st.booleans())
def test_the_text_of_a_formula_is_read_as_the_same_formula(
    outcome: str, terms: list[list[tuple[str, tuple[FactorKind, float]]]], has_intercept: bool, is_log: bool
) -> None:
    made = [Term(tuple(Factor(name, kind, number) for name, (kind, number) in factors)) for factors in terms]
    formula = Formula(outcome, (), has_intercept=has_intercept, is_log=is_log).plus(*made)
    assert parse(str(formula)) == formula


def test_terms_are_taken_away_and_added_by_column() -> None:
    formula = parse("volume ~ group*sex + log(icv) + age")
    assert str(formula.without("icv", "sex")) == "volume ~ group + age"
    assert str(formula.without("icv").plus(Term((Factor("site"),)))) == "volume ~ group + sex + age + site + group:sex"


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("volume ~ group + __import__('os').system('id')", 18, "'__import__' is no function"),
        ("volume ~ group + os.system", 20, "in quotation marks"),
        ("volume ~ group.__class__", 15, "in quotation marks"),
        ("volume ~ (lambda: 1)()", 19, "is a number"),
        ("volume ~ exec('1')", 10, "'exec' is no function"),
        ("volume ~ C(C(x))", 13, "not closed, or has more in it"),
        ("volume ~ log('x', 'y')", 17, "not closed, or has more in it"),
        ("volume ~ x[0]", 11, "no part of a formula"),
        ("volume ~ {x}", 10, "no part of a formula"),
        ("volume ~ a; b", 11, "no part of a formula"),
        ("volume ~ a = b", 12, "a formula has ~"),
        ("volume ~ I(age^2)", 10, "'I' is no function"),
        ("volume ~ age^2", 13, "powers are written x\\*\\*2"),
        ("volume ~ (1 | subject)", 11, "is a number"),
        ("volume ~ a | b", 12, "--subject"),
        ("volume ~ a − b", 12, "write minus as -"),
        ("volume ~ “age”", 10, "quotation marks of a keyboard"),
        ("volume ~ 'age", 10, "not closed"),
        ("volume ~ ''", 10, "not closed, or has no name"),
        ("volume ~ (a + b", 10, "this bracket is not closed"),
        ("volume ~ a + b)", 15, "not expected here"),
        ("volume ~ a +", 13, "it ends where a name is expected"),
        ("volume ~ ", 10, "it ends where a name is expected"),
        ("volume group", 1, "no ~ between"),
        ("", 1, "no ~ between"),
        ("volume ~ a ~ b", 12, "not expected here"),
        ("~ a", 1, "not expected here"),
        ("a + b ~ c", 3, "the outcome is one name"),
        ("v**2 ~ c", 1, "the outcome is a name"),
        ("volume ~ 701", 10, "in quotation marks: '701'"),
        ("volume ~ 2*a", 10, "is a number"),
        ("volume ~ (0 + a)", 11, "is a number"),
        ("volume ~ a - b", 14, "no term b to leave out"),
        ("volume ~ a**b", 13, "an exponent is a number"),
        ("volume ~ a**99999999", 13, "an exponent is a number"),
        ("volume ~ (a + b)**2", 17, "a power is of one name"),
        ("volume ~ spline(age)", 20, "degrees of freedom; write"),
        ("volume ~ spline(age, 2.5)", 22, "whole number"),
        ("volume ~ spline(age, 0)", 22, "whole number"),
        ("volume ~ a\x00b", 11, "'\\\\\\\\x00'"),
        ("volume ~ \u202ea", 10, "u202e"),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, at: int, why: str) -> None:
    with pytest.raises(RunError, match=rf"(?s)^formula, character {at}: .*({why})") as error:
        parse(text)
    assert error.value.reason is Reason.USAGE
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert lines[2].strip() == "^"


def test_nothing_is_ever_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    is_on = [False]
    ran = ("exec", "os.system", "os.mkdir", "subprocess.Popen")
    sys.addaudithook(lambda name, _: seen.append(name) if is_on[0] and name in ran else None)
    for is_on[0] in (False, True):  # the checks of types that the tests add are compiled the first time
        for text in ("open('made', 'w')", "__import__('os').mkdir('made')", "C(open('made', 'w'))", "(lambda: 1)()", "'open(1)'", "`x`"):
            with suppress(RunError):
                parse(f"volume ~ {text}")
    is_on[0] = False
    assert seen == []
    assert not list(tmp_path.iterdir())


def test_long_and_deep_formulas_are_refused_at_once() -> None:
    with pytest.raises(RunError, match=f"more than {MOST_TERMS} terms"):
        parse("volume ~ " + " + ".join(f"x{number}" for number in range(20_000)))
    with pytest.raises(RunError, match=f"more than {MOST_TERMS} terms"):
        parse("volume ~ " + "*".join(f"x{number}" for number in range(40)))
    with pytest.raises(RunError, match="deep"):
        parse("volume ~ " + "(" * 20_000 + "a" + ")" * 20_000)
    assert labels("volume ~ " + " + ".join(["a"] * 1000)) == ["a"]
    with pytest.raises(RunError, match="no part of a formula") as error:
        parse("volume ~ " + "a + " * 1000 + "?")
    assert max(map(len, str(error.value).splitlines())) < 160


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    for formula in (text, f"volume ~ {text}"):
        try:
            parse(formula)
        except RunError:
            continue


def test_orders_of_interactions_do_not_decrease() -> None:
    orders = [len(term.factors) for term in parse("v ~ a:b:c + a:b + c + d*e").terms]
    assert all(one <= other for one, other in pairwise(orders))
