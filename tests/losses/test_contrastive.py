import math

import pytest
import torch
from jaxtyping import TypeCheckError
from lightly.loss import NTXentLoss

from tltool.losses.contrastive import spread


def test_nt_xent_by_hand_on_two_images() -> None:
    """lightly's loss is the formula in SimCLR's docstring: lengths are of no matter."""
    a, b = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    t, half = 0.5, math.sqrt(0.5)
    # Cosines of the views a1, a2, b1, b2 with one another, worked out by hand.
    cosines = {"a1a2": 0.0, "a1b1": 1.0, "a1b2": half, "a2b1": 0.0, "a2b2": half, "b1b2": half}
    e = {pair: math.exp(cosine / t) for pair, cosine in cosines.items()}
    terms = [
        -math.log(e["a1b1"] / (e["a1a2"] + e["a1b1"] + e["a1b2"])),
        -math.log(e["a2b2"] / (e["a1a2"] + e["a2b1"] + e["a2b2"])),
        -math.log(e["a1b1"] / (e["a1b1"] + e["a2b1"] + e["b1b2"])),
        -math.log(e["a2b2"] / (e["a1b2"] + e["a2b2"] + e["b1b2"])),
    ]
    assert NTXentLoss(t)(a, b).item() == pytest.approx(sum(terms) / 4, rel=1e-5)


def test_spread_by_hand() -> None:
    z = torch.tensor([[5.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, -1.0]])
    # Each coordinate of the directions is 1, 0, -1, 0: variance 2/3; times sqrt(2).
    assert spread(z).item() == pytest.approx(math.sqrt(4 / 3))
    assert spread(torch.ones(4, 3)).item() == 0.0
    assert spread(torch.randn(2000, 64)).item() == pytest.approx(1.0, abs=0.01)
    with pytest.raises(TypeCheckError):
        spread(torch.ones(4))
