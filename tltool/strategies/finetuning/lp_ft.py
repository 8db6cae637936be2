"""Linear probing, then full fine-tuning from the head that it found."""

from collections.abc import Sequence
from typing import Any, ClassVar

from tltool.backbones.base import Net
from tltool.strategies.base import Batch, Losses, Stage, Strategy
from tltool.strategies.supervised import supervised


class LPFT(Strategy):
    """``CE(h(f(x)), y)`` over the head h alone, f frozen and in eval mode, then over both.

    A head that starts from random pulls good features apart before it is any good; one that is
    fitted first does not. Each stage has an optimiser and a schedule of its own.

    Batch: ``x`` (features ``(B, D)`` where they are cached), ``y`` (B,).

    Args:
        probe_share: Part of the steps that the probe gets, in (0, 1).

    References:
        [0] Kumar et al., Fine-tuning can distort pretrained features and underperform
            out-of-distribution, ICLR 2022.
    """

    feed: ClassVar[str] = "plain"
    regression: ClassVar[bool] = True
    controls: ClassVar[tuple[str, ...]] = ("linear_probe", "from_scratch")

    def __init__(self, probe_share: float = 0.5) -> None:
        super().__init__()
        if not 0 < probe_share < 1:
            raise ValueError(f"probe_share must be above 0 and below 1, got {probe_share}")
        self.probe_share = probe_share

    def stages(self) -> Sequence[Stage]:
        """Returns the probe, on cached features, and the fine-tuning."""
        probe = Stage("probe", share=self.probe_share, cached_features=True)
        return [probe, Stage("finetune", share=1.0 - self.probe_share)]

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the head, and after the probe all of the network."""
        return [{"params": list((net.head if stage == 0 else net).parameters())}]

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the term ``classification``."""
        return supervised(net, batch)
