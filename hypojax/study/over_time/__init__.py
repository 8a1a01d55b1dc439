"""Change over time: a slope for each person, compared between groups."""
