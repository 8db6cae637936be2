"""Noisy student: a network labels the target, the next one learns it under noise, and labels it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch.nn.functional as F

from tltool.backbones.base import Net
from tltool.losses.labels import label_loss, label_metrics
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData, Strategy
from tltool.strategies.pairs import BatchNorm, forward_pair
from tltool.strategies.supervised import supervised
from tltool.strategies.teacher import Noise, Teacher, takes_views


class NoisyStudent(Strategy):
    """Rounds in which a frozen teacher labels the target and a noised student learns both domains.

    First ``CE(h(f(x_s)), y_s)``. Then, in each round, the network as it is becomes the teacher, and

        CE(h(f(v_s)), y_s) + CE(h(f(v_t)), q(x_t))

    q being the teacher's softmax of x_t, without noise and in eval mode, and v random views. The
    student also has the backbone's dropout. What the last round leaves predicts.

    Batch: ``x``, ``y`` (B,), then ``source.x``, ``source.y`` (B,), ``target.x``, and ``views`` in
    both where there are views; target labels are never seen.

    Args:
        rounds: Teachers after each other; 0 is training on the source alone. All stages get an
            equal part of the steps.
        labels: ``soft``: the teacher's softmax; ``hard``: its class.
        student: ``continued``: it goes on from the teacher; ``restarted``: from where the first
            training began.
        noise: ``views``: random views of images (``dataset.view_area``, ``view_jitter``,
            ``view_flip``: no mirrored digits), and dropout; ``dropout`` alone; ``auto``: views of
            images, dropout in texts.
        batch_norm: Of the student: ``separate``: one forward pass for each domain, normalised by
            itself; ``joint``: one over both, normalised by the mixture.

    References:
        [0] Xie et al., Self-training with noisy student improves ImageNet classification, CVPR
            2020. There students grow, are noised by RandAugment and stochastic depth too, and
            learn from examples chosen by confidence, equally many of each class.
    """

    feed: ClassVar[str] = "pair"
    controls: ClassVar[tuple[str, ...]] = ("source_only", "train_on_target")
    limit: ClassVar[Mapping[str, Any]] = {"rounds": 0}

    def __init__(
        self,
        rounds: int = 2,
        labels: Literal["soft", "hard"] = "soft",
        student: Literal["continued", "restarted"] = "continued",
        noise: Noise = "auto",
        batch_norm: BatchNorm = "separate",
    ) -> None:
        super().__init__()
        if rounds < 0:
            raise ValueError(f"rounds must not be negative, got {rounds}")
        self.rounds, self.hard, self.restarted = rounds, labels == "hard", student == "restarted"
        self.noise: Noise = noise
        self.batch_norm: BatchNorm = batch_norm
        self.views = 0

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes the teacher, and keeps where a student restarts."""
        self.views = int(takes_views(self.noise, net))
        self.teacher = Teacher(net)
        if self.restarted:
            self.start = Teacher(net)

    def stages(self) -> Sequence[Stage]:
        """Returns the training on the source, and the rounds."""
        views = {"views": self.views, "source_views": self.views}
        rounds = [Stage(f"student {i + 1}", options=views) for i in range(self.rounds)]
        return [Stage("teacher", feed="plain"), *rounds]

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Makes the network as it is the teacher, and restarts the student where that is asked."""
        if stage > 0:
            self.teacher.copy(net)
        if self.restarted and stage > 0:
            net.load_state_dict(self.start.net.state_dict())
        elif self.restarted:
            self.start.copy(net)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and, in the rounds, ``pseudo_label``."""
        if self.stage == 0:
            return supervised(net, batch)
        taught = self.teacher.label(batch["target"]["x"], noisy=False)
        noised = {
            role: {**batch[role], "x": batch[role].get("views", [batch[role]["x"]])[0]}
            for role in ("source", "target")
        }
        pair = forward_pair(net, noised, self.batch_norm)
        labels = taught.argmax(dim=1) if self.hard else F.softmax(taught, dim=1)
        return Losses(
            {
                "classification": label_loss(pair.source_logits, pair.y),
                "pseudo_label": F.cross_entropy(pair.target_logits, labels),
            },
            label_metrics(pair.source_logits, pair.y),
        )
