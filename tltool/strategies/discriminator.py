"""The network that tells source from target."""

import torch
from torch import Tensor, nn


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
