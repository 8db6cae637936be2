"""The statistics of BatchNorm, estimated anew."""

from collections.abc import Iterable

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tltool.backbones.base import Net
from tltool.strategies.base import Batch


def batch_norms(net: Net) -> list[_BatchNorm]:
    """Returns the BatchNorm layers that keep running statistics."""
    return [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


@torch.no_grad()
def estimate_statistics(net: Net, batches: Iterable[Batch]) -> None:
    """Replaces the running means and variances of BatchNorm by those over some examples.

    One pass: mean and unbiased variance of each batch, averaged with its size as weight, so that
    the order of the batches changes nothing. All else is in eval mode. Later layers see what
    earlier ones normalise by their batch, so a batch must hold a mixture of the data.

    Args:
        net: The network.
        batches: ``{x, index}``; one of a single example, which has no variance, is left out.
    """
    layers, seen = batch_norms(net), 0
    before = [layer.momentum for layer in layers]
    net.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    for batch in batches:
        size = len(batch["index"])
        if size < 2:
            continue
        seen += size
        for layer in layers:
            layer.momentum = size / seen
        net.features(batch["x"])
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
    net.eval()
