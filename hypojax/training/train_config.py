"""`TrainConfig`: what a training run is, read from one TOML file."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from hypojax.reason import Reason, RunError
from hypojax.schema import BOX_SHAPE, LABELS
from hypojax.segmenter.forward import FIRST_OUTPUTS, HEAD_OUTPUTS
from hypojax.settings import build, read_toml
from hypojax.storage import Disk
from hypojax.training.box import BoxConfig
from hypojax.training.head import HeadConfig
from hypojax.unet_config import UNetConfig

OUTPUTS: Final = {"box": (1 + len(LABELS),), "head": (FIRST_OUTPUTS, len(HEAD_OUTPUTS))}
"""Channels of logits that each stage may have: background and subunits; cranium and place, or the cranium by either protocol, place, and
coordinates in the template."""

RELEASED: Final = Path(__file__).with_name("box.toml")
"""How the released box network was trained."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast.

    Parameters
    ----------
    network
        What is trained.
    steps
        Optimiser steps in all.
    batch
        Examples a step, at least; rounded up to a multiple of the devices.
    learning_rate
        Highest learning rate; it rises over ``warmup`` steps and falls by a cosine to a hundredth.
    warmup
        Steps of the rise.
    weight_decay
        Decoupled weight decay (Loshchilov 2019).
    clip
        Largest global gradient norm.
    average
        Decay of the running average of the weights, which is what is released.
    seed
        Of the weights and of every example; the number of the fold is added to it.
    every
        Steps between two saved states, each with a line of log.
    validate
        Steps between two validations on what is held out; a multiple of ``every``.
    patience
        Validations without a better score after which a run ends early; 0: never.
    precision
        Of the network's arithmetic; weights and their averages are always float32. ``auto`` takes bfloat16 on a GPU or TPU where
        a trial step with it works, else float32.
    """

    network: UNetConfig
    steps: int = 4000
    batch: int = 2
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    seed: int = 0
    every: int = 100
    validate: int = 400
    patience: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers that no run can have."""
        for name in ("steps", "batch", "every", "validate"):
            if getattr(self, name) < 1:
                raise RunError(Reason.USAGE, f"loop.{name} is {getattr(self, name)}, it must be 1 or more")
        if self.steps <= self.warmup:
            raise RunError(Reason.USAGE, f"loop.steps is {self.steps}, it must be more than loop.warmup, which is {self.warmup}")
        if self.validate % self.every:
            raise RunError(Reason.USAGE, f"loop.validate is {self.validate}, it must be a multiple of loop.every, which is {self.every}")


@dataclass(frozen=True)
class TrainConfig:
    """One training run: API argument, TOML file and record at once.

    Parameters
    ----------
    stage
        ``box``: the hypothalamus and its subunits in a 1 mm box; ``head``: intracranial volume and place at 2 mm.
    loop
        How long and how fast.
    examples
        Folder of training arrays: ``boxes``, or ``maps.npz`` and ``heads.npz``, and ``folds.tsv``.
    out
        Folder of the runs: fold k lies in ``foldk``, that of all subjects in ``all``.
    boxes
        File of boxes in ``examples``.
    folds
        How many folds ``folds.tsv`` has.
    never
        Names of subjects or label maps that no run learns from or is validated on, kept to test the weights on.
    start
        Weights to start from: a ``.safetensors`` file of released weights, or the folder of a run; random when left out. ``{-fold}`` in it
        becomes ``-fold2`` in the run of fold 2, and is left out in the run of all subjects.
    box, head
        How examples are varied; only that of ``stage`` counts.
    history
        What the weights went through that a run from the start does not repeat; it stands in their model card.

    Raises
    ------
    RunError
        ``USAGE``: settings that do not go together.
    """

    stage: Literal["box", "head"]
    loop: LoopConfig
    examples: Path = Path("runs/examples")
    out: Path = Path("runs/train")
    boxes: str = "boxes.npz"
    folds: int = 5
    never: tuple[str, ...] = ()
    start: Path | None = None
    box: BoxConfig = field(default_factory=BoxConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    history: str = ""

    def __post_init__(self) -> None:
        """Refuse settings that do not go together."""
        network, shape = self.loop.network, self.example.shape
        if network.outputs not in (known := OUTPUTS[self.stage]):
            needed = " or ".join(map(str, known))
            raise RunError(Reason.USAGE, f"loop.network.outputs is {network.outputs}, the stage {self.stage!r} needs {needed}")
        if any(side % network.multiple for side in shape):
            raise RunError(Reason.USAGE, f"{self.stage}.shape is {list(shape)}, this network needs multiples of {network.multiple}")
        if self.stage == "box" and any(side > whole for side, whole in zip(shape, BOX_SHAPE, strict=True)):
            raise RunError(Reason.USAGE, f"box.shape is {list(shape)}, the whole box has {list(BOX_SHAPE)}")
        if self.stage == "box" and self.box.pairs and not self.box.swell:
            raise RunError(Reason.USAGE, f"box.pairs is {self.box.pairs}, but box.swell is 0, so that the two of a pair would be the same")
        if self.folds < 2:
            raise RunError(Reason.USAGE, f"folds is {self.folds}, it must be 2 or more")

    @property
    def example(self) -> BoxConfig | HeadConfig:
        """How the examples of this stage are varied."""
        return self.box if self.stage == "box" else self.head

    def of_fold(self, fold: int | None) -> "TrainConfig":
        """The run of one fold, or of all subjects: each has a folder of its own, and each fold a seed."""
        start = self.start and Path(str(self.start).replace("{-fold}", "" if fold is None else f"-fold{fold}"))
        if fold is None:
            return replace(self, out=self.out / "all", start=start)
        loop = replace(self.loop, seed=self.loop.seed + fold)
        return replace(self, loop=loop, out=self.out / f"fold{fold}", start=start)


def read_config(path: Disk) -> TrainConfig:
    """Read a configuration: a TOML file, or ``box``, that of the released box network.

    Raises
    ------
    RunError
        ``USAGE``: there is no such file, it is not TOML, or a key or value is wrong; file and key are named.
    """
    return read_toml(RELEASED if str(path) == RELEASED.stem else path, parse_config, like=f"an example is {RELEASED}")


def parse_config(table: dict[str, Any]) -> TrainConfig:
    """A configuration from its table.

    Raises
    ------
    RunError
        ``USAGE``: a key or value is wrong, or the table of the other stage is there and would do nothing.

    Examples
    --------
    >>> parse_config({"stage": "box", "loop": {"steps": 1800, "network": {"outputs": 11}}}).of_fold(2).out.name
    'fold2'
    """
    other = {"box": "head", "head": "box"}.get(str(table.get("stage")))
    if other in table:
        raise RunError(Reason.USAGE, f"[{other}] has no effect, the stage is {table['stage']!r}; leave it out")
    return build(TrainConfig, table)
