"""How weights, model cards and the sample scan of a release are made: ``python -m pipelines.maintenance.NAME`` in the repository."""
