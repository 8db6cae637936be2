"""Adversarial discriminative domain adaptation."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from tltool.backbones.base import Net
from tltool.losses.adversarial import domain_loss
from tltool.strategies.base import (
    Batch,
    DataSpec,
    Losses,
    Minimise,
    Stage,
    StageData,
    Strategy,
)
from tltool.strategies.discriminator import Discriminator, constant_accuracy
from tltool.strategies.freeze import frozen
from tltool.strategies.supervised import supervised


class ADDA(Strategy):
    """An encoder of the target's own, whose features look like those of the source's encoder.

    Stage 1 trains backbone and head on the source, ``CE(h(f(x_s)), y_s)``. Stage 2 keeps a frozen
    copy f_s of that backbone, and lets the backbone f become the target's encoder, under the frozen
    head. Two steps a batch, with the discriminator D:

        D minimises (BCE(D(f_s(x_s)), 1) + BCE(D(f(x_t)), 0)) / 2
        f minimises BCE(D(f(x_t)), 1)

    the second with inverted labels rather than a reversed gradient, which vanishes when D wins.

    What the network predicts in the end, also of the source, is predicted from the target's
    encoder: figures on the source tell what that encoder makes of it, and not how good the
    classifier of stage 1 was.

    Batch: ``x``, ``y`` (B,) of the source in stage 1, ``source.x`` and ``target.x`` in stage 2.

    Args:
        source_share: Part of the steps that stage 1 gets, in (0, 1).
        hidden: Width of the discriminator's two hidden layers.
        encoder_lr: Rate of the target's encoder, times the optimiser's; at the discriminator's
            own rate it can lose the classes before it finds the source: with 0.3 and
            ``optimizer.lr=0.06`` it collapsed on digits, with 0.1 it did not.

    References:
        [0] Tzeng et al., Adversarial discriminative domain adaptation, CVPR 2017. There the encoder
            and the discriminator have rates of their own, and the latter no BatchNorm.
        [1] Transfer-Learning-Library, `adda.py`, which reverses the gradient.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    manual: ClassVar[bool] = True

    def __init__(
        self, source_share: float = 0.5, hidden: int = 1024, encoder_lr: float = 0.1
    ) -> None:
        super().__init__()
        if not 0 < source_share < 1:
            raise ValueError(f"source_share must be above 0 and below 1, got {source_share}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if not encoder_lr > 0:
            raise ValueError(f"encoder_lr must be above 0, got {encoder_lr}")
        self.source_share, self.hidden, self.encoder_lr = source_share, hidden, encoder_lr

    def build(self, net: Net, spec: DataSpec) -> None:
        """Creates the discriminator and room for the source's encoder."""
        self.source_encoder = copy.deepcopy(net.backbone).requires_grad_(False)
        self.discriminator = Discriminator(net.backbone.num_features, self.hidden)

    def stages(self) -> Sequence[Stage]:
        """Returns the training on the source and that of the target's encoder."""
        source = Stage("source", share=self.source_share, feed="plain")
        return [source, Stage("adversarial", share=1.0 - self.source_share)]

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Keeps the source's encoder as stage 1 left it."""
        if stage == 1:
            self.source_encoder.load_state_dict(net.backbone.state_dict())

    def param_groups(self, net: Net, stage: int) -> list[dict[str, Any]]:
        """Returns the network; in stage 2 its backbone and the discriminator."""
        if stage == 0:
            return [{"params": list(net.parameters())}]
        return [
            {"params": list(net.backbone.parameters()), "lr_scale": self.encoder_lr},
            {"params": list(self.discriminator.parameters())},
        ]

    def step(self, net: Net, batch: Batch, progress: float, minimise: Minimise) -> Losses:
        """Makes the one step of stage 1, or the two of stage 2."""
        if self.stage == 0:
            losses = supervised(net, batch)
            minimise(losses.total)
            return losses
        self._sample_source_encoder()
        with torch.no_grad():
            source = self.source_encoder(batch["source"]["x"])
        target = net.features(batch["target"]["x"])
        domain, accuracy = domain_loss(*self.discriminator(source, target.detach()))
        minimise(domain)
        with frozen(self.discriminator):
            # With the source, so that its BatchNorm sees what it saw in the step before.
            _, seen = self.discriminator(source, target)
        inverted = F.softplus(-seen).mean()
        minimise(inverted)
        return Losses({"domain": domain, "inverted": inverted}, {"domain_accuracy": accuracy})

    def _sample_source_encoder(self) -> None:
        """Lets the frozen encoder drop out what the target's does; its BatchNorm stays as it is.

        Otherwise the discriminator tells the domains by the noise, which no encoder can take away.
        """
        for module in self.source_encoder.modules():
            module.training = not isinstance(module, _BatchNorm)

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when the discriminator's accuracy sits at a constant."""
        return constant_accuracy(history)
