"""Any image backbone of timm, with weights from the hub, a file, an installed package, or none."""

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.models import group_parameters, load_state_dict
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Classifier, Input
from tltool.backbones.weights import hub_file, one_line, package_state, sha256_of
from tltool.data.preprocessing import Interpolation, Preprocessing
from tltool.errors import UserError, did_you_mean


class TimmBackbone(Backbone):
    """A timm model without its classifier; inputs ``(B, 3, size, size)``, features ``(B, D)``.

    Args:
        name: timm's name, with or without a weight tag (``resnet18.a1_in1k``).
        weights: ``hub`` (downloaded once, then from the local copy), ``package`` (from the
            installed weight package), ``random``, or the path of a weight file.
        size: Side of the input in pixels; the weights' own by default.

    Raises:
        UserError: Unknown name, weights that cannot be had, or that do not fit the model.
        ValueError: A size that the model does not take.
    """

    def __init__(self, name: str, weights: str = "hub", size: int | None = None) -> None:
        super().__init__()
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        cfg = _pretrained_cfg(name)
        state, origin = _load(name, weights, cfg)
        self.model, self.classifier = _create(name, state, cfg, size, weights)
        self._random_model = partial(_create, name, None, cfg, size, "random")
        self.num_features = getattr(self.model, "head_hidden_size", self.model.num_features)
        # Measured: a fifth faster with depthwise convolutions, slower or no different without.
        self.channels_last_on_cpu = any(
            isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in self.model.modules()
        )
        self.preprocessing = Preprocessing(
            size=cfg.input_size[-1] if size is None else size,
            channels=3,
            mean=tuple(cfg.mean),
            std=tuple(cfg.std),
            interpolation=cast(Interpolation, cfg.interpolation),
            crop_pct=cfg.crop_pct,
        )
        self.provenance = {
            "library": f"timm {version('timm')}",
            "model": name,
            "weights": weights,
            **origin,
        }
        if size is not None:
            self._check_takes(size)

    def reset(self) -> None:
        """Puts the model in place that ``weights=random`` gives; for the same size."""
        self.model, self.classifier = self._random_model()
        kept = {key: self.provenance[key] for key in ("library", "model")}
        self.provenance = {**kept, "weights": "random"}

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Returns the stem and the stages (for a ViT: the blocks), as timm groups them."""
        parameters = dict(self.model.named_parameters())
        groups = group_parameters(self.model, self.model.group_matcher(coarse=True))
        return [[parameters[name] for name in groups[key]] for key in sorted(groups)]

    def forward_maps(self, x: Input) -> tuple[Tensor, list[Tensor]]:
        """Returns the features and the output of each stage (for a ViT: each block)."""
        last, maps = self.model.forward_intermediates(x)
        return self.model.forward_head(last), maps

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, 3, size, size)`` to pooled features ``(B, num_features)``."""
        return cast(Tensor, self.model(x))

    def _check_takes(self, size: int) -> None:
        """Tries one image of another size than the weights' own: which fit, only the model knows.

        Raises:
            ValueError: It does not take them.
        """
        try:
            with torch.no_grad():
                self.model.eval()(torch.zeros(1, 3, size, size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(f"size={size} does not fit the model: {one_line(error)}") from error
        self.model.train()


def _pretrained_cfg(name: str) -> Any:
    """Returns what timm knows of a model's weights."""
    model, _, tag = name.partition(".")
    if not timm.is_model(model):
        raise UserError(
            f"backbone.name={name}: timm has no such model{did_you_mean(model, timm.list_models())}"
            " (`python -c 'import timm; print(timm.list_models())'` lists them)"
        )
    tags = [found.partition(".")[2] for found in timm.list_pretrained(f"{model}.*")]
    if tag and tag not in tags:
        allowed = ", ".join(tags) or "it has none"
        raise UserError(
            f"backbone.name={name}: {model} has no weights '{tag}'{did_you_mean(tag, tags)} "
            f"({allowed})"
        )
    return timm.get_pretrained_cfg(name)


def _load(name: str, weights: str, cfg: Any) -> tuple[dict[str, Tensor] | None, dict[str, str]]:
    """Returns the weights' tensors (``None`` for random) and where they come from."""
    if weights == "random":
        return None, {}
    if weights == "package":
        return package_state(cfg.architecture)
    if weights == "hub":
        if not cfg.hf_hub_id:
            raise UserError(
                f"backbone.name={name} has no weights on the hub: "
                "type backbone.weights=FILE or backbone.weights=random"
            )
        path, origin = hub_file(cfg.hf_hub_id, cfg.hf_hub_filename or "model.safetensors")
        origin |= {"licence": cfg.license or "unknown"}
    else:
        path, origin = Path(weights).expanduser(), {"file": weights}
        if not path.is_file():
            raise UserError(
                f"backbone.weights={weights}: no such file (allowed: hub, package, random, "
                "or the path of a .safetensors or .pth file)"
            )
    try:
        state = load_state_dict(str(path), device="cpu", weights_only=True)
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise TypeError("it holds other things than tensors")
    except Exception as error:  # a file that is no checkpoint fails in as many ways as formats
        raise UserError(
            f"backbone.weights={weights}: not a weight file that loads safely ({one_line(error)})"
        ) from error
    return state, {**origin, "sha256": sha256_of(path)}


def _create(
    name: str, state: dict[str, Tensor] | None, cfg: Any, size: int | None, weights: str
) -> tuple[Any, Classifier | None]:
    """Builds the model with its weights loaded strictly, and takes its classifier off."""
    sized = {} if size is None or not cfg.fixed_input_size else {"img_size": size}
    if state is None:
        return timm.create_model(name, pretrained=False, num_classes=0, **sized), None
    classifiers = [cfg.classifier] if isinstance(cfg.classifier, str) else cfg.classifier or []
    heads = [state[f"{one}.weight"] for one in classifiers if f"{one}.weight" in state]
    classes = len(heads[0]) if heads else 0
    overlay = {"state_dict": state, "num_classes": classes, "custom_load": False}
    try:
        model = timm.create_model(
            name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay, **sized
        )
    except RuntimeError as error:
        raise UserError(
            f"backbone.weights={weights} does not fit backbone.name={name}: {one_line(error)}"
        ) from error
    classifier = _linear(model.get_classifier())
    model.reset_classifier(0)
    return model, classifier


def _linear(classifier: Any) -> Classifier | None:
    """Returns a model's classifier; None where it has none, two, or not a linear one."""
    if not isinstance(classifier, nn.Linear):
        return None
    weight = classifier.weight.detach()
    bias = torch.zeros(len(weight)) if classifier.bias is None else classifier.bias.detach()
    return Classifier(weight, bias)
