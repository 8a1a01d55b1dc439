#!/usr/bin/env bash
# The networks and the whole line on one GPU, in less than six minutes, on a machine that may have no network.
#
#     bash benchmarks/gpu.sh wheels             # where there is a network: fetch what such a machine lacks into wheels/
#     bash benchmarks/gpu.sh measure gpu.json   # on the machine with the GPU: Python 3.12 with JAX for CUDA 13 is enough
#
# JAX, NumPy and all else that the machine's own Python has are used as they are; wheels/ adds the rest. Without a GPU it measures the
# processor, fewer scans of it, so that the script can be tried anywhere. SCANS=FOLDER takes real scans instead of the demonstration's.
set -euo pipefail
cd "$(dirname "$0")/.."

# Packages that hypojax needs and an image made for machine learning does not have.
lacking=(
    cloudpickle dask distributed docstring-parser donfig flatbuffers google-crc32c h5netcdf isal locket nibabel numcodecs partd psutil
    sortedcontainers tblib toolz tornado typeguard tyro zarr zict
)

fetch() {
    python -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --constraint cluster/constraints.txt --dest wheels "${lacking[@]}"
    du -sh wheels
}

measure() {
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    if ! python3 -c 'import hypojax; hypojax.__version__' 2> "$site/why"; then
        python3 -m pip install --quiet --no-deps --no-index --find-links wheels --target "$site" "${lacking[@]}"
        mkdir "$site/hypojax-0.dist-info" # its version is asked for, and nothing is built here
        printf 'Metadata-Version: 2.1\nName: hypojax\nVersion: 0\n' > "$site/hypojax-0.dist-info/METADATA"
        export PYTHONPATH="$site:$PWD${PYTHONPATH:+:$PYTHONPATH}"
    fi
    export XLA_PYTHON_CLIENT_PREALLOCATE=false # this process and the runs that it starts share the device
    timeout 360 python3 benchmarks/gpu.py ${SCANS:+--scans "$SCANS"} --out "$1"
}

case "${1:-}" in
    wheels) fetch ;;
    measure) measure "${2:?name a file for the figures}" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 1 ;;
esac
