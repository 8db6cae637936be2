"""What every text encoder of the transformers library shares, wherever its weights come from."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from tltool.backbones.base import Backbone, Input
from tltool.backbones.weights import one_line
from tltool.data.preprocessing import Tokenisation
from tltool.errors import UserError

Pooling = Literal["mean", "cls", "max"]


class TextEncoder(Backbone):
    """A transformer over tokens, pooled: ``{input_ids, attention_mask}`` (B, L) to ``(B, D)``.

    Args:
        model: Of the transformers library.
        tokenizer: Its tokenizer.
        pooling: Over the tokens of a text, fill left out: their ``mean``, their ``max`` in every
            dimension, or the first one (``cls``).
        max_length: Tokens of a text, the most.
        provenance: Where model and weights come from.

    Raises:
        UserError: The model does not encode texts.
        ValueError: A length that it does not take.
    """

    modality: ClassVar[str] = "text"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        pooling: Pooling,
        max_length: int,
        provenance: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.model = _encoder(model)
        self.pooling = self.variant = pooling
        name = provenance["model"]
        least, most = tokenizer.num_special_tokens_to_add() + 1, _longest(model, tokenizer)
        if not least <= max_length <= most:
            raise ValueError(f"max_length must be {least} to {most} for {name}, got {max_length}")
        self.provenance = {"library": f"transformers {version('transformers')}", **provenance}
        tokenisation = Tokenisation(
            tokenizer=name,
            sha256=_identity(tokenizer),
            max_length=max_length,
            # Some tokenizers have no token to fill with; any will do, it is masked.
            pad=tokenizer.pad_token_id or 0,
            encode=partial(_tokenise, tokenizer, max_length),
        )
        self.preprocessing = tokenisation
        self.num_features = self._measure(tokenisation)

    def reset(self) -> None:
        """Draws all weights again, as the library does for a new model."""
        self.model = _encoder(new_model(self.model.config))
        kept = {key: self.provenance[key] for key in ("library", "model")}
        self.provenance = {**kept, "weights": "random"}

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Returns the embeddings, then each layer; what follows the layers is with the last."""
        layers = next((m for m in self.model.modules() if isinstance(m, nn.ModuleList)), ())
        of = {id(p): number for number, layer in enumerate(layers, 1) for p in layer.parameters()}
        groups: list[list[nn.Parameter]] = [[] for _ in range(len(layers) + 1)]
        current = 0
        for parameter in self.model.parameters():
            current = of.get(id(parameter), current)
            groups[current].append(parameter)
        return [group for group in groups if group]

    def forward(self, x: Input) -> Tensor:
        """Maps ``input_ids`` and ``attention_mask`` (B, L) to features ``(B, D)``."""
        assert isinstance(x, dict)
        return pool(self.model(**x).last_hidden_state, x["attention_mask"], self.pooling)

    def _measure(self, tokenisation: Tokenisation) -> int:
        """Returns D; tries one text, since only the model knows whether it takes texts."""
        ids = torch.tensor(tokenisation.encode(["a"]))
        try:
            with torch.no_grad():
                features = self.eval()({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        except Exception as error:  # a model of another kind fails in a way of its own
            raise UserError(
                f"backbone: {tokenisation.tokenizer} is a {type(self.model).__name__}, which does "
                f"not encode texts ({one_line(error)}); type the name of an encoder, such as "
                "bert-base-uncased"
            ) from error
        self.train()
        return int(features.shape[1])


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Returns one vector a text ``(B, D)`` of those of its tokens.

    Args:
        hidden: ``(B, L, D)``.
        mask: 1 for a token, 0 for fill ``(B, L)``; tokens come first.
        pooling: See `TextEncoder`.
    """
    if pooling == "cls":
        return hidden[:, 0]
    kept = mask.unsqueeze(2).bool()
    if pooling == "max":
        return hidden.masked_fill(~kept, -torch.inf).amax(dim=1)
    return (hidden * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


def new_model(config: Any) -> Any:
    """Returns a model with random weights."""
    from transformers import AutoModel

    with quiet_transformers():
        return AutoModel.from_config(config, trust_remote_code=False)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within it the library draws no progress bars and logs errors only."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _encoder(model: Any) -> Any:
    """Returns the part of a model that the features come from: what is not used is not trained."""
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def _longest(model: Any, tokenizer: Any) -> int:
    """Returns how many tokens a model takes; tokenizers that do not know say 10^30."""
    positions = getattr(model.config, "max_position_embeddings", None)
    return int(min(tokenizer.model_max_length, positions or tokenizer.model_max_length))


def _identity(tokenizer: Any) -> str:
    """Returns a sha256 of all that decides how a tokenizer cuts."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return hashlib.sha256(f"{type(tokenizer).__name__} {rules}".encode()).hexdigest()


def _tokenise(tokenizer: Any, max_length: int, texts: Sequence[str]) -> list[list[int]]:
    if not texts:  # the library takes an empty list for one text
        return []
    found: list[list[int]] = tokenizer(
        list(texts),
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=False,
    )["input_ids"]
    return found
