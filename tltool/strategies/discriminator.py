"""The network that tells source from target."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

# Rows over which the discriminator's accuracy must move, and by how much (of 1): a healthy one
# moves by its sampling noise alone, about 0.02 a row of 10 batches of 64 + 64.
WINDOW = 20
CONSTANT = 0.002


class Discriminator(nn.Module):
    """D-hidden-hidden-1 with BatchNorm and ReLU: features ``(B, D)`` to one logit each, ``(B,)``.

    Args:
        num_features: D.
        hidden: Width of both hidden layers.

    References:
        [1] Transfer-Learning-Library, `DomainDiscriminator`; there the sigmoid is inside.
    """

    def __init__(self, num_features: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits of both domains from one forward pass."""
        logits = self.layers(torch.cat([source, target])).squeeze(1)
        return logits[: len(source)], logits[len(source) :]


def constant_accuracy(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Returns a warning when the discriminator's accuracy sits at a constant.

    Args:
        history: Logged rows, oldest first; those with ``train/domain_accuracy`` count.
    """
    key = "train/domain_accuracy"
    recent = [row[key] for row in history if key in row][-WINDOW:]
    if len(recent) < WINDOW or max(recent) - min(recent) > CONSTANT:
        return []
    level = sum(recent) / WINDOW
    cause = (
        "it always wins: features are not aligned, try a smaller strategy.hidden"
        if level > 0.9
        else "it does not learn, so nothing is aligned"
    )
    return [f"the discriminator's accuracy sits at {level:.3f}: {cause}"]
