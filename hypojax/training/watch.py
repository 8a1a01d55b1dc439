"""`Watch`: whom a training tells how it goes."""

from typing import Protocol, runtime_checkable

from hypojax.training.history import Entry


@runtime_checkable
class Watch(Protocol):
    """What a training says while it goes on; a terminal shows it as a bar, a log as lines."""

    def started(self, run: str, *, total: int, done: int) -> None:
        """A run of so many steps begins, or goes on after some of them."""

    def stepped(self, step: int, loss: float) -> None:
        """One more step is done."""

    def saved(self, entry: Entry) -> None:
        """The state was saved, with this line of log."""

    def noted(self, sentence: str) -> None:
        """Something else worth knowing."""


class Quiet:
    """Says nothing to anybody."""

    def started(self, run: str, *, total: int, done: int) -> None:
        """Nothing."""

    def stepped(self, step: int, loss: float) -> None:
        """Nothing."""

    def saved(self, entry: Entry) -> None:
        """Nothing."""

    def noted(self, sentence: str) -> None:
        """Nothing."""
