"""Several sites: ComBat, and estimates from sums that tell of no person."""
