"""Reading a formula, such as ``volume ~ group + age + sex + icv``.

========================  ==========================================================================================
``volume``                every region asked for; another name is one region or column; ``log(volume)``: effects are ratios
``a + b``, ``a - b``      both terms; without the term b (``- 1`` and ``0 +``: without an intercept)
``a:b``, ``a*b``          the interaction; ``a + b + a:b``
``(a + b):c``             ``a:c + b:c``
``C(x)``                  numbers as categories
``log(x)``, ``x**2``      natural logarithm; a power
``spline(x, df)``         natural cubic spline
``'Age (y)'``             a name that is not a plain word, in any quotation marks of a keyboard
========================  ==========================================================================================

A formula is compared with this grammar (after Wilkinson and Rogers 1973) and never run as a program.
"""

import re
from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple, NoReturn

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.terms import VOLUME, Factor, Formula, Term, ordered

__all__ = ["VOLUME", "Factor", "Formula", "Term", "parse"]

TOKEN: Final = re.compile(
    r"""(?P<blank>\s+)|(?P<name>[^\W\d]\w*)|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<quoted>'[^']+'|"[^"]+"|`[^`]+`)|(?P<sign>\*\*|[~+\-:*(),])"""
)

DEEPEST: Final = 20
"""Brackets within brackets."""

MOST_TERMS: Final = 500

HIGHEST: Final = 9.0
"""Largest exponent of a power."""

MOST_DF: Final = 30.0
"""Degrees of freedom of a spline."""

SHOWN: Final = 30
"""Characters of the formula shown on either side of the place of a fault."""

HINTS: Final = {
    ".": "put a name with a point in quotation marks: 'age.at.scan'",
    "^": "powers are written x**2",
    "=": "a formula has ~ between the outcome and its terms",
    "|": "repeated scans of a subject: name their column with --subject",
    "/": "write nested terms out: a + a:b",
    "%": "write nested terms out: a + a:b",
    "–": "write minus as -",
    "−": "write minus as -",
    "×": "write an interaction with : or *",
    "‘": "use the quotation marks of a keyboard: '",
    "’": "use the quotation marks of a keyboard: '",
    "“": 'use the quotation marks of a keyboard: "',
    "”": 'use the quotation marks of a keyboard: "',
    "∼": "use the ~ of a keyboard",
    "～": "use the ~ of a keyboard",
    "'": "this quotation mark is not closed, or has no name in it",
    '"': "this quotation mark is not closed, or has no name in it",
    "`": "this quotation mark is not closed, or has no name in it",
}
"""Character that no formula has → what to write instead."""

FUNCTIONS: Final = ("C", "log", "spline")

_Terms = dict[frozenset[Factor], Term]


class _Token(NamedTuple):
    """A piece of a formula; ``at`` counts characters from 0."""

    kind: str
    text: str
    at: int


def parse(text: str) -> Formula:
    """A formula from its text.

    Raises
    ------
    RunError
        ``USAGE``: something that the grammar does not have, with its place.

    Examples
    --------
    >>> str(parse("volume ~ group*years + age - group:years"))
    'volume ~ group + years + age'
    >>> parse("log(volume) ~ group + log(icv)").names
    ('group', 'icv')
    >>> parse("volume ~ group + open('x')")
    Traceback (most recent call last):
    hypojax.reason.RunError: formula, character 18: 'open' is no function of formulas (C, log, spline); nothing else is called
    ...
    """
    return _Parser(text).formula()


class _Parser:
    """Descends through a formula from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._next = 0
        self._depth = 0

    def formula(self) -> Formula:
        """The whole formula."""
        if not any(token.text == "~" and token.kind == "sign" for token in self._tokens):
            self._refuse(0, "it has no ~ between the outcome and its terms; write: volume ~ group + age + sex + icv")
        outcome = self._factor()
        if outcome.kind not in ("plain", "log"):
            self._refuse(0, "the outcome is a name or the logarithm of one; write: log(volume) ~ …")
        self._expect("~", "the outcome is one name; write: volume ~ …")
        terms, has_intercept = self._top()
        if self._peek().kind != "end":
            self._unexpected(self._peek())
        return Formula(outcome.name, ordered(tuple(terms.values())), has_intercept=has_intercept, is_log=outcome.kind == "log")

    def _split(self) -> list[_Token]:
        """Pieces of the text up to a character that no formula has, and an end."""
        found: list[_Token] = []
        at = 0
        while at < len(self._text):
            match = TOKEN.match(self._text, at)
            if match is None:
                return [*found, _Token("strange", self._text[at], at)]
            if match.lastgroup != "blank":
                found.append(_Token(str(match.lastgroup), match[0], at))
            at = match.end()
        return [*found, _Token("end", "", len(self._text))]

    def _top(self) -> tuple[_Terms, bool]:
        """Terms outside of brackets, where 0 and 1 stand for the intercept."""
        terms: _Terms = {}
        has_intercept, is_minus = True, self._signed()
        while True:
            number = self._peek()
            if number.kind == "number" and number.text in ("0", "1"):
                self._take()
                has_intercept = (number.text == "1") != is_minus
            else:
                self._combine(terms, self._product(), is_minus=is_minus, at=number.at)
            if self._peek().text not in ("+", "-"):
                return terms, has_intercept
            is_minus = self._take().text == "-"

    def _sum(self) -> _Terms:
        """Terms within brackets."""
        terms: _Terms = {}
        is_minus = self._signed()
        while True:
            at = self._peek().at
            self._combine(terms, self._product(), is_minus=is_minus, at=at)
            if self._peek().text not in ("+", "-"):
                return terms
            is_minus = self._take().text == "-"

    def _signed(self) -> bool:
        """Whether a sum begins with a minus."""
        return self._peek().text in ("+", "-") and self._take().text == "-"

    def _combine(self, terms: _Terms, more: _Terms, *, is_minus: bool, at: int) -> None:
        if not is_minus:
            terms.update({key: term for key, term in more.items() if key not in terms})
            self._count(len(terms), at)
            return
        for key, term in more.items():
            if terms.pop(key, None) is None:
                self._refuse(at, f"there is no term {visible(str(term))} to leave out")

    def _product(self) -> _Terms:
        """``a*b``."""
        terms = self._interaction()
        while self._peek().text == "*":
            at = self._take().at
            more = self._interaction()
            crossed = self._crossed(terms, more, at)
            terms = {**terms, **{key: term for key, term in {**more, **crossed}.items() if key not in terms}}
            self._count(len(terms), at)
        return terms

    def _interaction(self) -> _Terms:
        """``a:b``."""
        terms = self._atom()
        while self._peek().text == ":":
            at = self._take().at
            terms = self._crossed(terms, self._atom(), at)
        return terms

    def _crossed(self, first: _Terms, second: _Terms, at: int) -> _Terms:
        """Products of each term with each."""
        self._count(len(first) * len(second), at)
        pairs = (Term(tuple(dict.fromkeys((*one.factors, *other.factors)))) for one, other in product(first.values(), second.values()))
        return {frozenset(term.factors): term for term in pairs}

    def _atom(self) -> _Terms:
        """Terms in brackets, or one factor."""
        token = self._peek()
        if token.text != "(":
            factor = self._factor()
            return {frozenset((factor,)): Term((factor,))}
        self._take()
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(token.at, f"brackets are nested more than {DEEPEST} deep; write the terms out")
        terms = self._sum()
        self._expect(")", "this bracket is not closed", at=token.at)
        self._depth -= 1
        if self._peek().text == "**":
            self._refuse(self._peek().at, "a power is of one name; write interactions with * or :")
        return terms

    def _factor(self) -> Factor:
        """A name, or what is made of it."""
        token = self._peek()
        if token.kind not in ("name", "quoted"):
            self._unexpected(token)
        self._take()
        if self._peek().text == "(":
            return self._call(token)
        if self._peek().text == "**":
            self._take()
            return Factor(_name(token), "power", self._number("an exponent", most=HIGHEST))
        return Factor(_name(token))

    def _call(self, function: _Token) -> Factor:
        """``C(x)``, ``log(x)``, ``spline(x, df)``."""
        if function.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            self._refuse(function.at, f"{visible(function.text)!r} is no function of formulas ({known}); nothing else is called")
        self._take()
        token = self._take()
        if token.kind not in ("name", "quoted"):
            self._refuse(token.at, f"{function.text}() takes the name of a column")
        number = 0.0
        if function.text == "spline":
            self._expect(",", "spline takes a name and its degrees of freedom; write: spline(age, 4)")
            number = self._number("the degrees of freedom of a spline", most=MOST_DF)
        self._expect(")", f"{function.text}() is not closed, or has more in it than it takes")
        return Factor(_name(token), {"C": "category", "log": "log", "spline": "spline"}[function.text], number)  # type: ignore[arg-type]

    def _number(self, what: str, *, most: float) -> float:
        """A number above 0; a whole one where it is of degrees of freedom."""
        token = self._take()
        number = float(token.text) if token.kind == "number" else 0.0
        if not 0 < number <= most or (most == MOST_DF and not number.is_integer()):
            kind = "a whole number from 1" if most == MOST_DF else "a number above 0, up"
            self._refuse(token.at, f"{what} is {kind} to {most:g}")
        return number

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        if token.kind == "strange":
            self._strange(token.at)
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _expect(self, text: str, otherwise: str, *, at: int | None = None) -> None:
        token = self._take()
        if token.kind != "sign" or token.text != text:
            self._refuse(token.at if at is None else at, otherwise)

    def _count(self, number: int, at: int) -> None:
        if number > MOST_TERMS:
            self._refuse(at, f"it has more than {MOST_TERMS} terms; name fewer")

    def _unexpected(self, token: _Token) -> NoReturn:
        """Refuse a piece."""
        if token.kind == "strange":
            self._strange(token.at)
        if token.kind == "end":
            self._refuse(token.at, "it ends where a name is expected")
        if token.kind == "number":
            why = f"{token.text} is a number; put a column that is named by a number in quotation marks: '{token.text}'"
            self._refuse(token.at, f"{why}; 0 and 1 stand for the intercept, outside of brackets")
        self._refuse(token.at, f"{visible(token.text)!r} is not expected here; names are joined by + - : *")

    def _strange(self, at: int) -> NoReturn:
        """Refuse a character that no formula has."""
        sign = self._text[at]
        hint = HINTS.get(sign, "it has names, quoted names, + - : * ( ), numbers, C(x), log(x), x**2 and spline(x, df)")
        self._refuse(at, f"{visible(sign)!r} is no part of a formula; {hint}")

    def _refuse(self, at: int, why: str) -> NoReturn:
        """Refuse the formula, and show the place."""
        start, end = max(0, at - SHOWN), at + SHOWN
        before, behind = visible(self._text[start:at]), visible(self._text[at:end])
        lead = "…" if start else ""
        line = f"{lead}{before}{behind}{'…' if end < len(self._text) else ''}"
        raise RunError(Reason.USAGE, f"formula, character {at + 1}: {why}\n    {line}\n    {' ' * len(lead + before)}^")


def _name(token: _Token) -> str:
    return token.text[1:-1] if token.kind == "quoted" else token.text


def refused_name(name: str, close: Sequence[str], *, where: str) -> RunError:
    """The error for a name that a table does not have, with the names that look like it.

    >>> str(refused_name("gruop", ["group"], where="the table"))
    "formula: the table has no column 'gruop'; is it 'group'?"
    """
    hint = f"is it {' or '.join(repr(visible(one)) for one in close)}?" if close else "name one of its columns"
    return RunError(Reason.USAGE, f"formula: {where} has no column {visible(name)!r}; {hint}")
