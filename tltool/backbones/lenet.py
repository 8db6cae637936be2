"""The digit network of the domain-adaptation literature."""

from typing import cast

from torch import Tensor, nn

from tltool.backbones.base import Backbone, Input
from tltool.data.preprocessing import Preprocessing


class LeNet(Backbone):
    """LeNet 20-50-500 with a bottleneck, for 28-pixel digits.

    conv 5x5 (20) - pool - conv 5x5 (50) - dropout - pool - linear (500) - linear (bottleneck).
    Inputs ``(B, channels, 28, 28)``, features ``(B, bottleneck)``. Always starts from random.

    The layers are those of the reference [1]; its classifier adds the bottleneck with
    BatchNorm and ReLU, which here is a part of the backbone.

    Args:
        channels: 3 (colour) or 1 (grey).
        bottleneck: Length of the feature vector.
        dropout: Probability of both dropout layers.

    References:
        [0] LeCun et al., Gradient-based learning applied to document recognition, 1998.
        [1] Transfer-Learning-Library, `LeNet` and `ImageClassifier`.
    """

    def __init__(self, channels: int = 3, bottleneck: int = 256, dropout: float = 0.5) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 20, kernel_size=5),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(20, 50, kernel_size=5),
            nn.Dropout2d(dropout),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(50 * 4 * 4, 500),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(500, bottleneck),
            nn.BatchNorm1d(bottleneck),
            nn.ReLU(inplace=True),
        )
        self.num_features = bottleneck
        self.channels_last_on_cpu = True  # measured: three quarters of the time, forward and back
        half = (0.5,) * channels
        self.preprocessing = Preprocessing(size=28, channels=channels, mean=half, std=half)
        self.provenance = {"library": "tltool", "model": "lenet", "weights": "random"}

    def reset(self) -> None:
        """Draws all weights again, as the layers of PyTorch do at first."""
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm1d):
                layer.reset_parameters()
        self.record_random()

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Returns the two convolutions and the two linear layers, the last with its BatchNorm."""
        groups: list[list[nn.Parameter]] = []
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                groups.append([])
            groups[-1].extend(layer.parameters())
        return groups

    def forward_maps(self, x: Input) -> tuple[Tensor, list[Tensor]]:
        """Returns the features, and what the ReLUs before them give."""
        features, maps = cast(Tensor, x), []
        for layer in self.layers:
            features = layer(features)
            if isinstance(layer, nn.ReLU):
                maps.append(features)
        return features, maps[:-1]

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, channels, 28, 28)`` to ``(B, bottleneck)``."""
        features: Tensor = self.layers(x)
        return features
