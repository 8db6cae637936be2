"""A copy of the network that teaches it."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tltool.backbones.base import Input, Net

Noise = Literal["auto", "views", "dropout"]


class Teacher(nn.Module):
    """A copy of a network that no optimiser trains, kept in the checkpoint like any module.

    Args:
        net: What is copied, as it is now.
    """

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = copy.deepcopy(net).requires_grad_(False)

    def copy(self, net: Net) -> None:
        """Becomes equal to ``net``, buffers and all."""
        self.net.load_state_dict(net.state_dict())

    @torch.no_grad()
    def follow(self, net: Net, decay: float) -> None:
        """Moves the weights to ``decay * own + (1 - decay) * net's``; buffers stay its own.

        Args:
            net: The student.
            decay: In [0, 1); 0 copies the weights.
        """
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(tuple(self.net.parameters()), tuple(net.parameters()), None)

    @torch.no_grad()
    def label(self, x: Input, noisy: bool) -> Tensor:
        """Returns logits ``(B, C)``.

        Args:
            x: Inputs.
            noisy: As in training: with dropout, and BatchNorm normalises by this batch, whose
                statistics its running ones take in. Else as in evaluation.
        """
        self.train(noisy)
        logits: Tensor = self.net(x)
        return logits


def takes_views(noise: Noise, net: Net) -> bool:
    """Returns whether a student's inputs are random views: where there are pixels, if ``auto``.

    Raises:
        ValueError: Views are asked for, of texts.
    """
    pixels = net.backbone.modality == "image"
    if noise == "views" and not pixels:
        raise ValueError("noise=views changes images, and these are texts: type noise=dropout")
    return pixels and noise != "dropout"
