"""DELTA: feature maps stay near the pretrained network's, the more so where they matter."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tltool.backbones.base import Net
from tltool.data.preprocessing import Preprocessing
from tltool.losses.classification import accuracy
from tltool.losses.regularisation import behaviour_distance, channel_attention, flat, l2
from tltool.strategies.base import Batch, DataSpec, Losses, StageData, Strategy

PROBE_DECAY = 0.001  # of the probe's weights, so that separable features have a best probe
PROBE_ITERATIONS = 100  # of L-BFGS, on all features at once


class DELTA(Strategy):
    """All layers learn, the backbone's behaviour tied to that of a frozen copy of it.

        CE(h(f(x)), y) + trade_off * sum_j R_j(x) + head_decay/2 * |w_h|^2
        R_j = 1/(2 B) sum_i sum_c a_jc |m_jic - r_jic|^2 / P_j

    over the maps m_j of the network and r_j of the copy, channels c of P_j positions each: of every
    stage of a convolutional network, of every block of a ViT. The copy is in eval mode.
    Each penalty is in place of the optimiser's weight decay of its part; where its weight is 0
    that decay stays.

    The attention a_j weighs channels by what they are worth to the new task. A linear probe is
    fitted on the frozen features; a channel's importance I_jc is how much the probe's loss grows
    when the channel is set to zero, to first order ``-m_jc * dL/dm_jc`` over all training
    examples, and ``a_j = softmax((I_j - mean) / (5 std))``. Where the features are not computed
    from the map that timm hands out (a ViT's blocks), channels weigh equally, with a warning.

    Differences from [1]: importance takes one backward pass where [1] has a forward pass for each
    channel; maps are the outputs of whole stages, where [1] takes their last convolution; R_j is
    a mean over the batch, as in the paper, where [1] has a sum, and is not multiplied by the
    number of channels, so that one weight suits narrow layers and wide ones.

    Batch: ``x``, ``y`` (B,).

    Args:
        trade_off: Weight of the behaviour's distance, at least 0.
        head_decay: Weight of the head's norm, at least 0; [1] has 0.01.
        attention: Weigh channels by importance; ``false`` weighs all equally.

    References:
        [0] Li et al., DELTA: deep learning transfer using feature map with attention for
            convolutional networks, ICLR 2019.
        [1] The authors' DELTA; Transfer-Learning-Library, `delta.py`, is the same.
    """

    feed: ClassVar[str] = "plain"
    modalities: ClassVar[tuple[str, ...]] = ("image",)
    controls: ClassVar[tuple[str, ...]] = ("finetune", "linear_probe", "from_scratch")
    limit: ClassVar[Mapping[str, Any]] = {
        "trade_off": 0.0,
        "head_decay": 0.0,
        "attention": False,
    }

    def __init__(
        self, trade_off: float = 0.01, head_decay: float = 0.001, attention: bool = True
    ) -> None:
        super().__init__()
        if trade_off < 0 or head_decay < 0:
            raise ValueError(
                f"trade_off and head_decay must not be negative, got {trade_off} and {head_decay}"
            )
        self.trade_off, self.head_decay, self.attention = trade_off, head_decay, attention

    def build(self, net: Net, spec: DataSpec) -> None:
        """Copies the backbone, and looks at how many channels its maps have."""
        self.classes = spec.num_classes
        self.reference = copy.deepcopy(net.backbone).requires_grad_(False).eval()
        to = net.backbone.preprocessing
        assert isinstance(to, Preprocessing)  # by `modalities`
        with torch.no_grad():
            _, maps = self.reference.forward_maps(torch.zeros(1, to.channels, to.size, to.size))
        self.maps = len(maps)
        for number, one in enumerate(maps):
            channels = one.shape[1]
            self.register_buffer(f"attention_{number}", torch.full((channels,), 1 / channels))

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Takes the copy, in a pipeline of what the step before left, and measures attention."""
        self.reference.load_state_dict(net.backbone.state_dict())
        if not self.attention:
            return
        probe = self._probe(data)
        importance = [torch.zeros_like(self._attention(number)) for number in range(self.maps)]
        for batch in data.examples():
            # The copy is frozen; its maps have gradients because the input has one.
            features, maps = self.reference.forward_maps(batch["x"].clone().requires_grad_())
            loss = F.cross_entropy(probe(features), batch["y"], reduction="sum")
            gradients = torch.autograd.grad(loss, maps, allow_unused=True)
            for total, one, gradient in zip(importance, maps, gradients, strict=True):
                if gradient is None:
                    continue
                change = -(one * gradient).detach()
                total += change.reshape(*change.shape[:2], -1).sum(dim=(0, 2))
        for number, total in enumerate(importance):
            self._attention(number).copy_(channel_attention(total))

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns backbone and head, without the optimiser's decay where a penalty takes over."""
        parts = ((net.backbone, self.trade_off), (net.head, self.head_decay))
        return [
            {"params": list(part.parameters()), **({"weight_decay": 0.0} if weight > 0 else {})}
            for part, weight in parts
        ]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification``, ``behaviour`` and ``head``."""
        x, y = batch["x"], batch["y"]
        features, maps = net.backbone.forward_maps(x)
        with torch.no_grad():
            _, references = self.reference.forward_maps(x)
        logits = net.head(features)
        behaviour = [
            behaviour_distance(one, reference, self._attention(number))
            for number, (one, reference) in enumerate(zip(maps, references, strict=True))
        ]
        terms = {
            "classification": F.cross_entropy(logits, y),
            "behaviour": self.trade_off * torch.stack(behaviour).sum(),
            "head": self.head_decay * l2(flat(net.head.parameters())),
        }
        return Losses(terms, {"accuracy": accuracy(logits, y)})

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when channels weigh equally though they should not."""
        equal = sum(bool((a == a[0]).all()) for a in map(self._attention, range(self.maps)))
        if not self.attention or equal == 0:
            return []
        return [
            f"{equal} of {self.maps} feature maps have no attention: their channels weigh equally"
        ]

    def _attention(self, number: int) -> Tensor:
        return self.get_buffer(f"attention_{number}")

    def _probe(self, data: StageData) -> nn.Linear:
        """Returns a linear classifier fitted on the copy's features of all examples."""
        seen, labels = [], []
        with torch.no_grad():
            for batch in data.examples():
                seen.append(self.reference(batch["x"]).float())
                labels.append(batch["y"])
        features, y = torch.cat(seen), torch.cat(labels)
        probe = nn.Linear(features.shape[1], self.classes, device=features.device)
        nn.init.zeros_(probe.weight)  # its best weights are the same from any start
        nn.init.zeros_(probe.bias)
        optimizer = torch.optim.LBFGS(
            probe.parameters(), max_iter=PROBE_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(probe(features), y) + PROBE_DECAY * l2(flat([probe.weight]))
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        return probe.requires_grad_(False)
