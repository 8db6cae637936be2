"""(a) One training step against a hand-written PyTorch loop."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.images import write_photographs
from benchmarks.measure import Result, Settings, alternate, median_ratio, spread, step_ms
from benchmarks.training import FORMATS, interleave, parts_of
from tltool.data.preprocessing import Preprocessing

NAME = "step"
IMAGES_PER_CLASS = 80  # 400 images, 320 of them for training: 10 steps an epoch
RESNET = ("backbone=resnet18", "backbone.weights=random", "backbone.size=64")


@dataclass(frozen=True)
class Case:
    """One network.

    Args:
        name: Of the case.
        overrides: What one types to train it.
        batch: Images in a batch.
        most: The ratio allowed.
        rounds: Epochs that are measured.
        log_every: Steps after which tltool and the hand-written loop take turns.
    """

    name: str
    overrides: Sequence[str]
    batch: int
    most: float
    rounds: int
    log_every: int


def run(settings: Settings) -> list[Result]:
    """Measures LeNet on digits and ResNet-18 on photographs."""
    photographs = write_photographs(settings.folder / "step-images", IMAGES_PER_CLASS, 128)
    own = ("dataset=image_folder", f"dataset.source={photographs}")
    return [
        measure(Case("lenet 28 px", ("dataset=digits",), 64, 1.10, 10, 10), settings),
        measure(Case("resnet18 64 px", (*RESNET, *own), 32, 1.03, 7, 2), settings),
    ]


def measure(case: Case, settings: Settings) -> Result:
    """Measures one network."""
    epochs = 2 if settings.quick else 1 + case.rounds
    settings.say(f"{case.name}: {epochs} epochs of both")
    parts = parts_of(
        [
            *("strategy=source_only", "hardware=cpu", "checkpoint_every=3600", f"epochs={epochs}"),
            *(f"log_every={case.log_every}", f"dataset.batch_size={case.batch}"),
            *case.overrides,
        ]
    )
    preprocessing = parts.model.backbone.preprocessing
    rows = torch.from_numpy(parts.table.rows["source", "train"])
    x, y = parts.table.x[rows], parts.table.y[rows]
    this = parts.model.hardware.channels_last(parts.model.backbone)
    loops = {
        channels_last: plain_loop(
            copy.deepcopy(parts.model.net), x, y, preprocessing, case.batch, channels_last
        )
        for channels_last in (True, False)
    }
    rounds = interleave(parts, settings.folder / case.name, loops[this])
    formats = alternate(
        lambda: next(loops[not this]), lambda: next(loops[this]), 2 if settings.quick else 10
    )
    ratio = median_ratio(rounds, "cpu")
    return Result(
        name=f"{NAME}: {case.name}",
        a=f"tltool train strategy=source_only, batch {case.batch}, {FORMATS[this]}, "
        f"a row of metrics every {case.log_every} steps",
        b=f"a hand-written PyTorch loop: same net, data and SGD (fused), {FORMATS[this]}, "
        "its loss read every 10 steps",
        judged="CPU time of a step, A / B",
        value=ratio,
        target=f"<= {case.most:.2f}",
        passed=ratio <= case.most,
        spread=spread(rounds, "cpu"),
        notes=[
            f"a step: {step_ms(rounds, 'A', 'cpu'):.2f} against "
            f"{step_ms(rounds, 'B', 'cpu'):.2f} CPU ms; wall ratio "
            f"{median_ratio(rounds, 'wall'):.3f}; left out: the Trainer's start, checkpoints",
            f"B in {FORMATS[not this]} takes {median_ratio(formats, 'cpu'):.2f} times as long "
            f"as in {FORMATS[this]}, which is tltool's default here",
        ],
        rounds=rounds,
        figures={"rounds_of_b_in_the_other_format_and_this": formats},
    )


def plain_loop(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    preprocessing: Preprocessing,
    batch: int,
    channels_last: bool,
) -> Iterator[None]:
    """What one writes without a framework; each ``next`` makes one step.

    Args:
        net: It is trained.
        images: All of them in memory, uint8 (N, C, H, W).
        labels: (N,).
        preprocessing: Gives mean and standard deviation.
        batch: Images in a batch.
        channels_last: The memory format.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net.to(memory_format=layout).train()
    mean = 255 * torch.tensor(preprocessing.mean).view(-1, 1, 1)
    std = 255 * torch.tensor(preprocessing.std).view(-1, 1, 1)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.01, momentum=0.9, weight_decay=0.001, fused=True
    )
    step = 0
    while True:
        order = torch.randperm(len(labels))
        for rows in order[: len(order) // batch * batch].split(batch):
            x = images[rows].float().sub_(mean).div_(std).contiguous(memory_format=layout)
            loss = F.cross_entropy(net(x), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 10 == 0:
                loss.item()
            yield
