"""What denoising autoencoders add to a network: noise before it, and a decoder behind it."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Net
from tltool.data.preprocessing import Preprocessing

Noise = Literal["gaussian", "masking"]

LARGEST_START = 8  # pixels at most that the linear layer draws, before the side is doubled
CHANNELS = 32  # of all maps of the decoder: half the width of LeNet's second convolution or so


class Corruption:
    """Noise on prepared images ``(B, C, H, W)``, drawn anew in every call.

    Args:
        noise: ``gaussian`` is added; ``masking`` sets pixels to 0, the mean of prepared images,
            in all channels at once.
        level: Standard deviation, at least 0, in units of the prepared image; or the part of the
            pixels that are masked, in [0, 1).

    Raises:
        ValueError: A level out of range.
    """

    def __init__(self, noise: Noise, level: float) -> None:
        if level < 0:
            raise ValueError(f"level must not be negative, got {level}")
        if noise == "masking" and level >= 1:
            raise ValueError(f"level must be below 1, the part that noise=masking hides: {level}")
        self.noise, self.level = noise, level

    def __call__(self, x: Tensor) -> Tensor:
        """Returns a corrupted copy; at level 0 the images themselves, and nothing is drawn."""
        if self.level == 0:
            return x
        if self.noise == "gaussian":
            return x + self.level * torch.randn_like(x)
        kept = torch.rand(len(x), 1, *x.shape[2:], device=x.device) >= self.level
        return x * kept


class Decoder(nn.Module):
    """Features ``(B, D)`` to images ``(B, C, S, S)``, for any side S.

    A linear layer draws a small image, which is doubled until it is large enough: nearest pixels,
    then a 3x3 convolution, BatchNorm and ReLU. A last convolution gives C channels of any value.

    Args:
        backbone: Gives D, and C and S as its inputs have them.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        to = backbone.preprocessing
        assert isinstance(to, Preprocessing)  # by `Strategy.modalities`
        doublings = max(0, math.ceil(math.log2(to.size / LARGEST_START)))
        sides = [math.ceil(to.size / 2**n) for n in range(doublings, -1, -1)]
        layers: list[nn.Module] = [
            nn.Linear(backbone.num_features, CHANNELS * sides[0] ** 2),
            nn.Unflatten(1, (CHANNELS, sides[0], sides[0])),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        ]
        for side in sides[1:]:
            layers += [
                nn.Upsample(size=side),
                nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
                nn.BatchNorm2d(CHANNELS),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(CHANNELS, to.channels, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """Returns images as they are prepared for the backbone."""
        images: Tensor = self.layers(features)
        return images


def reconstruction_error(net: Net, decoder: Decoder, corruption: Corruption, x: Tensor) -> Tensor:
    """Returns ``mean (decoder(f(x + noise)) - x)^2`` over all examples, channels and pixels.

    Args:
        net: Gives the encoder f.
        decoder: Of its features.
        corruption: The noise.
        x: Clean, prepared images.
    """
    return F.mse_loss(decoder(net.features(corruption(x))), x)
