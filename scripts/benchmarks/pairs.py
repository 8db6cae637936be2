"""(f) A step of each pair strategy against a hand-written loop, and on resnet18 source_only.

The hand-written losses share no code with tltool: they are what one writes with the paper at hand.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.dann import BATCH, Reverse, batches, discriminator, feature_extractor
from benchmarks.images import write_photographs
from benchmarks.measure import Result, Settings, median_ratio, spread, step_ms
from benchmarks.step import IMAGES_PER_CLASS, RESNET, plain_loop
from benchmarks.training import FORMATS, interleave, parts_of

NAME = "pairs"
MOST = 1.15
MOST_RESNET = 1.5
JOINT = {"pseudo_label": ("strategy.batch_norm=joint",)}  # as the loop does it
HALF = 16  # images of each domain; source_only has as many in all


@dataclass
class Step:
    """What a hand-written loss may look at.

    Args:
        fs: Features of the source (B, 256).
        ft: Features of the target.
        gs: Logits of the source (B, 10).
        gt: Logits of the target.
        y: Labels.
        c: Coefficient of the gradient reversal.
        xt: Images of the target.
        encode: The network up to the features.
    """

    fs: Tensor
    ft: Tensor
    gs: Tensor
    gt: Tensor
    y: Tensor
    c: float
    xt: Tensor
    encode: nn.Module


Extra = Callable[[Step], Tensor]


def gauss(x: Tensor) -> Tensor:
    d = torch.cdist(x, x).square()
    mean = d.detach().mean()
    return sum(torch.exp(-d / (2.0**k * mean)) for k in range(-3, 2))  # type: ignore[return-value]


def of_kernel(k: Tensor) -> Tensor:
    n = len(k) // 2
    same = (k[:n, :n].sum() + k[n:, n:].sum() - k.diagonal().sum()) / (n * (n - 1))
    return same - 2 * k[:n, n:].mean()


def mmd(s: Step) -> Tensor:
    return of_kernel(gauss(torch.cat([s.fs, s.ft])))


def jan(s: Step) -> Tensor:
    p = torch.cat([s.gs, s.gt]).softmax(1)
    return of_kernel(gauss(torch.cat([s.fs, s.ft])) * gauss(p))


def coral(s: Step) -> Tensor:
    return (torch.cov(s.fs.T) - torch.cov(s.ft.T)).square().sum() / (4 * 256**2)


def cmd(s: Step) -> Tensor:
    a, b = s.fs.sigmoid(), s.ft.sigmoid()
    ma, mb = a.mean(0), b.mean(0)
    loss = (ma - mb).norm()
    for k in range(2, 6):
        loss = loss + ((a - ma).pow(k).mean(0) - (b - mb).pow(k).mean(0)).norm()
    return loss


def entropy(s: Step) -> Tensor:
    return -(s.gt.softmax(1) * s.gt.log_softmax(1)).sum(1).mean()


def mcc(s: Step) -> Tensor:
    p = (s.gt / 2.5).softmax(1)
    w = 1 + torch.exp((p * p.log()).sum(1))
    w = (len(w) * w / w.sum()).detach()
    cov = (p * w[:, None]).T @ p
    cov = cov / cov.sum(1, keepdim=True)
    return (cov.sum() - cov.trace()) / 10


def pseudo_label(s: Step) -> Tensor:
    sure, label = s.gt.detach().softmax(1).max(1)
    return (F.cross_entropy(s.gt, label, reduction="none") * (sure > 0.9)).mean()


def deepjdot(s: Step) -> Tensor:
    import ot

    label = -s.gt.log_softmax(1).T[s.y]
    cost = 0.001 * torch.cdist(s.fs, s.ft).square() + 0.0001 * label
    plan = ot.emd([], [], cost.detach().double().numpy())
    return (torch.from_numpy(plan).float() * cost).sum()


def mdd() -> tuple[Extra, nn.Module]:
    other = nn.Sequential(nn.Linear(256, 1024), nn.ReLU(), nn.Dropout(), nn.Linear(1024, 10))

    def loss(s: Step) -> Tensor:
        on_source, on_target = (other(Reverse.apply(f, 0.1 * s.c)) for f in (s.fs, s.ft))
        agree = 4 * F.cross_entropy(on_source, s.gs.argmax(1))
        p = on_target.softmax(1).gather(1, s.gt.argmax(1, keepdim=True))
        return agree - torch.log(1 - p + 1e-6).mean()

    return loss, other


def reconstruction() -> tuple[Extra, nn.Module]:
    def block(side: int) -> list[nn.Module]:
        conv = nn.Conv2d(32, 32, 3, padding=1)
        return [nn.Upsample(size=side), conv, nn.BatchNorm2d(32), nn.ReLU()]

    decoder = nn.Sequential(
        *(nn.Linear(256, 32 * 49), nn.Unflatten(1, (32, 7, 7)), nn.BatchNorm2d(32), nn.ReLU()),
        *(*block(14), *block(28), nn.Conv2d(32, 1, 3, padding=1)),
    )

    def loss(s: Step) -> Tensor:
        kept = torch.rand(len(s.xt), 1, 28, 28) >= 0.4
        return F.mse_loss(decoder(s.encode(s.xt * kept)), s.xt)

    return loss, decoder


def adversarial(inputs: Callable[[Step], Tensor], width: int) -> tuple[Extra, nn.Module]:
    domain = discriminator()
    domain[0] = nn.Linear(width, 1024)
    is_source = torch.cat([torch.ones(BATCH, 1), torch.zeros(BATCH, 1)])

    def loss(s: Step) -> Tensor:
        logits = domain(Reverse.apply(inputs(s), s.c))
        return F.binary_cross_entropy_with_logits(logits, is_source)

    return loss, domain


def outer(s: Step) -> Tensor:
    f, p = torch.cat([s.fs, s.ft]), torch.cat([s.gs, s.gt]).softmax(1).detach()
    return torch.einsum("bc,bd->bcd", p, f).flatten(1)


def hand_written(name: str) -> tuple[Extra, nn.Module]:
    """Returns a loss, and what it trains beside the network."""
    if name == "cdan":
        return adversarial(outer, 2560)
    if name in WITH_WEIGHTS:
        made: tuple[Extra, nn.Module] = globals()[name]()
        return made
    return globals()[name], nn.Identity()


WITH_WEIGHTS = ("mdd", "reconstruction")
ALONE = ("mmd", "jan", "coral", "cmd", "deepjdot", "entropy", "mcc", "pseudo_label")
NAMES = ("cdan", *WITH_WEIGHTS, *ALONE)


def run(settings: Settings) -> list[Result]:
    """Measures each from MNIST to UCI digits, then three of them on photographs."""
    return [
        *(lenet(name, settings) for name in (NAMES[:1] if settings.quick else NAMES)),
        *resnet(settings),
    ]


def lenet(name: str, settings: Settings) -> Result:
    """Measures a strategy on LeNet."""
    epochs = 2 if settings.quick else 5
    settings.say(f"{NAME}: {name}, {epochs} epochs of both")
    parts = parts_of(
        [
            *(f"strategy={name}", "dataset=digits", "backbone.channels=1", "hardware=cpu"),
            *("checkpoint_every=3600", f"dataset.batch_size={BATCH}", f"epochs={epochs}"),
            *("collapse=off", *JOINT.get(name, ())),
        ]
    )
    source, target = (torch.from_numpy(parts.table.rows[d, "train"]) for d in ("source", "target"))
    x, y = parts.table.x, parts.table.y
    layout = parts.model.hardware.channels_last(parts.model.backbone)
    loop = pair_loop(name, x[source], y[source], x[target], layout)
    rounds = interleave(parts, settings.folder / f"{NAME}-{name}", loop)
    ratio = median_ratio(rounds, "cpu")
    return Result(
        name=f"{NAME}: {name}, lenet 28 px grey",
        a=f"tltool train strategy={name}, {BATCH}+{BATCH} images, {FORMATS[layout]}",
        b=f"a hand-written loop of the same method: same layers, data and SGD, {FORMATS[layout]}",
        judged="CPU time of a step, A / B",
        value=ratio,
        target=f"<= {MOST:.2f}",
        passed=ratio <= MOST,
        spread=spread(rounds, "cpu"),
        notes=[
            f"CPU ms a step: tltool {step_ms(rounds, 'A', 'cpu'):.1f}, hand-written "
            f"{step_ms(rounds, 'B', 'cpu'):.1f}"
        ],
        rounds=rounds,
    )


def pair_loop(
    name: str, source: Tensor, labels: Tensor, target: Tensor, channels_last: bool
) -> Iterator[None]:
    """What one writes without a framework; each ``next`` makes one step."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    features = feature_extractor().to(memory_format=layout)
    head, (extra, more) = nn.Linear(256, 10), hand_written(name)
    parts = nn.ModuleList([features, head, more])
    optimizer = torch.optim.SGD(
        parts.parameters(), lr=0.01, momentum=0.9, weight_decay=0.001, fused=True
    )
    draws = zip(batches(len(source)), batches(len(target)), strict=True)
    for step, (s, t) in enumerate(draws, start=1):
        x = torch.cat([source[s], target[t]]).float().div_(127.5).sub_(1)
        f = features(x.contiguous(memory_format=layout))
        g = head(f)
        c = 2 / (1 + math.exp(-10 * min(step / 1000, 1))) - 1
        of_both = (f[:BATCH], f[BATCH:], g[:BATCH], g[BATCH:])
        seen = Step(*of_both, labels[s], c, x[BATCH:], features)
        loss = F.cross_entropy(seen.gs, seen.y) + extra(seen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            loss.item()
        yield


def resnet(settings: Settings) -> list[Result]:
    """Measures three strategies, and source_only on as many images, against the same loop."""
    folder = settings.folder / f"{NAME}-images"
    photographs = write_photographs(folder, IMAGES_PER_CLASS, 128)
    data = ("dataset=image_folder", f"dataset.source={photographs}")
    epochs = 2 if settings.quick else 4
    milliseconds: dict[str, float] = {}
    results = []
    for name in ("source_only", "mmd", "coral", "cdan"):
        settings.say(f"{NAME}: {name} on resnet18, {epochs} epochs")
        paired = name != "source_only"
        target = [f"dataset.target={photographs}"] if paired else []
        size = HALF if paired else 2 * HALF
        parts = parts_of(
            [
                *(f"strategy={name}", *RESNET, *data, *target, "hardware=cpu", "log_every=2"),
                *("checkpoint_every=3600", f"dataset.batch_size={size}", "collapse=off"),
                f"epochs={max(2, epochs // 2) if paired else epochs}",
            ]
        )
        rows = torch.from_numpy(parts.table.rows["source", "train"])
        x, y = parts.table.x[rows], parts.table.y[rows]
        layout = parts.model.hardware.channels_last(parts.model.backbone)
        network = parts_of([*("strategy=source_only", *RESNET, *data)]).model.net
        preprocessing = parts.model.backbone.preprocessing
        loop = plain_loop(network, x, y, preprocessing, 2 * HALF, layout)
        rounds = interleave(parts, settings.folder / f"{NAME}-{name}-resnet", loop)
        ratio = median_ratio(rounds, "cpu")
        milliseconds[name] = step_ms(rounds, "A", "cpu")
        if not paired:
            base = ratio
            continue
        results.append(
            Result(
                name=f"{NAME}: {name}, resnet18 64 px",
                a=f"tltool train strategy={name}, {HALF}+{HALF} images",
                b=f"tltool train strategy=source_only, {2 * HALF} images",
                judged="CPU time of a step, A / B, each over that of one hand-written loop",
                value=ratio / base,
                target=f"<= {MOST_RESNET:.2f}",
                passed=ratio / base <= MOST_RESNET,
                spread=(spread(rounds, "cpu")[0] / base, spread(rounds, "cpu")[1] / base),
                notes=[
                    f"CPU ms a step: {milliseconds[name]:.0f} against "
                    f"{milliseconds['source_only']:.0f}"
                ],
                rounds=rounds,
            )
        )
    return results
