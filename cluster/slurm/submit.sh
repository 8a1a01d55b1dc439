#!/usr/bin/env bash
# Submits the array and what finishes it; its arguments go to sbatch with the array.
# Made by `hypojax deploy`: change the configuration instead of this file.
set -eo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p logs  # SLURM makes no folders, and a task without its log fails in silence
source ~/hypojax/bin/activate
# The time of a task is measured here, for the scans that are left; walltime in the configuration sets it instead.
minutes=$(hypojax plan /data/bids /data/out --batch 4 --workers 32 --cores 4 --memory 12GiB --gpus 1 --walltime)
array=$(sbatch --parsable --time="$minutes" "$@" "$here/array.sh")
finish=$(sbatch --parsable --dependency="afterany:${array%%;*}" "$here/finish.sh")
echo "array $array, finish $finish"
