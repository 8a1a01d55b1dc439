#!/usr/bin/env bash
# Each of 32 tasks does its share of the scans. Submit it with submit.sh.
# Made by `hypojax deploy`: change the configuration instead of this file.
#SBATCH --job-name=hypojax
#SBATCH --array=1-32%8
#SBATCH --partition=gpu
#SBATCH --account=neuro
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=12G
#SBATCH --gres=gpu:1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@60
#SBATCH --output=logs/%x-%A_%a.log
#SBATCH --nice=100
set -eo pipefail
source ~/hypojax/bin/activate
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hypojax/jax}"
install -d -m 700 "$JAX_COMPILATION_CACHE_DIR"
exec hypojax run /data/bids /data/out --batch 4 --shard "$SLURM_ARRAY_TASK_ID/32"
