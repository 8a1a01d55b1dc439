"""Recipes: the committed ones are what the example makes, and none of them is open to everybody."""

import json
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from cluster_recipes import CLUSTER, CONFIGS, example
from packaging.requirements import Requirement

from hypojax.cli import main
from hypojax.execute.cluster import visible_gpus
from hypojax.execute.deploy import ClusterConfig, cuda_environments, recipes
from hypojax.execute.deploy.scripts import CACHE_LINES

BY_HAND = {"README.md", "cluster.toml", "constraints.txt"}
"""Files of cluster/ that nothing makes."""

configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def test_the_committed_recipes_are_those_of_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(CLUSTER / "cluster.toml"), str(tmp_path)]) == 0
    told = {Path(line) for line in capsys.readouterr().out.splitlines()}
    made = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert told == set(made.values())
    committed = {path.relative_to(CLUSTER) for path in CLUSTER.rglob("*") if path.is_file()}
    assert {str(path) for path in committed - set(made)} == BY_HAND
    for name, path in made.items():
        assert path.read_text(encoding="utf-8") == (CLUSTER / name).read_text(encoding="utf-8"), (
            f"hypojax deploy cluster/cluster.toml cluster/: {name}"
        )
        assert bool(path.stat().st_mode & stat.S_IXUSR) == (path.suffix == ".sh")


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slurm").write_text("in the way")
    assert main(["deploy", str(CLUSTER / "cluster.toml"), str(tmp_path)]) == 1
    assert "give another folder" in capsys.readouterr().err


@configs
def test_scripts_are_bash(config: Callable[[], ClusterConfig]) -> None:
    for name, text in recipes(config()).items():
        if name.endswith(".sh"):
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)
            assert text.startswith("#!/usr/bin/env bash\n")


@configs
def test_nothing_listens_to_everybody_without_tls(config: Callable[[], ClusterConfig]) -> None:
    """Each process of Dask speaks TLS and keeps its HTTP server to itself; no recipe names all interfaces."""
    for name, text in recipes(config()).items():
        assert "0.0.0.0" not in text, name  # noqa: S104 - nobody binds here
        assert "tcp://" not in text, name
        assert not re.search(r"dashboard-address\W+:\d", text), name
        processes = len(re.findall(r"- (?:scheduler|worker)\n\s+- --protocol\n\s+- tls\n", text))
        assert len(re.findall(r"- dask\n", text)) == processes, name
        assert len(re.findall(r"- --dashboard-address\n\s+- 127\.0\.0\.1:\d+", text)) == processes, name


@configs
def test_compiled_code_lies_where_nobody_else_may_write(config: Callable[[], ClusterConfig], tmp_path: Path) -> None:
    """Every script that computes makes the folder its own; pods run the image's entry, which does the same."""
    files = recipes(config())
    for name in ("local.sh", "cuda.sh", "slurm/array.sh", "image/Dockerfile", "image/apptainer.def", "image/bids.def"):
        assert all(line in files[name] for line in CACHE_LINES), name
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    (tmp_path / ".cache" / "hypojax" / "jax").mkdir(parents=True, mode=0o777)
    subprocess.run(["bash", "-c", "\n".join(["umask 0", *CACHE_LINES])], env=environment, check=True)
    assert stat.S_IMODE((tmp_path / ".cache" / "hypojax" / "jax").stat().st_mode) == 0o700
    for name, text in files.items():
        if name.endswith(".yaml"):
            assert "command:\n        - bash" not in text, f"{name}: a command would pass by the image's entry"


def test_paths_with_blanks_stay_one_word() -> None:
    config = ClusterConfig(inputs=("/data/my scans", "$HOME/more"), out="/data/the results")
    (line,) = (line for line in recipes(config)["local.sh"].splitlines() if line.startswith("exec "))
    assert shlex.split(line)[1:6] == ["hypojax", "run", "/data/my scans", "$HOME/more", "/data/the results"]


def test_each_gpu_has_a_worker_of_its_own() -> None:
    environments = cuda_environments(["0", "GPU-8932f937"])
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in environments] == ["0", "GPU-8932f937"]
    assert {environment["XLA_PYTHON_CLIENT_PREALLOCATE"] for environment in environments} == {"false"}


def test_every_dependency_has_a_pin_that_suits_it() -> None:
    """Those of hypojax and its extras that images hold; a new one fails here until ``cluster/constraints.txt`` is made again."""
    lines = (CLUSTER / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[\w.!+]+", line) for line in lines if not line.startswith("#"))
    assert "://" not in "\n".join(lines)
    for text in metadata.requires("hypojax") or []:
        requirement = Requirement(text)
        extra = str(requirement.marker).partition('extra == "')[2].partition('"')[0] if requirement.marker else ""
        if extra not in {"test", "dev", "docs"}:
            pin = pins[re.sub(r"[-_.]+", "-", requirement.name).lower()]
            assert requirement.specifier.contains(pin, prereleases=True), f"{requirement} and {pin}"


def test_the_image_installs_what_is_pinned_and_runs_without_rights() -> None:
    text = recipes(example())["image/Dockerfile"]
    installs = re.findall(r"pip install[^\n]*", text)
    assert installs
    assert all("--constraint cluster/constraints.txt" in line for line in installs)
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \d{4,}:\d{4,}$", final, re.MULTILINE)
    assert final.index("USER") < final.index("ENTRYPOINT")


def test_an_image_runs_as_a_bids_app_for_any_user_without_a_home(tmp_path: Path) -> None:
    """The lines that the image starts with, as a user who owns nothing in it; then the verb that it names."""
    files = recipes(example())
    text, definition = files["image/bids.Dockerfile"], files["image/bids.def"]
    assert f"FROM {example().image.name}\n" in text
    assert "From: hypojax.sif\n" in definition
    assert "apptainer build hypojax.sif " in files["image/apptainer.def"]
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0])
    assert entry == ["start", "hypojax", "bids"]
    assert "/usr/local/bin/start" in files["image/Dockerfile"]
    assert 'exec hypojax bids "$@"' in definition
    told = dict(pair.split("=") for pair in re.findall(r"^ENV (.*)$", text, re.MULTILINE)[0].split())
    moved = {name: value.replace("/tmp", str(tmp_path)) for name, value in told.items()}  # noqa: S108 - as the image says
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **moved}
    command = "\n".join([*CACHE_LINES, 'exec hypojax bids "$@"'])
    done = subprocess.run(["bash", "-c", command, "start", "--version"], env=environment, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode().startswith("hypojax ")
    assert (tmp_path / "hypojax-cache" / "hypojax" / "jax").is_dir()


@pytest.mark.parametrize(
    ("named", "gpus"),
    [
        ("", []), ("-1", []), ("-1,0", []), (" ", []), ("NoDevFiles", []), ("none", []),
        ("0", ["0"]), ("3, 1", ["3", "1"]), ("0,-1,1", ["0"]),
        ("GPU-8932f937,MIG-2a/1/0", ["GPU-8932f937", "MIG-2a/1/0"]),
    ],
)  # fmt: skip
def test_gpus_are_those_that_cuda_would_see(monkeypatch: pytest.MonkeyPatch, named: str, gpus: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == gpus


def test_an_installed_hypojax_brings_its_example(tmp_path: Path) -> None:
    """The example needs no checkout, makes the recipes of this repository, and is not replaced once it was changed."""
    assert main(["deploy", "example", str(tmp_path)]) == 0
    config = tmp_path / "cluster.toml"
    assert config.read_bytes() == (CLUSTER / "cluster.toml").read_bytes()
    config.write_text(config.read_text(encoding="utf-8").replace("workers = 8", "workers = 3"), encoding="utf-8")
    assert main(["deploy", "example", str(tmp_path)]) == 0
    assert "--workers 3" in (tmp_path / "local.sh").read_text(encoding="utf-8")
