"""A host of a TPU slice does its share of the scans.

Made by `hypojax deploy`: change the configuration instead of this file.

The hosts of a slice must start JAX together, which `jax.distributed` sees to. After that no collective runs: each host has its own copy
of the networks on its own chips, and its own scans. They also end together: one that is done waits for the others, and if one dies all
start again and go on.
"""

import sys

import jax

from hypojax.cli import main

jax.distributed.initialize(shutdown_timeout_seconds=604800)
sys.exit(main([*sys.argv[1:], "--shard", f"{jax.process_index() + 1}/{jax.process_count()}"]))
