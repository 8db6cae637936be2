"""What every backbone offers, and the network that strategies train."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from tltool.data.preprocessing import Conversion

Input = Tensor | dict[str, Tensor]


class Classifier(NamedTuple):
    """A linear classifier on features: ``f @ weight.T + bias``.

    Args:
        weight: ``(C, D)``.
        bias: ``(C,)``.
    """

    weight: Tensor
    bias: Tensor


class Backbone(nn.Module):
    """Maps a prepared input to one feature vector an example, ``x -> (B, num_features)``.

    Attributes:
        modality: The kind of input: ``image``, or ``text`` as a dict of tensors.
        num_features: Length D of a feature vector.
        preprocessing: What the inputs must go through; it belongs to the weights.
        provenance: Where the weights come from (library, model, weights, sha256, licence).
        variant: What decides the features beside weights and preprocessing, such as a pooling.
        channels_last_on_cpu: Whether that memory layout is the faster one on a CPU.
        classifier: Of the classes that the weights were trained on, where they came with one. It
            is no part of the module: not trained, not saved, not counted.
    """

    modality: ClassVar[str] = "image"
    num_features: int
    preprocessing: Conversion
    provenance: dict[str, Any]
    variant: str = ""
    channels_last_on_cpu: bool = False
    classifier: Classifier | None = None

    def __init__(self) -> None:
        super().__init__()
        self.provenance = {}

    @property
    def pretrained(self) -> bool:
        """Whether its weights were trained before."""
        return self.provenance.get("weights") != "random"

    def reset(self) -> None:
        """Throws the weights away: parameters and buffers start from random, as drawn now."""
        raise NotImplementedError(f"{type(self).__name__} defines no reset")

    def record_random(self) -> None:
        """Leaves of where the weights came from what `reset` leaves: the model, and random."""
        kept = {key: self.provenance[key] for key in ("library", "model")}
        self.provenance = {**kept, "weights": "random"}

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Returns all parameters, each in one group of layers; groups run from input to output."""
        raise NotImplementedError(f"{type(self).__name__} defines no layer groups")

    def forward_maps(self, x: Input) -> tuple[Tensor, list[Tensor]]:
        """Returns the features ``(B, D)`` and the maps that they come from, from input to output.

        A map is ``(B, C, *positions)``: C channels at some positions, or at none.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no maps")


class Net(nn.Module):
    """A backbone and a head.

    ``features(x) -> (B, D)``, ``head(f) -> (B, C)``, ``forward(x) = head(features(x))``.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head: nn.Module = nn.Linear(backbone.num_features, num_classes)
        self._on_features = False

    def features(self, x: Input) -> Tensor:
        """Returns features ``(B, D)``; inside `on_features`, ``x`` already holds them."""
        return cast(Tensor, x) if self._on_features else self.backbone(x)

    def forward(self, x: Input) -> Tensor:
        """Returns logits ``(B, C)``."""
        logits: Tensor = self.head(self.features(x))
        return logits

    @contextmanager
    def on_features(self) -> Iterator[None]:
        """Within it, inputs are cached features and the backbone is left out."""
        before, self._on_features = self._on_features, True
        try:
            yield
        finally:
            self._on_features = before


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Returns the sha256 of names, types, shapes and bytes of all tensors in ``state``."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
