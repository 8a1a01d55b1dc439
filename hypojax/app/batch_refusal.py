"""Why a batch is not started."""

from typing import Any

from hypojax.reason import Reason, RunError


class BatchRefusedError(RunError):
    """A batch that is not started, stopped or continued.

    Parameters
    ----------
    key
        Name of the sentence in the texts of the page, below ``batch.refused``.
    message
        The same sentence in English, with the next step.
    values
        What the sentence names.

    Examples
    --------
    >>> BatchRefusedError("name_taken", "there is a cohort pilot; give another name", name="pilot").values
    {'name': 'pilot'}
    """

    def __init__(self, key: str, message: str, **values: Any) -> None:  # noqa: ANN401 - what a sentence names
        super().__init__(Reason.USAGE, message)
        self.key, self.values = key, values

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole."""
        return _made_again, (self.key, str(self), self.values)


def _made_again(key: str, message: str, values: dict[str, Any]) -> BatchRefusedError:
    """The same error, in another process."""
    return BatchRefusedError(key, message, **values)
