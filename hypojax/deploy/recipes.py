"""All recipes of a configuration: path of each file → what stands in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hypojax.deploy.config import ClusterConfig
from hypojax.deploy.cuda import cuda_script, local_script
from hypojax.deploy.image import apptainer_definition, dockerfile
from hypojax.deploy.kubernetes import array_job, autoscaler, client_job, kubernetes_resource, network_policy, volume_claim
from hypojax.deploy.pod import Object
from hypojax.deploy.script import MADE_BY
from hypojax.deploy.slurm import array_script, finish_script, submit_script
from hypojax.deploy.tpu import slice_job, slice_script, slice_service, tpu_resource
from hypojax.reason import Reason, RunError


def recipes(config: ClusterConfig) -> dict[str, str]:
    """Every file that the configuration has a table for.

    Examples
    --------
    >>> sorted(recipes(ClusterConfig(inputs=("bids",), out="out")))
    ['cuda.sh', 'image/Dockerfile', 'image/apptainer.def', 'local.sh']
    """
    files = {"local.sh": local_script(config), "cuda.sh": cuda_script(config)}
    files |= {"image/Dockerfile": dockerfile(config), "image/apptainer.def": apptainer_definition(config)}
    if config.slurm:
        files |= {
            "slurm/array.sh": array_script(config),
            "slurm/finish.sh": finish_script(config),
            "slurm/submit.sh": submit_script(config),
        }
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
    """Text of several lines as it stands."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


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
