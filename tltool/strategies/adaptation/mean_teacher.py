"""Self-ensembling: a student agrees with the average of its own past."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from tltool.backbones.base import Input, Net
from tltool.losses.self_training import consistency
from tltool.strategies.base import Batch, DataSpec, Losses, Stage, StageData
from tltool.strategies.pairs import BatchNorm, Pair, PairStrategy
from tltool.strategies.self_training import warn_nothing_kept
from tltool.strategies.teacher import Noise, Teacher, takes_views


class MeanTeacher(PairStrategy):
    """A teacher that averages the student's weights says what the student learns of the target.

        CE(h(f(x_s)), y_s) + trade_off * 1/B sum_i [max q_i >= threshold] 1/C |p_i - q_i|^2

    p is the student's softmax on a random view of x_t, q the teacher's on x_t, with dropout too.
    After each step, the teacher's weights become ``decay * own + (1 - decay) * student's``. It
    normalises by the target's batches alone, and its running statistics are of the target alone.

    What is predicted is the teacher's; on the source, its statistics are those of the wrong domain.

    Batch: ``source.x``, ``source.y`` (B,), ``target.x``, ``target.views`` [v] where there are
    views; target labels are never seen.

    Logged: ``kept``, the part of the target's batch that the teacher is confident of, in [0, 1].

    Args:
        decay: Of the teacher, in [0, 1).
        threshold: Least probability of the teacher's class, in [0, 1].
        trade_off: Weight of the consistency; 0 trains as on the source alone.
        noise: What student and teacher see differently: ``views``: random views of images
            (``dataset.view_area``, ``view_jitter``, ``view_flip``: no mirrored digits), and
            dropout; ``dropout`` alone; ``auto``: views of images, dropout in texts.
        batch_norm: Of the student: ``separate``: each domain is normalised by itself; ``joint``:
            one forward pass over both.

    References:
        [0] French, Mackiewicz & Fisher, Self-ensembling for visual domain adaptation, ICLR 2018.
        [1] Britefury/self-ensemble-visual-domain-adapt. Both networks see mild views there, and a
            small term balances the classes; here the teacher sees what ``dataset.augment`` makes.
    """

    limit: ClassVar[Mapping[str, Any]] = {"trade_off": 0.0, "batch_norm": "separate"}

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 0.968,
        trade_off: float = 3.0,
        noise: Noise = "auto",
        batch_norm: BatchNorm = "separate",
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}")
        if trade_off < 0:
            raise ValueError(f"trade_off must not be negative, got {trade_off}")
        self.decay, self.threshold, self.trade_off = decay, threshold, trade_off
        self.noise: Noise = noise
        self.batch_norm: BatchNorm = batch_norm
        self.views = 0

    def build(self, net: Net, spec: DataSpec) -> None:
        """Makes the teacher."""
        self.views = int(takes_views(self.noise, net) and self.trade_off > 0)
        self.teacher = Teacher(net)

    def stages(self) -> Sequence[Stage]:
        """Returns one stage, with a view of the target's images where there is noise in them."""
        return [Stage(options={"views": self.views})]

    def begin_stage(self, net: Net, stage: int, data: StageData) -> None:
        """Lets the teacher start where the student does."""
        self.teacher.copy(net)

    def loss(self, net: Net, batch: Batch, progress: float) -> Losses:
        """Returns the terms ``classification`` and ``consistency``; the student sees the view."""
        target = batch["target"]
        if "views" in target:
            swapped = {**target, "x": target["views"][0], "views": [target["x"]]}
            batch = {**batch, "target": swapped}
        return super().loss(net, batch, progress)

    def transfer(self, net: Net, pair: Pair, progress: float) -> Losses:
        """Returns the term ``consistency``, of what the student saw and the other view."""
        target = pair.batch["target"]
        taught = self.teacher.label(target.get("views", [target["x"]])[0], noisy=True)
        loss, kept = consistency(pair.target_logits, taught, self.threshold)
        return Losses({"consistency": self.trade_off * loss}, {"kept": kept})

    def after_step(self, net: Net) -> None:
        """Moves the teacher towards the student."""
        self.teacher.follow(net, self.decay)

    def features(self, net: Net, x: Input) -> Tensor:
        """Returns the teacher's features ``(B, D)``."""
        return self.teacher.net.features(x)

    def logits(self, net: Net, features: Tensor) -> Tensor:
        """Returns the teacher's logits ``(B, C)``."""
        logits: Tensor = self.teacher.net.head(features)
        return logits

    def diagnose(self, history: Sequence[Mapping[str, float]]) -> list[str]:
        """Warns when the teacher is confident of nothing."""
        return warn_nothing_kept(history)
