#!/usr/bin/env bash
# The page on a login node, for its own user; arguments are those of `hypojax app`, such as --cohorts results/.
# Made by `hypojax deploy`: change the configuration instead of this file.
set -eo pipefail
users="${XDG_CONFIG_HOME:-$HOME/.config}/hypojax/users"
image="${HYPOJAX_IMAGE:-hypojax.sif}"
install -d -m 700 "$(dirname "$users")"
[ -s "$users" ] || apptainer run "$image" app --add-user "$USER" --auth-file "$users"
# It says the line for your own computer: ssh -L PORT:127.0.0.1:PORT THIS-MACHINE
exec apptainer run "$image" app --no-browser --auth-file "$users" --max-disk 20GB "$@"
