"""Pipelines of users: one short file each, whose opening says the command. `maintenance` makes what a release holds."""
