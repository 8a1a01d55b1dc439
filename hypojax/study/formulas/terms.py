"""A formula as it is understood: an outcome, and terms, each a product of factors."""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

VOLUME: Final = "volume"
"""Outcome that stands for every region asked for."""

BARE: Final = re.compile(r"[^\W\d]\w*")
"""A name that needs no quotation marks."""

FactorKind = Literal["plain", "category", "log", "power", "spline"]


@dataclass(frozen=True)
class Factor:
    """One column of a table, and what is made of it.

    Parameters
    ----------
    name
        The column.
    kind
        As it is, as categories (``C(x)``), its natural logarithm, a power, or a natural spline.
    number
        The exponent of a power, the degrees of freedom of a spline; 0 for the others.
    """

    name: str
    kind: FactorKind = "plain"
    number: int | float = 0

    @property
    def label(self) -> str:
        """Its name in columns and tables, without quotation marks.

        >>> Factor("Age (y)", "power", 2).label, Factor("site", "category").label
        ('Age (y)**2', 'C(site)')
        """
        return self._spelled(self.name)

    def __str__(self) -> str:
        return self._spelled(quoted(self.name))

    def _spelled(self, name: str) -> str:
        forms = {"plain": "{}", "category": "C({})", "log": "log({})", "power": "{}**{:g}", "spline": "spline({}, {:g})"}
        return forms[self.kind].format(name, self.number)


@dataclass(frozen=True)
class Term:
    """A product of factors: one is a main effect, several are an interaction.

    Parameters
    ----------
    factors
        In the order in which they were written; none twice.
    """

    factors: tuple[Factor, ...]

    @property
    def label(self) -> str:
        """Its name in columns and tables.

        >>> Term((Factor("group"), Factor("years"))).label
        'group:years'
        """
        return ":".join(factor.label for factor in self.factors)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return tuple(dict.fromkeys(factor.name for factor in self.factors))

    def __str__(self) -> str:
        return ":".join(map(str, self.factors))


@dataclass(frozen=True)
class Formula:
    """A model: an outcome and the terms that explain it.

    Parameters
    ----------
    outcome
        A region or column, or ``volume`` for every region asked for.
    terms
        Main effects first, then interactions of two, of three …, as R orders them.
    has_intercept
        Whether the model has one.
    is_log
        Whether the outcome is the logarithm of the volume, so that effects are ratios.
    """

    outcome: str
    terms: tuple[Term, ...]
    has_intercept: bool = True
    is_log: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that its terms need, in the order in which they are named; the outcome is not among them."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.names))

    def without(self, *names: str) -> "Formula":
        """The same without the terms that need one of these columns.

        >>> str(Formula("volume", (Term((Factor("age"),)), Term((Factor("icv"),)))).without("icv"))
        'volume ~ age'
        """
        return replace(self, terms=tuple(term for term in self.terms if not set(names) & set(term.names)))

    def plus(self, *terms: Term) -> "Formula":
        """The same with further terms; those that it has already stay single.

        >>> str(Formula("volume", ()).plus(Term((Factor("site"),))))
        'volume ~ site'
        """
        return replace(self, terms=ordered((*self.terms, *terms)))

    def __str__(self) -> str:
        outcome = f"log({quoted(self.outcome)})" if self.is_log else quoted(self.outcome)
        right = [] if self.has_intercept else ["0"]
        return f"{outcome} ~ {' + '.join([*right, *map(str, self.terms)]) or '1'}"


def ordered(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Terms without repetition (``b:a`` repeats ``a:b``), those of fewer factors first."""
    single = {frozenset(term.factors): term for term in reversed(terms)}
    kept = [single.pop(frozenset(term.factors)) for term in terms if frozenset(term.factors) in single]
    return tuple(sorted(kept, key=lambda term: len(term.factors)))


def quoted(name: str) -> str:
    r"""A name as a formula has it: with quotation marks where it is not a plain word.

    >>> quoted("age"), quoted("Age (years)"), quoted("701"), quoted("it's")
    ('age', "'Age (years)'", "'701'", '"it\'s"')
    """
    if BARE.fullmatch(name):
        return name
    mark = next((mark for mark in "'\"`" if mark not in name), "'")
    return f"{mark}{name}{mark}"
