"""Training: generator and augmentation in JAX, loss, jitted step, resumable loop.

In the order in which a run uses them:

| file | what it has |
|---|---|
| `train_config` | what a run is, read from one TOML file |
| `examples` | training arrays on disk, and the fold of every subject |
| `box`, `head` | examples of the box round the hypothalamus, and of the whole head |
| `augmentation` | random transforms in space, and random acquisition |
| `stage` | what each network learns, its loss, and how it is scored |
| `loop` | the compiled step, and a loop that can be stopped at any moment |
| `train_log`, `train_record` | how a run goes, and what it was made with |
| `training` | one run, from its configuration to its last state |
| `weights` | runs to weights, a folder that ``hypojax run --weights`` takes |

The public names below are loaded when they are first used: the command line reads the configuration alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax.training.train_config import TrainConfig, read_config
    from hypojax.training.train_log import LogEntry, SilentTraining, TrainCallback
    from hypojax.training.training import TrainResult, train, train_network
    from hypojax.training.weights import write_weights

_HOME: Final = {
    "LogEntry": "train_log",
    "SilentTraining": "train_log",
    "TrainCallback": "train_log",
    "TrainConfig": "train_config",
    "TrainResult": "training",
    "read_config": "train_config",
    "train": "training",
    "train_network": "training",
    "write_weights": "weights",
}
"""Public name → the file it lives in."""

__all__ = [
    "LogEntry",
    "SilentTraining",
    "TrainCallback",
    "TrainConfig",
    "TrainResult",
    "read_config",
    "train",
    "train_network",
    "write_weights",
]


def __getattr__(name: str) -> object:
    """Load a public name, or the file it lives in, on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'hypojax.training' has no attribute {name!r}")
    return getattr(import_module(f"hypojax.training.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
