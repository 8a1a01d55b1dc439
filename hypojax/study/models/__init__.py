"""Models of all regions at once, and what is reported of them."""
