"""The loss of learning from labels, shared by the strategies whose loss is nothing else."""

import torch.nn.functional as F

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.strategies.base import Batch, Losses


def supervised(net: Net, batch: Batch) -> Losses:
    """Returns ``CE(h(f(x)), y)`` as the term ``classification``, and the metric ``accuracy``."""
    logits, y = net(batch["x"]), batch["y"]
    return Losses({"classification": F.cross_entropy(logits, y)}, {"accuracy": accuracy(logits, y)})
