"""The page for a department: only nginx listens, only with TLS; uploads and news of scans pass; the image has what its wheel needs."""

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml
from cluster_recipes import CLUSTER, CONFIGS, example, in_buckets

from hypojax.cli.app_verb import AppVerb
from hypojax.execute.deploy import ClusterConfig, recipes
from hypojax.execute.deploy.cluster_tables import ServedPage
from hypojax.execute.deploy.page_files import PAGE_PORT, TLS_PORT, page_command
from hypojax.execute.deploy.page_objects import page_objects
from hypojax.reason import RunError

configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)

Object = dict[str, Any]


def objects(config: ClusterConfig) -> dict[str, Object]:
    return {made["kind"]: made for made in page_objects(config)}


def containers(config: ClusterConfig) -> tuple[Object, Object]:
    page, proxy = objects(config)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return page, proxy


@configs
def test_the_page_listens_on_a_loopback_and_asks_for_passwords(config: Callable[[], ClusterConfig]) -> None:
    """Its command is one that `hypojax app` understands, in each recipe."""
    page, proxy = containers(config())
    composed = yaml.safe_load(recipes(config())["app/compose.yaml"])["services"]["page"]["command"]
    assert page["args"] == composed
    settings = tyro.cli(AppVerb, args=page["args"][2:]).settings
    assert settings.is_local
    assert (settings.port, str(settings.auth_file), settings.proxy) == (PAGE_PORT, "/etc/hypojax/users/users", "127.0.0.1")
    assert (settings.host_name, settings.browser) == (("brain.example.org",), False)
    assert "ports" not in page
    assert [port["containerPort"] for port in proxy["ports"]] == [TLS_PORT]
    assert f":{PAGE_PORT}/health" in str(page["readinessProbe"])
    assert "envFrom" not in page  # no keys of buckets


@configs
def test_both_containers_have_few_rights_and_write_to_their_own_folders(config: Callable[[], ClusterConfig]) -> None:
    spec = objects(config())["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsUser"] > 9999
    assert not spec["automountServiceAccountToken"]
    for contained in spec["containers"]:
        security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert contained["securityContext"] == security
        assert contained["resources"]["requests"] == contained["resources"]["limits"]
    mounted = {mount["name"] for contained in spec["containers"] for mount in contained["volumeMounts"]}
    assert {volume["name"] for volume in spec["volumes"]} == mounted
    assert all(volume["secret"]["defaultMode"] & 0o037 == 0 for volume in spec["volumes"] if "secret" in volume)
    for service in yaml.safe_load(recipes(config())["app/compose.yaml"])["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


@configs
def test_only_the_ingress_reaches_the_page_and_the_page_reaches_nobody(config: Callable[[], ClusterConfig]) -> None:
    made = objects(config())
    (allowed,) = made["NetworkPolicy"]["spec"]["ingress"]
    assert allowed["ports"] == [{"protocol": "TCP", "port": TLS_PORT}]
    assert made["NetworkPolicy"]["spec"]["egress"] == []
    assert made["Ingress"]["spec"]["tls"] == [{"hosts": ["brain.example.org"], "secretName": "hypojax-app-tls"}]
    assert made["Ingress"]["metadata"]["annotations"]["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
    pod = made["Deployment"]["spec"]["template"]
    for selector in (made["Service"]["spec"]["selector"], made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector == pod["metadata"]["labels"] == made["Deployment"]["spec"]["selector"]["matchLabels"]
    run = yaml.safe_load(recipes(config())["kubernetes/network.yaml"])["spec"]["podSelector"]["matchLabels"]
    assert not run.items() <= pod["metadata"]["labels"].items()  # the rules of a run are not those of the page


def test_nginx_lets_uploads_and_long_silences_pass() -> None:
    """In order of the file: braces are even, each directive ends; what Gradio's events need is off or an hour."""
    text = recipes(example())["app/nginx.conf"]
    bare = "\n".join(line.partition("#")[0] for line in text.splitlines())
    assert bare.count("{") == bare.count("}") == 4
    assert all(line.strip()[-1] in "{};" for line in bare.splitlines() if line.strip())
    assert "client_max_body_size 525m;" in text
    for directive in ("proxy_buffering off;", "proxy_request_buffering off;", "proxy_read_timeout 3600s;", "access_log off;"):
        assert directive in text
    assert f"proxy_pass http://127.0.0.1:{PAGE_PORT};" in text
    assert re.findall(r"listen .*;", text) == [f"listen {TLS_PORT} ssl;"]


def test_the_image_is_built_with_all_that_its_wheel_needs() -> None:
    """What pyproject.toml puts into the wheel, reads or names lies in the build."""
    project = tomllib.loads((CLUSTER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    forced = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    needed = {*forced, project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", "hypojax"}
    docker, apptainer = (recipes(example())[f"image/{name}"] for name in ("Dockerfile", "apptainer.def"))
    copied = {word for line in re.findall(r"^COPY ([^-<\n][^\n]*)", docker, re.MULTILINE) for word in line.split()[:-1]}
    listed = {line.split()[0] for line in apptainer.partition("%files\n")[2].partition("\n\n")[0].splitlines()}
    for found in (copied, listed):
        assert [name for name in sorted(needed) if not any(Path(name).is_relative_to(place) for place in found)] == []
    assert "[cuda,cloud,app]" in docker


def test_without_the_table_there_is_no_page() -> None:
    bare = ClusterConfig(inputs=("bids",), out="out")
    assert not [name for name in recipes(bare) if "app" in Path(name).parts]
    assert "[cloud]" in recipes(bare)["image/Dockerfile"]
    login = recipes(example())["app/login_node.sh"]
    words = shlex.split(login.partition("exec apptainer run")[2])
    assert words[1:5] == ["app", "--no-browser", "--auth-file", "$users"]
    assert "--inputs" not in page_command(in_buckets().app or ServedPage("a.b"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"host": "localhost"}, "app.host"),
        ({"host": "a.b", "inputs": "/data/bids"}, "app.cohorts"),
        ({"host": "a.b", "cohorts": "data"}, "absolute path"),
        ({"host": "a.b", "max_disk": "20"}, "'500MB' or '20GB'"),
        ({"host": "a.b", "proxy": "nginx:latest"}, "stays what it is"),
        ({"host": "a.b; }", "cohorts": "/data"}, "app.host"),
    ],
)
def test_what_could_not_be_served_is_refused(table: dict[str, str], said: str) -> None:
    with pytest.raises(RunError, match=said):
        ServedPage(**table)
