"""Who may change places with whom in a permutation test: single scans, scans within a site, or all scans of a subject together.

A permutation must leave the distribution of the errors as it is (Winkler and others 2015). Scans of different people may all change
places; scans of different sites only within their site; repeated scans of a subject move as one block, among blocks of the same number of
scans, where the effect is between subjects, and only within the subject where the effect is within subjects.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, permutations, product
from math import lgamma
from typing import Final

import numpy as np
from jaxtyping import Bool, Int64

from hypojax.reason import Reason, RunError

ALWAYS_ALL: Final = 50_000
"""Up to so many permutations there are, all of them are used whatever number was asked for: those of eight people are 40320."""

LARGEST_LOG: Final = 40.0
"""Natural logarithm of a number of permutations that is as good as infinite."""


@dataclass(frozen=True)
class Exchange:
    """Which rows may change places.

    Parameters
    ----------
    slots
        One array for each set of units that change places: unit x row of the unit, numbers of rows.
    rows
        Number of rows; those in no slot stay where they are.
    """

    slots: tuple[Int64[np.ndarray, "_ _"], ...]
    rows: int

    @classmethod
    def of(
        cls, rows: int, *, within: Int64[np.ndarray, " row"] | None = None, blocks: Int64[np.ndarray, " row"] | None = None
    ) -> "Exchange":
        """Rules of exchange.

        Parameters
        ----------
        rows
            Number of rows.
        within
            Number of the site (or subject) of each row: nothing leaves it.
        blocks
            Number of the subject of each row: its rows move together, in their order, to where a subject with as many rows was.

        Raises
        ------
        RunError
            A subject has rows in two sites, or nothing can change places.

        Examples
        --------
        >>> Exchange.of(4, within=np.array([0, 0, 1, 1])).count()
        4.0
        >>> Exchange.of(5, blocks=np.array([0, 0, 1, 1, 2])).count()
        2.0
        """
        inside = np.zeros(rows, np.int64) if within is None else within
        slots = _block_slots(inside, np.arange(rows) if blocks is None else blocks)
        found = cls(tuple(one.astype(np.int64) for one in slots if len(one) > 1), rows)
        if not found.slots:
            raise RunError(
                Reason.USAGE,
                "no two scans may change places (each is alone in its site, or each subject has another number of scans), so there is no "
                "permutation test; leave out permutations",
            )
        return found

    @cached_property
    def is_single(self) -> bool:
        """Whether rows move one by one."""
        return all(one.shape[1] == 1 for one in self.slots)

    def count(self) -> float:
        """Number of different permutations; infinite where there are astronomically many."""
        logs = sum(lgamma(len(one) + 1) for one in self.slots)
        return float(round(np.exp(logs))) if logs < LARGEST_LOG else float("inf")

    def all(self, batch: int) -> Iterator[Int64[np.ndarray, "order row"]]:
        """All permutations, once each, ``batch`` at a time: row i takes what row ``order[i]`` had."""
        units = product(*(permutations(range(len(one))) for one in self.slots))
        while found := list(islice(units, batch)):
            yield self._orders([np.array([one[i] for one in found]) for i in range(len(self.slots))])

    def random(self, count: int, *, batch: int, seed: int, start: int = 0) -> Iterator[Int64[np.ndarray, "order row"]]:
        """Random permutations, ``batch`` at a time; the same whatever else is drawn."""
        for number in range(start, count, batch):
            yield self.draw(min(batch, count - number), seed=(seed, number))

    def draw(self, count: int, *, seed: tuple[int, int]) -> Int64[np.ndarray, "order row"]:
        """So many random permutations."""
        generator = np.random.default_rng(seed)
        return self._orders([generator.permuted(np.tile(np.arange(len(one)), (count, 1)), axis=1) for one in self.slots])

    def _orders(self, units: list[Int64[np.ndarray, "_ _"]]) -> Int64[np.ndarray, "order row"]:
        """Rows of permuted units."""
        if len(self.slots) == 1 and self.is_single and len(self.slots[0]) == self.rows:
            return units[0]
        orders = np.tile(np.arange(self.rows), (len(units[0]), 1))
        for one, order in zip(self.slots, units, strict=True):
            orders[:, one.ravel()] = one[order].reshape(len(order), -1)
        return orders

    def among(self, rows: Bool[np.ndarray, " row"]) -> "Exchange":
        """The same rules among some of the rows, numbered anew; a subject counts with the rows that are left."""
        inside, blocks = np.full(self.rows, -1), np.arange(self.rows)
        for code, one in enumerate(self.slots):
            inside[one] = code
            blocks[one] = one[:, :1]
        alone = np.flatnonzero(inside < 0)
        inside[alone] = len(self.slots) + alone
        return Exchange.of(int(rows.sum()), within=inside[rows], blocks=None if self.is_single else blocks[rows])

    def restricted(self, orders: Int64[np.ndarray, "order row"], rows: Bool[np.ndarray, " row"]) -> Int64[np.ndarray, "order some"]:
        """Permutations of single rows as permutations of some of them: those left out are passed over, so that regions keep in step."""
        number = np.cumsum(rows) - 1
        found = np.tile(np.arange(int(rows.sum())), (len(orders), 1))
        for one in self.slots:
            targets, sources = one.ravel(), orders[:, one.ravel()]
            found[:, number[targets[rows[targets]]]] = number[sources[rows[sources]]].reshape(len(orders), -1)
        return found


def _block_slots(inside: Int64[np.ndarray, " row"], blocks: Int64[np.ndarray, " row"]) -> list[Int64[np.ndarray, "_ _"]]:
    """Sets of blocks of one size within one site."""
    order = np.argsort(blocks, kind="stable")
    _, starts, sizes = np.unique(blocks[order], return_index=True, return_counts=True)
    site = inside[order[starts]]
    if (np.repeat(site, sizes) != inside[order]).any():
        raise RunError(Reason.USAGE, "a subject has scans in two sites, so its scans cannot change places as one; leave out permutations")
    kinds, which = np.unique(np.column_stack([site, sizes]), axis=0, return_inverse=True)
    which = which.ravel()
    return [order[starts[which == number][:, None] + np.arange(size)] for number, (_, size) in enumerate(kinds)]
