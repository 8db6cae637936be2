"""(b) One step of DANN against a hand-written loop that shares no code with tltool."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Result, Settings, alternate, median_ratio, spread, step_ms
from benchmarks.training import FORMATS, interleave, parts_of

NAME = "dann"
MOST = 1.10
BATCH = 128  # of each domain
# CPU-seconds an iteration of the same size took elsewhere, on one thread of such a machine.
SEEN = {"TLlib": 0.209, "pytorch-adapt": 0.145}


def run(settings: Settings) -> list[Result]:
    """Measures DANN from MNIST to UCI digits, grey, 28 px."""
    epochs = 2 if settings.quick else 6
    settings.say(f"{NAME}: {epochs} epochs of both")
    parts = parts_of(
        [
            *("strategy=dann", "dataset=digits", "backbone.channels=1", "hardware=cpu"),
            *("checkpoint_every=3600", f"dataset.batch_size={BATCH}", f"epochs={epochs}"),
        ]
    )
    table = parts.table
    source, target = (table.rows[domain, "train"] for domain in ("source", "target"))
    this = parts.model.hardware.channels_last(parts.model.backbone)
    loops = {
        channels_last: dann_loop(
            table.x[torch.from_numpy(source)],
            table.y[torch.from_numpy(source)],
            table.x[torch.from_numpy(target)],
            channels_last,
        )
        for channels_last in (True, False)
    }
    rounds = interleave(parts, settings.folder / NAME, loops[this])
    formats = alternate(
        lambda: next(loops[not this]), lambda: next(loops[this]), 2 if settings.quick else 10
    )
    ratio = median_ratio(rounds, "cpu")
    ours, theirs = (step_ms(rounds, side, "cpu") / 1000 for side in ("A", "B"))
    seen = ", ".join(f"{name} {seconds}" for name, seconds in SEEN.items())
    return [
        Result(
            name=f"{NAME}: lenet 28 px grey",
            a=f"tltool train strategy=dann, {BATCH}+{BATCH} images, {FORMATS[this]}",
            b=f"a hand-written DANN loop: same layers, data and SGD (fused), {FORMATS[this]}",
            judged="CPU time of a step, A / B",
            value=ratio,
            target=f"<= {MOST:.2f}",
            passed=ratio <= MOST,
            spread=spread(rounds, "cpu"),
            notes=[
                f"CPU-seconds an iteration: tltool {ours:.3f}, hand-written {theirs:.3f}; seen on "
                f"such a machine: {seen}",
                f"wall ratio {median_ratio(rounds, 'wall'):.3f}; B in {FORMATS[not this]} takes "
                f"{median_ratio(formats, 'cpu'):.2f} times as long as in {FORMATS[this]}, which "
                "is tltool's default here",
            ],
            rounds=rounds,
            figures={
                "cpu_s_per_iteration": {"tltool": ours, "hand-written": theirs, **SEEN},
                "rounds_of_b_in_the_other_format_and_this": formats,
            },
        )
    ]


class Reverse(torch.autograd.Function):
    """The gradient reversal layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * gradient[0], None


def feature_extractor() -> nn.Sequential:
    """LeNet 20-50-500 with a bottleneck of 256."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
        *(nn.Conv2d(20, 50, 5), nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(500, 256), nn.BatchNorm1d(256), nn.ReLU(inplace=True)),
    )


def discriminator() -> nn.Sequential:
    """256-1024-1024-1."""
    return nn.Sequential(
        *(nn.Linear(256, 1024), nn.BatchNorm1d(1024), nn.ReLU(inplace=True)),
        *(nn.Linear(1024, 1024), nn.BatchNorm1d(1024), nn.ReLU(inplace=True)),
        nn.Linear(1024, 1),
    )


def dann_loop(
    source: Tensor, labels: Tensor, target: Tensor, channels_last: bool
) -> Iterator[None]:
    """What one writes without a framework; each ``next`` makes one step.

    Args:
        source: Images in memory, uint8 (N, 1, 28, 28).
        labels: Of the source images, (N,).
        target: Images in memory, uint8 (M, 1, 28, 28).
        channels_last: The memory format.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    features = feature_extractor().to(memory_format=layout)
    classifier, domain = nn.Linear(256, 10), discriminator()
    parts = nn.ModuleList([features, classifier, domain])
    optimizer = torch.optim.SGD(
        parts.parameters(), lr=0.01, momentum=0.9, weight_decay=0.001, fused=True
    )
    is_source = torch.cat([torch.ones(BATCH, 1), torch.zeros(BATCH, 1)])
    draws = zip(batches(len(source)), batches(len(target)), strict=True)
    for step, (s, t) in enumerate(draws, start=1):
        x = torch.cat([source[s], target[t]]).float().div_(127.5).sub_(1)
        f = features(x.contiguous(memory_format=layout))
        coefficient = 2 / (1 + math.exp(-10 * min(step / 1000, 1))) - 1
        loss = F.cross_entropy(classifier(f[:BATCH]), labels[s])
        loss = loss + F.binary_cross_entropy_with_logits(
            domain(Reverse.apply(f, coefficient)), is_source
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            loss.item()
        yield


def batches(length: int) -> Iterator[Tensor]:
    """Yields the rows of full batches, shuffled anew in every pass."""
    while True:
        yield from torch.randperm(length)[: length // BATCH * BATCH].split(BATCH)
