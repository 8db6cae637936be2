"""What the methods are for: 5 contexts of real digits, learned in turn, 60 steps each."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tltool.config.compose import resolve
from tltool.run.execute import execute

Metrics = dict[str, float]
SMALL = ("experiment=split_mnist", "hardware=cpu", "steps=300", "backbone.width=100")


@pytest.fixture(scope="module")
def learn(tmp_path_factory: pytest.TempPathFactory, cache_root: Path) -> Callable[..., Metrics]:
    """Returns what a strategy scores in a scenario."""

    def call(strategy: str, scenario: str) -> Metrics:
        given = [*SMALL, f"strategy={strategy}", f"dataset.scenario={scenario}", "report=false"]
        path = tmp_path_factory.mktemp(strategy)
        metrics: Metrics = execute(resolve(given), path, [], Console(quiet=True))["metrics"]
        return metrics

    return call


def test_replay_remembers_classes_that_naive_learning_forgets(
    learn: Callable[..., Metrics],
) -> None:
    naive, replay = (learn(strategy, "class") for strategy in ("naive", "replay"))
    assert naive["source_test/accuracy"] < 0.25  # the last two of ten classes
    assert replay["source_test/accuracy"] > 0.75
    assert naive["backward_transfer"] < -0.7 < -0.15 < replay["backward_transfer"]


def test_ewc_holds_what_naive_learning_forgets(learn: Callable[..., Metrics]) -> None:
    naive, ewc = (learn(strategy, "domain") for strategy in ("naive", "ewc"))
    assert naive["backward_transfer"] < -0.3 < -0.1 < ewc["backward_transfer"]
    assert ewc["source_test/accuracy"] > naive["source_test/accuracy"] + 0.05
