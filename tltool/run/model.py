"""From a resolved configuration to the model that a run trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tltool.backbones.base import Backbone, Net, weights_sha256
from tltool.backbones.options import BackboneOptions
from tltool.config.instantiate import instantiate, instantiate_shared
from tltool.data.feeds.sources import ONE_SOURCE
from tltool.data.options import DataOptions
from tltool.data.transforms import Prepare
from tltool.errors import UserError
from tltool.learner import Learner
from tltool.run.hardware import Hardware
from tltool.run.start import RUN, start_from
from tltool.strategies.base import DataSpec, Strategy


@dataclass(frozen=True)
class Model:
    """Network, strategy, and what they run on."""

    hardware: Hardware
    backbone: Backbone
    backbone_sha256: str
    net: Net
    strategy: Strategy
    learner: Learner
    prepare: Prepare


class ModelBuilder:
    """Builds the same model every time for the same configuration.

    It works in two steps, since the data are decoded as the backbone's weights want them, and the
    head is as wide as the data have classes.

    Args:
        config: Resolved and validated.

    Raises:
        UserError: Weights that cannot be had, or parts that do not fit together.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.hardware: Hardware = instantiate(config["hardware"])
        self.strategy: Strategy = instantiate(config["strategy"])
        pl.seed_everything(config["seed"], verbose=False)
        options: BackboneOptions = instantiate_shared("backbone", config["backbone"])
        if options.init_from is None:
            self.backbone: Backbone = instantiate(config["backbone"])
        else:  # its own weights would all be replaced: they need not be there
            self.backbone = instantiate(with_random_weights(config)["backbone"])
            start_from(self.backbone, Path(options.init_from))
        if config["forgetting"] not in (None, RUN) and self.backbone.classifier is None:
            raise UserError(
                f"forgetting={config['forgetting']}: these weights came without a classifier; type "
                "forgetting=run with backbone.init_from=RUN, or choose pretrained weights"
            )
        if self.backbone.modality not in self.strategy.modalities:
            raise UserError(
                f"this strategy works on {' and '.join(self.strategy.modalities)}, "
                f"and the backbone takes {self.backbone.modality} (`tltool list strategy`)"
            )

    def build(self, spec: DataSpec) -> Model:
        """Returns the model for data of this kind.

        Raises:
            UserError: Options of the strategy that do not fit this network or these data.
        """
        if self.strategy.needs_group and not spec.groups:
            raise UserError(
                "this strategy learns from a protected group, and the dataset names none: "
                "type dataset=colored_digits, or a dataset with a column for the group"
            )
        if self.strategy.needs_sources and len(spec.sources) < 2:
            raise UserError(ONE_SOURCE)
        # Again, so that the head starts the same whatever was drawn while data were read.
        pl.seed_everything(self.config["seed"], verbose=False)
        net = Net(self.backbone, spec.num_classes)
        try:
            self.strategy.build(net, spec)
        except ValueError as error:
            raise UserError(str(error)) from error
        sha256 = weights_sha256(self.backbone.state_dict())  # what is trained from, also if reset
        preprocessing = self.backbone.preprocessing
        self.hardware.arrange(self.backbone)
        optimizer = instantiate(self.config["optimizer"])
        data: DataOptions = instantiate_shared("dataset", self.config["dataset"])
        return Model(
            self.hardware,
            self.backbone,
            sha256,
            net,
            self.strategy,
            Learner(net, self.strategy, optimizer, self.config["seed"]),
            preprocessing.prepare(data, self.hardware.channels_last(self.backbone)),
        )


def with_random_weights(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of the same network, not pretrained: its weights come later."""
    backbone = {**config["backbone"], "init_from": None}
    if "weights" in backbone:
        backbone["weights"] = "random"
    return {**config, "backbone": backbone, "forgetting": None}
