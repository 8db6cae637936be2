"""Any image backbone of timm, with weights from the hub, a file, an installed package, or none."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import timm
from timm.models import load_state_dict
from torch import Tensor

from tltool.backbones.base import Backbone
from tltool.backbones.weights import hub_file, package_state, sha256_of
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
    """

    def __init__(self, name: str, weights: str = "hub", size: int | None = None) -> None:
        super().__init__()
        cfg = _pretrained_cfg(name)
        state, origin = _load(name, weights, cfg)
        self.model = _create(name, state, cfg, size, weights)
        self.num_features = getattr(self.model, "head_hidden_size", self.model.num_features)
        self.preprocessing = Preprocessing(
            size=size or cfg.input_size[-1],
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
            "licence": cfg.license if state is not None else None,
            **origin,
        }

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, 3, size, size)`` to pooled features ``(B, num_features)``."""
        return cast(Tensor, self.model(x))


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
    else:
        path, origin = Path(weights).expanduser(), {"file": weights}
        if not path.is_file():
            raise UserError(
                f"backbone.weights={weights}: no such file (allowed: hub, package, random, "
                "or the path of a .safetensors or .pth file)"
            )
    try:
        state = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint fails in as many ways as formats
        raise UserError(
            f"backbone.weights={weights}: not a weight file that loads safely ({error!s:.120})"
        ) from error
    return state, {**origin, "sha256": sha256_of(path)}


def _create(
    name: str, state: dict[str, Tensor] | None, cfg: Any, size: int | None, weights: str
) -> Any:
    """Builds the model with its weights loaded strictly, then drops its classifier."""
    sized = {} if size is None or not cfg.fixed_input_size else {"img_size": size}
    if state is None:
        return timm.create_model(name, pretrained=False, num_classes=0, **sized)
    classifier = cfg.classifier if isinstance(cfg.classifier, str) else cfg.classifier[0]
    head = state.get(f"{classifier}.weight")
    classes = 0 if head is None else head.shape[0]
    overlay = {"state_dict": state, "num_classes": classes, "custom_load": False}
    try:
        model = timm.create_model(
            name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay, **sized
        )
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"backbone.weights={weights} does not fit backbone.name={name}: {reason:.200}"
        ) from error
    model.reset_classifier(0)
    return model
