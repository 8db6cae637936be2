"""From stored bytes to what the backbone takes, on whole batches and on the batch's device."""

from typing import Any

import torch
from torch import Tensor

from tltool.data.preprocessing import Augment, Preprocessing
from tltool.data.views import Views


class Prepare:
    """uint8 images ``(B, C, H, W)`` to normalised floats; features pass unchanged.

    Args:
        preprocessing: Gives mean and standard deviation.
        augment: See `tltool.data.options.DataOptions`.
        channels_last: Lay images out as the faster kernels want them.
        views: Makes the views of self-supervised learning.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        augment: Augment = "none",
        channels_last: bool = False,
        views: Views | None = None,
    ) -> None:
        std = torch.tensor(preprocessing.std).view(1, -1, 1, 1)
        mean = torch.tensor(preprocessing.mean).view(1, -1, 1, 1)
        # (x / 255 - mean) / std as one multiplication and one addition.
        self._scale, self._shift = 1.0 / (255.0 * std), -mean / std
        self.augment: Augment = augment
        self.channels_last = channels_last
        self.views = views or Views()

    def __call__(self, x: Tensor, training: bool) -> Tensor:
        """Returns the prepared batch; random changes only where ``training``."""
        if x.dtype != torch.uint8:
            return x
        if training and self.augment != "none":
            x = random_flip(x)
            if self.augment == "flip_crop":
                x = random_shift(x, x.shape[-1] // 8)
        return self._normalised(x)

    def view(self, x: Tensor, training: bool) -> Tensor:
        """Returns one prepared view of each image; the image itself where not ``training``."""
        return self._normalised(self.views(x) if training else x)

    def _normalised(self, x: Tensor) -> Tensor:
        if self._scale.device != x.device:
            self._scale, self._shift = self._scale.to(x.device), self._shift.to(x.device)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        x = x.to(torch.float32, memory_format=layout)
        return x.mul_(self._scale).add_(self._shift)


class Unchanged(Prepare):
    """Leaves batches as they are: texts are stored as the backbone takes them."""

    def __init__(self) -> None:
        self.augment, self.channels_last = "none", False

    def __call__(self, x: Any, training: bool) -> Any:
        """Returns ``x``."""
        return x


def random_flip(x: Tensor) -> Tensor:
    """Mirrors each image of ``(B, C, H, W)`` left to right with probability 1/2."""
    flip = torch.rand(len(x), device=x.device) < 0.5
    return torch.where(flip.view(-1, 1, 1, 1), x.flip(-1), x)


def random_shift(x: Tensor, most: int) -> Tensor:
    """Moves each image of ``(B, C, H, W)`` by up to ``most`` pixels; edges are repeated."""
    b, _, h, w = x.shape
    dy, dx = torch.randint(-most, most + 1, (2, b, 1), device=x.device)
    rows = (torch.arange(h, device=x.device) + dy).clamp(0, h - 1)
    columns = (torch.arange(w, device=x.device) + dx).clamp(0, w - 1)
    batch = torch.arange(b, device=x.device).view(b, 1, 1)
    # Indexing dims 0, 2, 3 together puts the channel last: (B, H, W, C).
    return x[batch, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2).contiguous()
