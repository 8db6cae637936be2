"""What happens to an image before the backbone sees it; it comes from the weights."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["nearest", "bilinear", "bicubic"]


@dataclass(frozen=True)
class Preprocessing:
    """Resize the short side to ``size / crop_pct``, crop the centre, scale to [0, 1], normalise.

    Args:
        size: Side of the square that the backbone takes, in pixels.
        channels: 3 (RGB) or 1 (grey).
        mean: Per channel, of values in [0, 1].
        std: Per channel, of values in [0, 1].
        interpolation: Of the resize.
        crop_pct: Part of the resized short side that the centre crop keeps, in (0, 1].
    """

    size: int = 28
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bilinear"
    crop_pct: float = 1.0
