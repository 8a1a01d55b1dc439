"""The tab of batches."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypojax.app.page_layout import AppContext


def add_batch_tab(context: "AppContext") -> None:
    """Put what the tab shows into the page that is being built."""
