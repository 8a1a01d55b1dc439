"""All recipes of a configuration: path of each file → its text; container images among them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from hypojax.execute.deploy.bids_image import bids_images
from hypojax.execute.deploy.cluster_config import ClusterConfig
from hypojax.execute.deploy.manifests import (
    USER,
    Object,
    array_job,
    autoscaler,
    client_job,
    kubernetes_resource,
    network_policy,
    volume_claim,
)
from hypojax.execute.deploy.page_files import page_files
from hypojax.execute.deploy.page_objects import page_objects
from hypojax.execute.deploy.scripts import CACHE_LINES, MADE_BY, array_script, cuda_script, finish_script, local_script, submit_script
from hypojax.execute.deploy.tpu import slice_job, slice_script, slice_service, tpu_resource
from hypojax.reason import Reason, RunError
from hypojax.storage import place

EXAMPLE: Final = "cluster.toml"

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
# Every version is pinned in cluster/constraints.txt.
FROM {base} AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE CITATION.cff ./
COPY cluster/constraints.txt cluster/cluster.toml cluster/
COPY checkpoints checkpoints
COPY hypojax hypojax
RUN {build}
RUN python -m venv /opt/hypojax \\
    && /opt/hypojax/bin/pip install --no-cache-dir --constraint cluster/constraints.txt "$(ls /wheels/hypojax-*.whl){extras}" \\
    && /opt/hypojax/bin/hypojax info

FROM {base}
RUN groupadd --gid {user} hypojax \\
    && useradd --uid {user} --gid {user} --create-home --shell /usr/sbin/nologin hypojax \\
    && install -d -m 700 -o hypojax -g hypojax /home/hypojax/.cache/hypojax/jax /scratch /cache
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
# Every version is pinned in cluster/constraints.txt. It runs as whoever starts it.
Bootstrap: docker
From: {base}

%files
    pyproject.toml /source/pyproject.toml
    README.md /source/README.md
    LICENSE /source/LICENSE
    CITATION.cff /source/CITATION.cff
    cluster/constraints.txt /source/cluster/constraints.txt
    cluster/cluster.toml /source/cluster/cluster.toml
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
    extras = ",".join((*config.image.extras, *(["app"] if config.app and "app" not in config.image.extras else [])))
    return {"made_by": MADE_BY, "base": config.image.base, "extras": f"[{extras}]" if extras else ""}


def recipes(config: ClusterConfig) -> dict[str, str]:
    """Every file that the configuration has a table for.

    Examples
    --------
    >>> sorted(recipes(ClusterConfig(inputs=("bids",), out="out")))
    ['cuda.sh', 'image/Dockerfile', 'image/apptainer.def', 'image/bids.Dockerfile', 'image/bids.def', 'local.sh']
    """
    files = {"local.sh": local_script(config), "cuda.sh": cuda_script(config)}
    files |= {"image/Dockerfile": dockerfile(config), "image/apptainer.def": apptainer_definition(config), **bids_images(config)}
    if config.slurm:
        files |= {
            "slurm/array.sh": array_script(config),
            "slurm/finish.sh": finish_script(config),
            "slurm/submit.sh": submit_script(config),
        }
    if config.app:
        files |= page_files(config)
    manifests = {**_kubernetes(config), **_tpu(config)}
    files |= {name: manifest(*objects) for name, objects in manifests.items()}
    return {**files, "tpu/slice.py": slice_script()} if config.tpu and config.tpu.slice else files


def _kubernetes(config: ClusterConfig) -> Mapping[str, list[Object]]:
    """Manifests for Kubernetes."""
    if config.kubernetes is None:
        return {}
    return {
        "kubernetes/network.yaml": [network_policy(config)],
        "kubernetes/cluster.yaml": [kubernetes_resource(config)],
        "kubernetes/client.yaml": [client_job(config, config.name)],
        "kubernetes/array.yaml": [array_job(config)],
        **({"kubernetes/storage.yaml": [volume_claim(config)]} if config.kubernetes.claim else {}),
        **({"kubernetes/app.yaml": page_objects(config)} if config.app else {}),
        **({"kubernetes/autoscaler.yaml": [autoscaler(config)]} if config.kubernetes.maximum else {}),
    }


def _tpu(config: ClusterConfig) -> Mapping[str, list[Object]]:
    """Manifests for TPU nodes."""
    if config.tpu is None:
        return {}
    return {
        "tpu/cluster.yaml": [tpu_resource(config)],
        "tpu/client.yaml": [client_job(config, f"{config.name}-tpu")],
        **({"tpu/slice.yaml": [slice_service(config), slice_job(config)]} if config.tpu.slice else {}),
    }


def manifest(*objects: Object) -> str:
    """Objects as YAML."""
    return f"# {MADE_BY}\n" + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=140)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # yaml is untyped
    """Writes out what occurs twice, and text of several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as in the base class
        """Never an alias: each object is read by itself."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Text of several lines as it is."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def write_example(folder: Path) -> list[Path]:
    """Write the configuration that comes with hypojax, every setting explained; one that is there already stays.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    packed, path = Path(__file__).with_name(EXAMPLE), folder / EXAMPLE
    source = packed if packed.is_file() else Path(__file__).parents[3] / "cluster" / EXAMPLE  # in a checkout it lies there
    if not path.exists():
        place(path, source.read_bytes())
    return [path]


def write_recipes(config: ClusterConfig, folder: Path) -> list[Path]:
    """Write every file, scripts executable, and give their paths.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    written = []
    try:
        for name, content in recipes(config).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            if name.endswith(".sh"):
                mode = path.stat().st_mode
                path.chmod(mode | (mode & 0o444) >> 2)  # to be run by whoever may read it
            written.append(path)
    except OSError as error:
        raise RunError(Reason.NOT_WRITABLE, f"{folder} cannot be written ({error.strerror}); give another folder") from error
    return written
