"""The loss of learning from labels, shared by the strategies whose loss is nothing else."""

from tltool.backbones.base import Net
from tltool.losses.labels import label_loss, label_metrics
from tltool.strategies.base import Batch, Losses


def supervised(net: Net, batch: Batch) -> Losses:
    """Returns ``CE(h(f(x)), y)`` as the term ``classification``, and the metric ``accuracy``.

    Where labels are numbers: the mean squared error, and the metric ``error``.
    """
    outputs, y = net(batch["x"]), batch["y"]
    return Losses({"classification": label_loss(outputs, y)}, label_metrics(outputs, y))
