"""The fully connected network of the continual-learning literature."""

from torch import Tensor, nn

from tltool.backbones.base import Backbone
from tltool.data.preprocessing import Preprocessing


class MLP(Backbone):
    """Linear layers with ReLU on the pixels of a 28-pixel image, in [0, 1], one after the other.

    Inputs ``(B, channels, 28, 28)``, features ``(B, width)``. Always starts from random.

    Args:
        width: Units of each layer.
        depth: Layers, at least 1.
        channels: 1 (grey) or 3 (colour).

    References:
        [0] van de Ven, Tuytelaars & Tolias, Three types of incremental learning, Nature Machine
            Intelligence 2022: two layers of 400 units for Split MNIST.
    """

    def __init__(self, width: int = 400, depth: int = 2, channels: int = 1) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        sizes = [channels * 28 * 28, *[width] * depth]
        self.layers = nn.Sequential(nn.Flatten())
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            self.layers.extend([nn.Linear(inputs, outputs), nn.ReLU(inplace=True)])
        self.num_features = width
        self.preprocessing = Preprocessing(
            size=28, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels
        )
        self.provenance = {"library": "tltool", "model": "mlp", "weights": "random"}

    def reset(self) -> None:
        """Draws all weights again, as the layers of PyTorch do at first."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
        self.record_random()

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Returns the weights of each layer."""
        return [list(layer.parameters()) for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, channels, 28, 28)`` to ``(B, width)``."""
        features: Tensor = self.layers(x)
        return features
