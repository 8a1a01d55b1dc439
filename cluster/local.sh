#!/usr/bin/env bash
# One machine, several worker processes.
# Made by `hypojax deploy`: change the configuration instead of this file.
set -eo pipefail
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hypojax/jax}"
install -d -m 700 "$JAX_COMPILATION_CACHE_DIR"
exec hypojax run /data/bids /data/out --batch 4 --cluster local --workers 8
