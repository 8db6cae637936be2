"""The network of the few-shot literature."""

from torch import Tensor, nn

from tltool.backbones.base import Backbone
from tltool.data.preprocessing import Preprocessing


class Conv4(Backbone):
    """Four blocks of conv 3x3 - BatchNorm - ReLU - max-pool 2, for small images.

    Inputs ``(B, channels, size, size)``, in [0, 1] and not normalised. Features ``(B, D)`` are the
    last block's, flattened: D is ``hidden * (size // 16) ** 2``, 64 for 28 pixels. Always starts
    from random.

    Args:
        channels: 1 (grey) or 3 (colour).
        hidden: Filters of each block.
        size: Side of the images in pixels: 28 for characters, 84 for miniature photographs.

    References:
        [0] Vinyals et al., Matching networks for one shot learning, NeurIPS 2016, section 4.1.1.
        [1] Snell, Swersky & Zemel, Prototypical networks for few-shot learning, NeurIPS 2017.
    """

    def __init__(self, channels: int = 1, hidden: int = 64, size: int = 28) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if size < 16:  # it is halved four times
            raise ValueError(f"size must be at least 16, got {size}")
        self.blocks = nn.Sequential(
            *(_block(width, hidden) for width in (channels, hidden, hidden, hidden))
        )
        self.channels_last_on_cpu = True  # measured: 0.6 of the time, forward and back
        self.num_features = hidden * (size // 16) ** 2
        self.preprocessing = Preprocessing(
            size=size, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels
        )
        self.provenance = {"library": "tltool", "model": "conv4", "weights": "random"}

    def reset(self) -> None:
        """Draws all weights again, as the layers of PyTorch do at first."""
        for layer in self.blocks.modules():
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                layer.reset_parameters()
        self.record_random()

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Returns the four blocks."""
        return [list(block.parameters()) for block in self.blocks]

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, channels, size, size)`` to ``(B, D)``."""
        features: Tensor = self.blocks(x).flatten(1)
        return features


def _block(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, hidden, kernel_size=3, padding=1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )
