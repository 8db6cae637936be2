"""What strategies that weigh one source against the others share."""

from torch import Tensor

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.generalisation import environment_means, environment_risks
from tltool.strategies.base import Batch, Losses


def risks_of(net: Net, batch: Batch, number: int) -> tuple[Tensor, Tensor]:
    """Returns the logits ``(B, C)`` and the mean cross-entropy of each source ``(E,)``.

    Args:
        net: The network.
        batch: ``x``, ``y`` (B,), ``domain`` (B,).
        number: E.
    """
    logits: Tensor = net(batch["x"])
    return logits, environment_risks(logits, batch["y"], batch["domain"], number)


def environment_metrics(logits: Tensor, batch: Batch, number: int) -> dict[str, Tensor]:
    """Returns ``accuracy``, and that of the source where it is lowest as ``worst_accuracy``."""
    right = (logits.argmax(dim=1) == batch["y"]).float()
    worst = environment_means(right, batch["domain"], number).min()
    return {"accuracy": accuracy(logits, batch["y"]), "worst_accuracy": worst}


def penalised(risks: Tensor, penalty: Tensor, weight: float, metrics: dict[str, Tensor]) -> Losses:
    """Returns the mean of the risks as ``classification``, and ``weight * penalty``.

    Both are divided by ``max(1, weight)``, so that a heavy penalty does not make the steps longer.
    """
    scale = 1.0 / max(1.0, weight)
    terms = {"classification": scale * risks.mean(), "penalty": scale * weight * penalty}
    return Losses(terms, metrics)


def annealed(trade_off: float, anneal: float, progress: float) -> float:
    """Returns the weight of a penalty: ``trade_off``, but at most 1 before a part of the training.

    Args:
        trade_off: From 0 on.
        anneal: That part, in [0, 1].
        progress: Part of the training that is done, in [0, 1].
    """
    return trade_off if progress >= anneal else min(1.0, trade_off)


def check_penalty(trade_off: float, anneal: float) -> None:
    """Refuses options of a penalty that cannot be.

    Raises:
        ValueError: One of them.
    """
    if trade_off < 0:
        raise ValueError(f"trade_off must not be negative, got {trade_off}")
    if not 0 <= anneal <= 1:
        raise ValueError(f"anneal must be in [0, 1], got {anneal}")
