"""A BERT so small that it trains in seconds, from random."""

import string
from typing import ClassVar

from tltool.backbones.encoder import Pooling, TextEncoder, new_model, quiet_transformers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = string.ascii_lowercase + string.digits
POSITIONS = 512  # of BERT


class BertTiny(TextEncoder):
    """A BERT that reads letters, for tests and for trying things; always starts from random.

    Its vocabulary is the letters, digits and signs of ASCII: a word is as many tokens as it has
    letters.

    Args:
        layers: How many.
        hidden: Dimensions D of a token and of the features, a multiple of 32.
        pooling: Over the tokens of a text, fill left out: their ``mean``, their ``max`` in every
            dimension, or the first one (``cls``).
        max_length: Tokens of a text, the most (512); what is longer is cut.

    References:
        [0] Devlin et al., BERT: pre-training of deep bidirectional transformers for language
            understanding, NAACL 2019.
    """

    needs: ClassVar[tuple[str, ...]] = ("transformers",)

    def __init__(
        self,
        layers: int = 2,
        hidden: int = 64,
        pooling: Pooling = "mean",
        max_length: int = 64,
    ) -> None:
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        if hidden < 32 or hidden % 32:
            raise ValueError(f"hidden must be a multiple of 32, got {hidden}")
        from transformers import BertConfig, BertTokenizer

        tokens = [*SPECIAL, *LETTERS, *string.punctuation, *(f"##{one}" for one in LETTERS)]
        config = BertConfig(
            vocab_size=len(tokens),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 32,
            intermediate_size=2 * hidden,
            max_position_embeddings=POSITIONS,
        )
        with quiet_transformers():
            tokenizer = BertTokenizer(vocab={token: i for i, token in enumerate(tokens)})
        super().__init__(
            new_model(config),
            tokenizer,
            pooling,
            max_length,
            {"model": "bert_tiny", "weights": "random"},
        )
