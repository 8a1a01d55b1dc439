"""The image of containers, for Docker and for Apptainer: pinned versions, weights inside, a user without rights."""

from typing import Final

from hypojax.deploy.config import ClusterConfig
from hypojax.deploy.pod import USER
from hypojax.deploy.script import CACHE_LINES, MADE_BY

BUILD: Final = (
    "python -m venv /opt/build",
    "/opt/build/bin/pip install --no-cache-dir --constraint cluster/constraints.txt hatchling",
    "/opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .",
)
"""How the wheel is made: pip's own environment for building would take whatever version is the newest."""

DOCKERFILE = """# hypojax with its weights. {made_by}
#
#     docker build --file FOLDER/image/Dockerfile --tag {name} .      in a checkout; FOLDER is this file's
#
# Every version stands in cluster/constraints.txt.
FROM {base} AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY cluster/constraints.txt cluster/constraints.txt
COPY checkpoints checkpoints
COPY hypojax hypojax
RUN {build}
RUN python -m venv /opt/hypojax \\
    && /opt/hypojax/bin/pip install --no-cache-dir --constraint cluster/constraints.txt "$(ls /wheels/hypojax-*.whl){extras}" \\
    && /opt/hypojax/bin/hypojax info

FROM {base}
RUN groupadd --gid {user} hypojax \\
    && useradd --uid {user} --gid {user} --create-home --shell /usr/sbin/nologin hypojax \\
    && install -d -m 700 -o hypojax -g hypojax /home/hypojax/.cache/hypojax/jax
COPY --from=build /opt/hypojax /opt/hypojax
COPY --chmod=755 <<'EOF' /usr/local/bin/start
#!/usr/bin/env bash
# Compiled code is executed: the folder it lies in is nobody else's.
set -e
{cache}
exec "$@"
EOF
ENV PATH="/opt/hypojax/bin:$PATH" PYTHONUNBUFFERED=1
USER {user}:{user}
WORKDIR /home/hypojax
ENTRYPOINT ["start"]
CMD ["hypojax", "--help"]
"""

APPTAINER = """# hypojax with its weights. {made_by}
#
#     apptainer build hypojax.sif FOLDER/image/apptainer.def          in a checkout; FOLDER is this file's
#     apptainer run --nv hypojax.sif run bids/ out/
#
# Every version stands in cluster/constraints.txt. It runs as whoever starts it.
Bootstrap: docker
From: {base}

%files
    pyproject.toml /source/pyproject.toml
    README.md /source/README.md
    LICENSE /source/LICENSE
    cluster/constraints.txt /source/cluster/constraints.txt
    checkpoints /source/checkpoints
    hypojax /source/hypojax

%post
    cd /source
    {build}
    python -m venv /opt/hypojax
    /opt/hypojax/bin/pip install --no-cache-dir --constraint cluster/constraints.txt "$(ls /wheels/hypojax-*.whl){extras}"
    rm -rf /source /wheels /opt/build

%environment
    export PATH="/opt/hypojax/bin:$PATH"

%runscript
    {cache}
    exec hypojax "$@"

%test
    /opt/hypojax/bin/hypojax info
"""


def dockerfile(config: ClusterConfig) -> str:
    """The Dockerfile: compilers and sources stay in its first stage."""
    return DOCKERFILE.format(
        name=config.image.name, user=USER, cache="\n".join(CACHE_LINES), build=" \\\n    && ".join(BUILD), **_parts(config)
    )


def apptainer_definition(config: ClusterConfig) -> str:
    """The definition for Apptainer, which clusters without Docker have."""
    return APPTAINER.format(cache="\n    ".join(CACHE_LINES), build="\n    ".join(BUILD), **_parts(config))


def _parts(config: ClusterConfig) -> dict[str, str]:
    """What both have in common."""
    extras = ",".join(config.image.extras)
    return {"made_by": MADE_BY, "base": config.image.base, "extras": f"[{extras}]" if extras else ""}
