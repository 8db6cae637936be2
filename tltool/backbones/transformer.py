"""Any text encoder of the transformers library, from the hub, a folder, or random."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tltool.backbones.encoder import Pooling, TextEncoder, new_model, quiet_transformers
from tltool.backbones.weights import hub_folder, one_line, sha256_of
from tltool.errors import UserError

# What a model's folder must hold, beside its weights, to be built.
DESCRIPTION = (
    *("config.json", "tokenizer*", "vocab*", "merges.txt", "*.model"),
    *("special_tokens_map.json", "added_tokens.json", "README.md"),
)
SAFE = ("model*.safetensors", "model.safetensors.index.json")
OLD = ("pytorch_model*.bin", "pytorch_model.bin.index.json")  # loaded with weights_only


class TransformerBackbone(TextEncoder):
    """A transformers encoder without its head; texts in, features ``(B, D)`` out.

    Code that comes with a model is never run. Of encoder-decoders the encoder is taken.

    Args:
        name: Of a model on the hub, or a folder that holds one (config.json, tokenizer, weights).
        weights: ``hub`` (those under ``name``: downloaded once, then from the local copy; or from
            its folder), ``random``, or another folder with weights of the same model.
        pooling: Over the tokens of a text, fill left out: their ``mean``, their ``max`` in every
            dimension, or the first one (``cls``).
        max_length: Tokens of a text, the most; what is longer is cut.

    Raises:
        UserError: Unknown name, weights that cannot be had, or that do not fit the model.
        ValueError: A length that the model does not take.
    """

    needs: ClassVar[tuple[str, ...]] = ("transformers",)

    def __init__(
        self,
        name: str,
        weights: str = "hub",
        pooling: Pooling = "mean",
        max_length: int = 128,
    ) -> None:
        wanted: tuple[Sequence[str], ...] = () if weights != "hub" else (SAFE, OLD)
        if (folder := Path(name).expanduser()).is_dir():
            origin = {"folder": name}
        elif name.startswith((".", "/", "~")) or name.count("/") > 1:
            raise UserError(f"backbone.name={name}: no such folder")
        else:
            folder, origin = hub_folder(name, DESCRIPTION, wanted)
        given = f"backbone.name={name}"
        if weights not in ("hub", "random"):
            origin = {"folder": weights}
        source = {"hub": folder, "random": None}.get(weights, Path(weights).expanduser())
        model, tokenizer, found = load_encoder(folder, source, given)
        provenance = {"model": name, "weights": weights, **origin, **found}
        super().__init__(model, tokenizer, pooling, max_length, provenance)


def load_encoder(folder: Path, weights: Path | None, given: str) -> tuple[Any, Any, dict[str, str]]:
    """Returns model and tokenizer of a folder, and the sha256 and licence of the weights.

    Args:
        folder: Holds config.json and the tokenizer's files.
        weights: Folder with the weights; ``None`` for random ones.
        given: What the user typed, for messages.

    Raises:
        UserError: Files are missing or damaged, or the weights are not those of the model.
    """
    from transformers import AutoConfig, AutoTokenizer

    if weights is not None and not weights.is_dir():
        raise UserError(
            f"backbone.weights={weights}: no such folder (allowed: hub, random, or a folder with "
            "weights of the same model)"
        )
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            if weights is None:
                return new_model(config), tokenizer, {}
            return _loaded(config, weights), tokenizer, _described(weights)
    except UserError:
        raise
    except Exception as error:  # a folder that is no model fails in as many ways as formats
        raise UserError(f"{given}: cannot be loaded ({one_line(error)})") from error


def _loaded(config: Any, weights: Path) -> Any:
    """Returns the model with all of its weights."""
    import torch
    from transformers import AutoModel

    model, info = AutoModel.from_pretrained(
        weights,
        config=config,
        dtype=torch.float32,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # told below, in one line
    )
    missing = [name for name in info["missing_keys"] if not name.startswith("pooler.")]
    wrong = sorted([*missing, *(one[0] for one in info["mismatched_keys"])])
    if wrong:
        raise UserError(
            f"{weights}: its weights do not fit the model: {len(wrong)} tensors are missing or of "
            f"another shape ({', '.join(wrong[:3])})"
        )
    return model


def _described(folder: Path) -> dict[str, str]:
    """Returns files and sha256 of the weights in a folder, and the licence of its model card."""
    files = sorted(folder.glob(SAFE[0])) or sorted(folder.glob(OLD[0]))
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    licence = re.match(r"---\n(?:(?!---).*\n)*?licen[sc]e:[ \t]*(\S+)", text)
    return {
        "file": ", ".join(file.name for file in files),
        "sha256": ", ".join(sha256_of(file) for file in files),
        "licence": licence[1] if licence else "unknown",
    }
