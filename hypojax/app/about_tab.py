"""The tab of what hypojax is."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypojax.app.page_layout import AppContext


def add_about_tab(context: "AppContext") -> None:
    """Put what the tab shows into the page that is being built."""
