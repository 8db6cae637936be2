"""A toy network on a toy table, trained by the real `fit`; and one small real run."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.data.cache import Arrays
from tltool.data.datamodule import DataModule
from tltool.data.preprocessing import Preprocessing
from tltool.data.readers.base import Reader
from tltool.data.table import Table
from tltool.data.transforms import Prepare
from tltool.evaluation.domains import Domains
from tltool.learner import Learner
from tltool.optim import SGD, OptimizerConfig
from tltool.run.build import Parts
from tltool.run.checkpoint import Checkpoint
from tltool.run.fit import fit
from tltool.run.folder import RunFolder
from tltool.run.hardware import Hardware
from tltool.run.history import History, Loggers
from tltool.run.model import Model
from tltool.run.selection import Selection
from tltool.run.signals import Signals
from tltool.run.subject import subject_of
from tltool.strategies.base import DataSpec, Strategy

# (domain, split) -> rows of the toy table.
ROWS = {
    ("source", "train"): np.arange(0, 16),
    ("source", "val"): np.arange(16, 20),
    ("source", "test"): np.arange(20, 28),
    ("target", "train"): np.arange(28, 40),
    ("target", "test"): np.arange(40, 50),
}


class ToyBackbone(Backbone):
    """(B, 4) to (B, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.num_features = 6
        self.preprocessing = Preprocessing()
        self.provenance = {"library": "tests", "model": "toy"}

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class ToyReader(Reader):
    def problems(self) -> list[str]:
        return []

    def fingerprint(self) -> str:
        return "toy"

    def read(self) -> Any:
        raise AssertionError("the toy table is not read")

    def provenance(self) -> dict[str, str]:
        return {"origin": "tests"}


@pytest.fixture
def toy_parts() -> Callable[..., Parts]:
    """Makes all parts of a run of a strategy: 50 points of two classes, 4 steps an epoch."""

    def make(strategy: Strategy, optimizer: OptimizerConfig | None = None, **config: Any) -> Parts:
        torch.manual_seed(0)
        x, y = torch.randn(50, 4), torch.arange(50) % 2
        x[:, 0] += 3.0 * y
        table = Table(x, y, ROWS, ("even", "odd"))
        spec = DataSpec(2, table.class_names, {"source": 16, "target": 12})
        backbone = ToyBackbone()
        net = Net(backbone, 2)
        strategy.build(net, spec)
        prepare = Prepare(backbone.preprocessing)
        learner = Learner(net, strategy, optimizer or SGD(), seed=0)
        hardware = Hardware("cpu")
        return Parts(
            config={
                "steps": 6,
                "epochs": None,
                "seed": 0,
                "log_every": 2,
                "checkpoint_every": 1e9,
                "selection": "last",
                "validator": None,
                "collapse": "off",
                "dataset": {"cache": False},
                **config,
            },
            model=Model(hardware, backbone, "sha", net, strategy, learner, prepare),
            reader=ToyReader(),
            arrays=Arrays(
                stored=np.empty((50, 0), np.uint8),
                labels=y.numpy(),
                domains=np.array([]),
                splits=np.array([]),
                paths=[f"row/{i}" for i in range(50)],
                class_names=list(table.class_names),
                columns={},
                skipped=["row/bad"],
                fingerprint="toy",
                from_cache=False,
            ),
            table=table,
            spec=spec,
            datamodule=DataModule(table, prepare, 4, 8, seed=0),
        )

    return make


@dataclass
class Fitted:
    """What `fit` left behind."""

    folder: RunFolder
    history: History
    checkpoint: Checkpoint
    selection: Selection
    warned: list[str] = field(default_factory=list)


@pytest.fixture
def toy_fit(tmp_path: Path) -> Callable[..., Fitted]:
    """Trains toy parts in ``tmp_path / "run"``; what it leaves stays in ``toy_fit.left``."""

    def train(parts: Parts, rule: str = "last", checkpoint: Checkpoint | None = None) -> Fitted:
        folder = RunFolder(tmp_path / "run")
        checkpoint = checkpoint or Checkpoint()
        selection = Selection(**(checkpoint.selection or {"rule": rule}))
        parts = replace(parts, config={**parts.config, "selection": selection.rule})
        with folder.locked(), Signals() as signals:
            history = History(folder, Loggers(), {}, checkpoint.run_step)
            fitted = Fitted(folder, history, checkpoint, selection)
            train.left = fitted  # type: ignore[attr-defined]
            fit(
                parts,
                folder=folder,
                history=history,
                signals=signals,
                checkpoint=fitted.checkpoint,
                selection=fitted.selection,
                evaluation=Domains(subject_of(parts)),
                warn=fitted.warned.append,
                console=Console(quiet=True),
            )
        return fitted

    return train


@pytest.fixture(scope="session")
def trained(domains: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of DANN on the small images, 4 steps; not to be written into."""
    from tltool.config.compose import resolve
    from tltool.run.execute import execute

    path = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLTOOL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        given = [*domains.overrides(), "experiment=smoke", "hardware=cpu", "strategy=dann"]
        execute(resolve([*given, "steps=4"]), path, ["tltool", "train"], Console(quiet=True))
    return path
