#!/usr/bin/env bash
# Submits the array and what finishes it; its arguments go to sbatch with the array.
# Made by `hypojax deploy`: change the configuration instead of this file.
set -eo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p logs  # SLURM makes no folders, and a task without its log fails in silence
array=$(sbatch --parsable "$@" "$here/array.sh")
finish=$(sbatch --parsable --dependency="afterany:${array%%;*}" "$here/finish.sh")
echo "array $array, finish $finish"
