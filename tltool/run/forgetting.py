"""How much of what a backbone was trained on before is lost by training it again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm.data
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tltool.backbones.base import Backbone
from tltool.config.instantiate import instantiate
from tltool.data.cache import load_arrays
from tltool.data.readers import checked_reader
from tltool.data.readers.image_folder import ImageFolder
from tltool.errors import UserError
from tltool.run.build import Parts, build
from tltool.run.folder import read_config
from tltool.run.model import with_random_weights
from tltool.run.outcome import load_model
from tltool.run.start import RUN
from tltool.run.subject import evaluation_of

Score = Callable[[Backbone], float]
IMAGENET = 1000  # classes; folders named by their synsets are known too


def forgetting(parts: Parts) -> dict[str, float]:
    """Returns the accuracy of the old head with the old weights, with the new, and the drop.

    The old head is that of the run that `backbone.init_from` names, scored on its test data as it
    was; or the classifier that the pretrained weights came with, scored on a folder of images.
    Nothing is measured where it was not asked for, or the strategy threw the weights away.

    Args:
        parts: Of the run, trained.

    Raises:
        UserError: A folder whose classes the weights do not know.
    """
    what, now = parts.config["forgetting"], parts.model.backbone
    if what is None or now.provenance.get("weights") == "random":
        return {}
    if what == RUN:
        before, score = _of_run(parts)
    else:
        before, score = _of_classifier(parts, Path(what))
    first, last = score(before), score(now)
    return {
        "forgetting/before_accuracy": first,
        "forgetting/after_accuracy": last,
        "forgetting/drop": first - last,
    }


def _of_run(parts: Parts) -> tuple[Backbone, Score]:
    """Returns the backbone as the earlier run left it, and what that run scores with another."""
    run = Path(parts.config["backbone"]["init_from"])
    config = with_random_weights(read_config(run)) | {"hardware": parts.config["hardware"]}
    old = build(config, checked_reader(config["dataset"]))
    load_model(run, old.model.learner)

    def score(backbone: Backbone) -> float:
        old.model.net.backbone = backbone
        units = evaluation_of(old).final().units
        return float(next(iter(units.values())).mean())  # what that run was about

    return old.model.backbone, score


def _of_classifier(parts: Parts, folder: Path) -> tuple[Backbone, Score]:
    """Returns the pretrained backbone, and the accuracy of its own classifier on a folder."""
    before: Backbone = instantiate(parts.config["backbone"])
    classifier, model = before.classifier, parts.model
    assert classifier is not None  # the ModelBuilder refuses weights without one
    arrays = load_arrays(
        ImageFolder(str(folder)), before.preprocessing, cache=parts.config["dataset"]["cache"]
    )
    images, rows = arrays.inputs(), np.flatnonzero(arrays.splits != "train")
    labels = torch.from_numpy(_indices(folder, arrays.class_names, len(classifier.weight)))
    y = labels[torch.from_numpy(arrays.labels[rows])]
    device, size = model.hardware.device, parts.datamodule.eval_batch_size
    weight, bias = classifier.weight.to(device), classifier.bias.to(device)

    @torch.inference_mode()
    def score(backbone: Backbone) -> float:
        backbone.to(device).eval()
        found = []
        with model.hardware.autocast():
            for start in range(0, len(rows), size):
                pixels = images[torch.from_numpy(rows[start : start + size])]
                features = backbone(model.prepare(pixels.to(device), training=False))
                found.append(F.linear(features, weight, bias).argmax(dim=1).cpu())
        return (torch.cat(found) == y).double().mean().item()

    return before, score


def _indices(folder: Path, names: Sequence[str], classes: int) -> NDArray[np.int64]:
    """Returns which class of the weights each class folder stands for."""
    known: dict[str, int] = {str(i): i for i in range(classes)}
    if classes == IMAGENET:
        info: Any = timm.data.ImageNetInfo()
        known |= {synset: i for i, synset in enumerate(info.label_names())}
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"forgetting={folder}: the weights know no class {', '.join(unknown[:5])}: name the "
            f"class folders 0 to {classes - 1}, as the weights number their classes"
            + (", or by ImageNet's synsets (n02219486)" if classes == IMAGENET else "")
        )
    return np.array([known[name] for name in names])
