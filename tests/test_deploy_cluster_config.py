"""Configurations of clusters: what a file may say, and which errors name file and key."""

from pathlib import Path

import pytest
from cluster_recipes import CLUSTER, example
from hypothesis import given
from hypothesis.strategies import integers

from hypojax.execute.deploy import ClusterConfig, parse_config, read_config
from hypojax.reason import Reason, RunError

SMALLEST = 'inputs = ["bids"]\nout = "out"\n'
PODS = 'inputs = ["/data/bids"]\nout = "/data/out"\n[kubernetes]\nclaim = "data"\n'


def write(folder: Path, content: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_the_smallest_configuration(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, SMALLEST))
    assert config == ClusterConfig(inputs=("bids",), out="out")
    assert config.slurm is config.kubernetes is config.tpu is None


@pytest.mark.parametrize(
    ("content", "key", "what"),
    [
        ('out = "out"', "inputs", "is missing"),
        ('inputs = []\nout = "out"', "inputs", "a list of paths or URLs"),
        ('inputs = ["--debug"]\nout = "out"', "inputs", "a path or URL"),
        ('inputs = ["a\\nb"]\nout = "out"', "cluster.inputs", "one line each"),
        (SMALLEST + "wokers = 3", "wokers", "did you mean 'workers'"),
        (SMALLEST + "workers = 0", "workers", "1 or more"),
        (SMALLEST + "memory = 'lots'", "memory", "a whole number"),
        (SMALLEST + "gpus = -1", "gpus", "0 or more"),
        (SMALLEST + "walltime = 5", "walltime", "10 minutes or more"),
        (SMALLEST + "name = 'My Run'", "name", "lower-case"),
        (SMALLEST + "options = ['--shard=1/2']", "options", "leave it out"),
        (SMALLEST + "options = ['--workers', '3']", "options", "leave it out"),
        ('inputs = ["s3://key:secret@bucket/bids"]\nout = "out"', "inputs", "user or password"),
        (SMALLEST + "[slurm]\npartitions = 'x'", "slurm.partitions", "did you mean 'partition'"),
        (SMALLEST + "[slurm]\ntasks = -1", "slurm.tasks", "0 or more"),
        (SMALLEST + "[slurm]\ndirectives = ['#SBATCH --qos=low']", "slurm.directives", "without #SBATCH"),
        (SMALLEST + "[slurm]\nsetup = [\"a\\nb\"]", "slurm.setup", "one line each"),
        (SMALLEST + "[kubernetes]", "inputs", "a kubernetes.claim"),
        (PODS.replace("/data/out", "/home/out"), "out", "kubernetes.mount"),
        (PODS + "tls_secret = 'My_Secret'", "kubernetes.tls_secret", "lower-case"),
        (PODS + "maximum = 3\nminimum = 4", "kubernetes.maximum", "or more"),
        (PODS + "mount = 'data'", "kubernetes.mount", "an absolute path"),
        (PODS + "node_selector = {spot = true}", "kubernetes.node_selector.spot", "must be text"),
        (PODS + "tolerations = [{key = 'spot', operator = 'Is'}]", "kubernetes.tolerations", "'Equal' or 'Exists'"),
        (SMALLEST + "[tpu]", "[tpu]", "needs [kubernetes]"),
        (PODS + "[tpu]\ntopology = '4x4'", "tpu.topology", "tpu.slice"),
        (PODS + "[tpu]\ntopology = 'big'", "tpu.topology", "sides such as"),
        (PODS + "[tpu]\nslice = '2x2'", "tpu.slice", "two or more hosts"),
        (SMALLEST + "[image]\nname = 'hypojax'", "image.name", "with its version"),
        (SMALLEST + "[image]\nbase = 'python:latest'", "image.base", "not 'latest'"),
    ],
)  # fmt: skip
def test_errors_name_file_and_key(tmp_path: Path, content: str, key: str, what: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(RunError) as caught:
        read_config(path)
    assert caught.value.reason is Reason.USAGE
    assert str(caught.value).startswith(f"{path}: {key}")
    assert what in str(caught.value)


def test_a_password_in_a_url_is_not_told_again(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        read_config(write(tmp_path, 'inputs = ["s3://key:hunter2@bucket"]\nout = "out"'))
    assert "hunter2" not in str(caught.value)


def test_the_example_shows_every_setting_with_its_default() -> None:
    """What is commented out there must be what holds without it."""
    bare = [line.removeprefix("# ") for line in (CLUSTER / "cluster.toml").read_text(encoding="utf-8").splitlines()]
    settings = [line for line in bare if " = " in line or line.startswith("[")]
    assert read_table("\n".join(settings)) == example()
    for table, section in (("slurm", example().slurm), ("kubernetes", example().kubernetes), ("image", example().image)):
        shown = "\n".join(bare).partition(f"\n[{table}]\n")[2].partition("\n[")[0]
        missing = [name for name in vars(section) if f"\n{name} = " not in f"\n{shown}" and f"[{table}.{name}]" not in "\n".join(bare)]
        assert set(missing) <= {"tolerations"}


def read_table(text: str) -> ClusterConfig:
    import tomllib

    return parse_config(tomllib.loads(text))


@given(integers(10, 100_000))
def test_a_worker_leaves_before_its_job_is_ended(walltime: int) -> None:
    config = ClusterConfig(inputs=("bids",), out="out", walltime=walltime)
    assert config.lifetime is not None
    lifetime, stagger = config.lifetime
    assert lifetime - stagger > 0
    assert lifetime + stagger < walltime
