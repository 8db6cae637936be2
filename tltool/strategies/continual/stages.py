"""What strategies that learn one context after the other share."""

from typing import Any

from tltool.backbones.base import Net
from tltool.losses.classification import accuracy
from tltool.losses.continual import masked_cross_entropy, possible_only
from tltool.strategies.base import Batch, Losses, Stage


def stage_per_context(contexts: int, **options: Any) -> list[Stage]:
    """Returns a stage for each context, of equal length; one optimiser goes through all of them.

    Args:
        contexts: How many there are.
        **options: Further ones of the feed.
    """
    return [
        Stage(f"context {i + 1}", options={"context": i, **options}, keep_optimizer=i > 0)
        for i in range(contexts)
    ]


def masked_supervised(net: Net, batch: Batch) -> Losses:
    """Returns ``CE`` over the possible classes as ``classification``, and ``accuracy`` among them.

    Batch: ``x``, ``y`` (B,), ``classes`` (B, C).
    """
    logits, y, classes = net(batch["x"]), batch["y"], batch["classes"]
    loss = masked_cross_entropy(logits, y, classes)
    right = accuracy(possible_only(logits, classes), y)
    return Losses({"classification": loss}, {"accuracy": right})
