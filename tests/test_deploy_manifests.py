"""Manifests: valid by the schemas of Kubernetes and of the Dask operator, which refuse what they do not know, and closed."""

import copy
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from cluster_recipes import CONFIGS, example, in_buckets

from hypojax.execute.deploy import ClusterConfig, kubernetes_resource, recipes
from hypojax.execute.deploy.recipes import dockerfile

VERSIONS = ("1.33", kubernetes_validate.latest_version())
"""The first Kubernetes in which retries an index are no longer an experiment, and the newest that is known."""

CRDS = "operator/deployment/helm/dask-kubernetes-operator/crds"

configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)

Object = dict[str, Any]


def closed(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """The same schema, refusing what it does not name, as the server does with strict validation."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    named = isinstance(schema.get("properties"), dict) and schema.get("type", "object") == "object"
    if named and not ({"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & set(schema)):
        inner["additionalProperties"] = False
    return inner


@cache
def operator_check(kind: str) -> Any:  # noqa: ANN401
    """A check by the schema of a resource of the Dask operator, as its package carries it; metadata are for the server to check."""
    import dask_kubernetes

    path = Path(dask_kubernetes.__file__).parent / CRDS / f"{kind.lower()}.yaml"
    schema = closed(yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {"const": "kubernetes.dask.org/v1"}, "kind": {"const": kind}, "metadata": {"type": "object"}}
    return jsonschema.Draft202012Validator(schema)


def check(manifest: Object) -> None:
    """Refuse a manifest that a server would refuse, or whose words it would ignore."""
    if not manifest["apiVersion"].startswith("kubernetes.dask.org/"):
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    operator_check(manifest["kind"]).validate(manifest)
    for spec in pods(manifest):  # once more by the schema of Kubernetes itself, which is newer than the operator's
        wrapped = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        for version in VERSIONS:
            kubernetes_validate.validate(wrapped, version, strict=True)


@pytest.fixture(autouse=True)
def schemas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of changed manifests are held against them."""
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", READ)


READ = cache(kubernetes_validate.utils.schema_contents)


def manifests(config: ClusterConfig) -> list[Object]:
    """Every object of every manifest."""
    files = recipes(config)
    named = [name for name in sorted(files) if name.endswith(".yaml") and name != "app/compose.yaml"]  # that one is Docker's
    return [manifest for name in named for manifest in yaml.safe_load_all(files[name])]


def pods(manifest: Object) -> Iterator[Object]:
    """Specifications of the pods that an object makes."""
    if manifest["kind"] == "DaskCluster":
        yield manifest["spec"]["scheduler"]["spec"]
        yield manifest["spec"]["worker"]["spec"]
    elif manifest["kind"] == "Job":
        yield manifest["spec"]["template"]["spec"]


@configs
def test_every_manifest_is_valid(config: Callable[[], ClusterConfig]) -> None:
    found = manifests(config())
    assert {"DaskCluster", "Job", "NetworkPolicy"} <= {manifest["kind"] for manifest in found}
    for manifest in found:
        check(manifest)


def test_kinds_are_there_when_they_are_asked_for() -> None:
    kinds = {name: [manifest["kind"] for manifest in manifests(config())] for name, config in CONFIGS.items()}
    assert "PersistentVolumeClaim" in kinds["example"]
    assert "PersistentVolumeClaim" not in kinds["buckets"]
    assert "DaskAutoscaler" in kinds["buckets"]
    assert "DaskAutoscaler" not in kinds["example"]


def test_the_check_refuses_words_it_does_not_know_at_any_depth() -> None:
    """A manifest with one more word, in each of its tables: if this passed, the check above would say nothing."""
    for manifest in manifests(example()) + manifests(in_buckets()):
        refused = tables = 0
        for path in places(manifest):
            changed = copy.deepcopy(manifest)
            inner = changed
            for step in path:
                inner = inner[step]
            inner["unheardOf"] = {"a": 1}
            tables += 1
            with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
                check(changed)
            refused += 1
        assert refused == tables > 1


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    """Where a manifest has tables; metadata of the operator's resources are not described by its schema."""
    if isinstance(part, dict):
        if path not in {("metadata",), ("metadata", "labels")}:
            yield path
        for key, value in part.items():
            yield from places(value, (*path, key))
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from places(value, (*path, number))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("worker", "spec", "containers", 0, "resources", "limits", "nvidia.com/gpu"), 1),
        (("worker", "replicas"), "8"),
        (("scheduler", "service", "ports", 0, "port"), "8786"),
        (("worker", "spec", "securityContext", "runAsNonRoot"), "yes"),
    ],
)
def test_the_check_refuses_values_of_another_type(path: tuple[Any, ...], value: object) -> None:
    changed = kubernetes_resource(example())
    inner = changed["spec"]
    for step in path[:-1]:
        inner = inner[step]
    assert type(inner[path[-1]]) is not type(value)
    inner[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(changed)


@configs
def test_pods_have_no_more_rights_than_they_need(config: Callable[[], ClusterConfig]) -> None:
    """What the restricted standard of pod security asks for, and a root that cannot be written."""
    for spec in (spec for manifest in manifests(config()) for spec in pods(manifest)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 9999
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {volume["name"] for volume in spec["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        variables = {variable["name"]: variable.get("value", "") for variable in container["env"]}
        assert variables["HOME"] in writable
        assert variables["TMPDIR"] in writable
        assert variables["JAX_COMPILATION_CACHE_DIR"].rpartition("/")[0] in writable


@configs
def test_secrets_are_named_and_never_copied(config: Callable[[], ClusterConfig]) -> None:
    """Certificates come from a mounted secret that only the pod's group may read, keys of a bucket from another."""
    for spec in (spec for manifest in manifests(config()) for spec in pods(manifest)):
        (container,) = spec["containers"]
        for volume in spec["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] & 0o007 == 0
        names = [variable["name"] for variable in container["env"]]
        assert not [name for name in names if any(word in name for word in ("SECRET", "TOKEN", "PASSWORD", "ACCESS_KEY"))]
        pods_of = config().kubernetes
        assert pods_of is not None
        expected = [{"secretRef": {"name": pods_of.credentials}}] if pods_of.credentials else []
        assert container.get("envFrom", []) == expected


@configs
def test_who_talks_to_dask_has_its_certificate(config: Callable[[], ClusterConfig]) -> None:
    for spec in (spec for manifest in manifests(config()) for spec in pods(manifest)):
        (container,) = spec["containers"]
        words = " ".join(container["args"])
        talks = container["args"][0] == "dask" or "--cluster" in words
        mounted = any(mount["name"] == "tls" for mount in container["volumeMounts"])
        assert mounted == talks
        assert ("tls://" in words or "--protocol tls" in words) == talks


def test_gpus_and_chips_are_limits_of_workers() -> None:
    found = {manifest["metadata"]["name"]: manifest for manifest in manifests(example()) if manifest["kind"] in {"DaskCluster", "Job"}}
    limits = {name: list(pods(manifest))[-1]["containers"][0]["resources"]["limits"] for name, manifest in found.items()}
    assert limits["hypojax"]["nvidia.com/gpu"] == limits["hypojax-array"]["nvidia.com/gpu"] == "1"
    assert limits["hypojax-tpu"]["google.com/tpu"] == limits["hypojax-slice"]["google.com/tpu"] == "4"
    nodes = list(pods(found["hypojax-tpu"]))[-1]["nodeSelector"]
    assert nodes["cloud.google.com/gke-tpu-accelerator"] == "tpu-v5-lite-podslice"
    assert nodes["cloud.google.com/gke-tpu-topology"] == "2x2"
    assert found["hypojax-slice"]["spec"]["completions"] == 4
    worker = list(pods(found["hypojax"]))[-1]
    assert {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"} in worker["tolerations"]


@configs
def test_only_the_operator_may_ask_the_scheduler_and_only_with_an_autoscaler(config: Callable[[], ClusterConfig]) -> None:
    settings = config().kubernetes
    assert settings is not None
    named = {manifest["metadata"]["name"]: manifest for manifest in manifests(config()) if manifest["kind"] == "NetworkPolicy"}
    policy = named[config().name]
    (inside, *others) = policy["spec"]["ingress"]
    assert inside == {"from": [{"podSelector": policy["spec"]["podSelector"]}]}
    assert len(others) == bool(settings.maximum)
    scheduler = next(pods(kubernetes_resource(config())))["containers"][0]
    address = scheduler["args"][scheduler["args"].index("--dashboard-address") + 1]
    assert address == "127.0.0.1:8787" + (",$(POD_IP):8787" if settings.maximum else "")
    assert "--no-dashboard" in scheduler["args"]
    shown = next(pods(kubernetes_resource(replace(config(), dashboard=True))))["containers"][0]
    assert ("--no-dashboard" in shown["args"]) == bool(settings.maximum)


def test_the_operator_can_name_what_it_makes() -> None:
    from dask_kubernetes.operator.validation import validate_cluster_name

    for manifest in manifests(example()):
        if manifest["kind"] == "DaskCluster":
            validate_cluster_name(manifest["metadata"]["name"])


def test_the_array_job_counts_from_one(tmp_path: Path) -> None:
    """The line of shell, run: index 0 of 8 is shard 1/8, and words with blanks stay whole."""
    (job,) = (manifest for manifest in manifests(example()) if manifest["metadata"]["name"] == "hypojax-array")
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[:2] == ["bash", "-c"]
    command = tmp_path / "hypojax"
    command.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "0"}
    shown = subprocess.run([*args, "two words"], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["run", "/data/bids", "/data/out", "--batch", "4", "two words", "--shard", "1/8"]


def test_pods_run_as_the_user_of_the_image() -> None:
    worker = list(pods(kubernetes_resource(example())))[-1]
    assert f"USER {worker['securityContext']['runAsUser']}:{worker['securityContext']['runAsGroup']}\n" in dockerfile(example())
