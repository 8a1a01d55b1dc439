#!/usr/bin/env bash
# Writes the tables from what all tasks recorded.
# Made by `hypojax deploy`: change the configuration instead of this file.
#SBATCH --job-name=hypojax-finish
#SBATCH --partition=gpu
#SBATCH --account=neuro
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=12G
#SBATCH --output=logs/%x-%j.log
#SBATCH --nice=100
set -eo pipefail
source ~/hypojax/bin/activate
exec hypojax export /data/out
